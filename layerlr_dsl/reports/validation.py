"""What `layerlr validate --format json` prints."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from layerlr_dsl.reports.findings import Finding, Model


class FileReport(Model):
    """What became of one input."""

    file: str
    status: Literal["clean", "findings", "unreadable"]
    model: str | None = Field(description="the model that the file was checked against, null if none")
    errors: int = Field(ge=0)
    warnings: int = Field(ge=0)
    problem: str | None = Field(default=None, description="why an unreadable input cannot be read")


class Validation(Model):
    """The findings of all inputs. `valid` says that there is no error (nor, with --strict, a warning)."""

    version: Literal[1] = 1
    valid: bool
    errors: int = Field(ge=0)
    warnings: int = Field(ge=0)
    files: list[FileReport]
    diagnostics: list[Finding]
