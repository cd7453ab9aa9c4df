"""A schedule that counts steps in a run that counts epochs: it needs the steps of an epoch, or is told of."""

from __future__ import annotations

from dataclasses import replace

from layerlr_dsl.importers.description import Description, LeftOut
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.printing import text_of


def clocked(told: Description, steps_per_epoch: int | None) -> Description:
    """The same with the steps of an epoch; without them, less what of its schedule counts steps."""
    if steps_per_epoch is not None:
        return replace(told, steps_per_epoch=steps_per_epoch)
    if told.schedule is None or told.steps is not None or not _counts_steps(told.schedule):
        return told
    reason = "counts steps, and the source does not say how many an epoch has: --steps-per-epoch does"
    left = (*told.left_out, LeftOut(f"`schedule {text_of(told.schedule)}`: {reason}"))
    return replace(told, schedule=_without_warmup(told.schedule), left_out=left)


def _counts_steps(sequence: s.ScheduleSequence) -> bool:
    return any(_in_steps(argument) for part in sequence.parts for argument in part.factory.arguments)


def _in_steps(argument: s.Argument) -> bool:
    values = argument.value if isinstance(argument.value, tuple) else (argument.value,)
    return any(isinstance(value, s.Duration) and value.unit == "steps" for value in values)


def _without_warmup(sequence: s.ScheduleSequence) -> s.ScheduleSequence | None:
    """The decay alone; None where that counts steps too."""
    parts = []
    for part in sequence.parts:
        kept = tuple(one for one in part.factory.arguments if not one.name.startswith("warmup"))
        parts.append(replace(part, factory=replace(part.factory, arguments=kept)))
    left = replace(sequence, parts=tuple(parts))
    return None if _counts_steps(left) else left
