"""What `layerlr plan --format json` and `Plan.to_json()` give."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from layerlr_dsl.reports.findings import Finding, Model

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


class PlanReport(Model):
    """A rule file resolved against a model."""

    version: Literal[1]
    model: ModelReport
    epochs: Number | None
    steps_per_epoch: int | None
    total_steps: int | None
    groups: list[GroupReport]
    phases: list[PhaseReport]
    parameters: dict[str, ParameterReport]
    diagnostics: list[Finding]
