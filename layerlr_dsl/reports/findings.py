"""Findings as JSON: the shape shared by every machine format."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from layerlr_dsl.language import diagnostics as d
from layerlr_dsl.language.source import Position, Span


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Place(Model):
    """A place in a file."""

    line: int = Field(ge=1, description="1-based")
    column: int = Field(ge=1, description="1-based, in code points")
    offset: int = Field(ge=0, description="0-based, in code points from the start of the file")

    @staticmethod
    def of(position: Position) -> Place:
        return Place(line=position.line, column=position.column, offset=position.offset)


class Range(Model):
    """A half-open range of code points."""

    start: Place
    end: Place

    @staticmethod
    def of(span: Span) -> Range:
        return Range(start=Place.of(span.first), end=Place.of(span.last))


class Related(Model):
    """Another place that a finding speaks of."""

    message: str
    file: str
    range: Range


class Edit(Model):
    """Replace the text of `range` by `replacement`."""

    file: str
    range: Range
    replacement: str


class Fix(Model):
    """A change that removes the finding; `safe` ones cannot change what the file means."""

    message: str
    safe: bool
    edits: list[Edit]


class Finding(Model):
    """One finding. `file` and `range` are null where it belongs to no place in a text."""

    code: str = Field(pattern=r"^LR[0-9]{3}$")
    severity: Literal["error", "warning", "info"]
    message: str
    help: str | None
    file: str | None
    range: Range | None
    related: list[Related]
    fix: Fix | None

    @staticmethod
    def of(finding: d.Diagnostic) -> Finding:
        span = finding.span
        return Finding(
            code=finding.code,
            severity=finding.severity,
            message=finding.message,
            help=finding.help,
            file=None if span is None else span.source.name,
            range=None if span is None else Range.of(span),
            related=[
                Related(message=r.message, file=r.span.source.name, range=Range.of(r.span))
                for r in finding.related
            ],
            fix=None if finding.fix is None else _fix(finding.fix),
        )


def _fix(fix: d.Fix) -> Fix:
    edits = [
        Edit(file=e.span.source.name, range=Range.of(e.span), replacement=e.replacement) for e in fix.edits
    ]
    return Fix(message=fix.message, safe=fix.safe, edits=edits)
