"""The JSON that commands print, as pydantic models, from which its published schemas are made.

Nothing is printed by way of these: they say what others may rely on, and the tests hold the output to them.
`python -m layerlr_dsl.reports` writes the schemas in `layerlr_dsl/schemas` anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FOLDER = Path(__file__).resolve().parent / "schemas"


# ---------------------------------------------------------------- findings


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Place(Model):
    """A place in a file."""

    line: int = Field(ge=1, description="1-based")
    column: int = Field(ge=1, description="1-based, in code points")
    offset: int = Field(ge=0, description="0-based, in code points from the start of the file")


class Range(Model):
    """A half-open range of code points."""

    start: Place
    end: Place


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


# ---------------------------------------------------------------- validate and test


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


# ---------------------------------------------------------------- plan


Number = int | float
Option = bool | int | float | str | list[Any] | None


class ModelReport(Model):
    """The model that was planned for."""

    source: str = Field(description="the spec it came from, or the name of its class")
    parameters: int = Field(ge=0, description="tensors, tied ones counted once")
    numel: int = Field(ge=0)


class GroupReport(Model):
    """Parameters that behave alike at all times."""

    name: str
    parameters: list[str]
    numel: int = Field(ge=0)
    options: dict[str, Option] = Field(description="at the start of the run, before the schedule")
    schedule: str | None
    optimizer: str
    kind: Literal["trains", "frozen", "model"] = Field(
        description="`frozen` by the plan for the whole run, or by the `model` itself"
    )
    moving: list[str] = Field(default=[], description="options that change with time by themselves")


class Time(Model):
    """A place on the clock.

    `step` is null where the steps of an epoch are not known, `epoch` where the run counts steps alone.
    """

    epoch: Number | None = Field(ge=0)
    step: int | None


class PhaseReport(Model):
    """A stretch of the run in which nothing changes but the schedule."""

    from_: Time = Field(alias="from")
    until: Time | None = Field(description="null: an open end")
    when: str | None = Field(description="the metric condition that opens it, null where the clock does")
    frozen: list[str] = Field(description="names of groups")
    trainable_numel: int = Field(ge=0)
    trainable_share: float = Field(ge=0, le=1)
    stage: str | None = Field(default=None, description="the name of the stage, where the rules have stages")


class ParameterReport(Model):
    """One parameter under its first name."""

    group: str
    aliases: list[str]
    requires_grad: bool = Field(description="as it came with the model")
    options: dict[str, Option] = Field(description="at the start of the run, before the schedule")
    moving: list[str] = Field(default=[], description="options that change with time by themselves")
    rules: dict[str, list[str]] = Field(description="for each option the places that give it, winner last")


class CostReport(Model):
    """One forward and backward pass: seconds, and bytes of activations that are kept for the backward pass."""

    seconds: float
    seconds_error: float = Field(
        description="half of the interval that the rounds leave, beside a step with all thawed"
    )
    activation_bytes: int


class PhaseCostReport(CostReport):
    """A step of a phase; `remembered_seconds` with the features of frozen layers remembered, null without any."""

    remembered_seconds: float | None
    not_remembered: str | None = Field(description="why nothing is remembered, where something is frozen")


class MeasuredReport(Model):
    """What `--measure` found: a step with all thawed, and one of each phase, in their order."""

    inputs: str
    device: str
    thawed: CostReport
    phases: list[PhaseCostReport]


class PlanReport(Model):
    """A rule file resolved against a model."""

    version: Literal[1]
    model: ModelReport
    epochs: Number | None
    steps_per_epoch: int | float | None = Field(
        description="a fraction where batches are accumulated on from epoch to epoch"
    )
    total_steps: int | None
    groups: list[GroupReport]
    phases: list[PhaseReport]
    parameters: dict[str, ParameterReport]
    diagnostics: list[Finding]
    measured: MeasuredReport | None = None


# ---------------------------------------------------------------- schemas


PUBLISHED: dict[str, type[BaseModel]] = {"validate": Validation, "plan": PlanReport}


def schema_text(name: str) -> str:
    """The schema of a command's JSON, as it is published."""
    schema = PUBLISHED[name].model_json_schema(by_alias=True, mode="serialization")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


def write() -> None:
    """Write every schema to `layerlr_dsl/schemas`."""
    FOLDER.mkdir(exist_ok=True)
    for name in PUBLISHED:
        (FOLDER / f"{name}.json").write_text(schema_text(name), encoding="utf-8")


if __name__ == "__main__":
    write()
