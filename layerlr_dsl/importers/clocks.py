"""A schedule that counts other ticks than the run: it needs the steps of an epoch, or is told of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.description import Description, LeftOut
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.printing import text_of

_REASONS = {
    "step": "counts steps, and the source does not say how many an epoch has: --steps-per-epoch does",
    "epoch": "counts epochs, and the source does not say how many steps one has: --steps-per-epoch does",
}


def clocked(told: Description, steps_per_epoch: int | None) -> Description:
    """The same with the steps of an epoch; without them, less what of its schedule counts other ticks than the run."""
    if steps_per_epoch is not None:
        left = (*told.left_out, *_drops_in_warmup(told, steps_per_epoch))
        return replace(told, steps_per_epoch=steps_per_epoch, left_out=left)
    other = "step" if told.steps is None else "epoch"
    if told.schedule is None or not _counts(told, other):
        return told
    reason = f"`schedule {text_of(told.schedule)}` {_REASONS[other]}"
    left = (*told.left_out, LeftOut(reason, told.lines.get("schedule")))
    kept = None if told.lets else _without_warmup(told.schedule)
    bare = replace(told, schedule=kept, left_out=left)
    if kept is None or _counts(bare, other):
        return replace(bare, schedule=None, lets=())
    return bare


def _counts(told: Description, unit: str) -> bool:
    """Whether the schedule, or a let that it needs, speaks of steps, or of epochs."""
    written = [] if told.schedule is None else [text_of(told.schedule)]
    written += [text_of(nodes.let(word, plain)) for word, plain in told.lets]
    return any(re.search(rf"\b{unit}s?\b(?!\()", one) for one in written)


def _without_warmup(sequence: s.ScheduleSequence) -> s.ScheduleSequence:
    """The decay alone."""
    parts = []
    for part in sequence.parts:
        kept = tuple(one for one in part.factory.arguments if not one.name.startswith("warmup"))
        parts.append(replace(part, factory=replace(part.factory, arguments=kept)))
    return replace(sequence, parts=tuple(parts))


def _drops_in_warmup(told: Description, steps_per_epoch: int) -> Iterator[LeftOut]:
    """Drops that come, now that the units can be compared, before the warm-up is over."""
    for part in () if told.schedule is None else told.schedule.parts:
        given = {argument.name: argument.value for argument in part.factory.arguments}
        found = given.get("at", given.get("every"))
        drops = found if isinstance(found, tuple) else (found,)
        ticks = [
            _ticks(one, steps_per_epoch)
            for one in (given.get("warmup"), *drops)
            if isinstance(one, s.Duration)
        ]
        if "warmup" in given and len(ticks) > 1 and min(ticks[1:]) < ticks[0]:
            what = "the rate drops before its warm-up is over, and here it warms up to what it has dropped to"
            yield LeftOut(what, told.lines.get("schedule"))


def _ticks(length: s.Duration, steps_per_epoch: int) -> float:
    number = float(length.value.exact) if isinstance(length.value, s.Number) else 0.0
    return number * steps_per_epoch if length.unit == "epochs" else number
