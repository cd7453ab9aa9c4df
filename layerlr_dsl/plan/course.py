"""The course of one option: where it starts, and all that the rules say of it, window by window.

The value at a time is what the last rule sets, times the factors behind it; the options that an optimizer
lets a schedule drive are then scheduled, and warmed up after a thaw. Every option takes its course alike,
whether it moves or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from layerlr_dsl.language.checked import CheckedSetting
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.language.patterns import Bindings
from layerlr_dsl.plan.moving import Moving
from layerlr_dsl.plan.scheduled import Scheduled
from layerlr_dsl.plan.stages import Fired, Stretches
from layerlr_dsl.plan.timeline import Interval, Timeline
from layerlr_dsl.tools.records import record


@record
class Effect:
    """One option that one clause gives, inside its window."""

    clause: int
    option: str
    multiply: bool
    value: Value | Moving
    window: Interval
    setting: CheckedSetting = field(compare=False)
    bindings: Bindings = ()

    def plain(self) -> tuple[object, ...]:
        """What it does, wherever it was written."""
        return (self.option, self.multiply, self.value, self.window)


@record
class ScheduleEffect:
    """A schedule that the file, a stage or a rule gives, inside its window; `clause` None for a statement."""

    clause: int | None
    schedule: Scheduled
    window: Interval


@record
class Product:
    """What a value is between two changes: a number times what moves. `scale` None: what moves alone."""

    scale: Value | None
    movers: tuple[Moving, ...] = ()

    def at(self, tick: int, stretches: Stretches) -> Value:
        """The value at a tick of the run. Raises Fault."""
        value = self.scale
        for mover in self.movers:
            now = mover.course(stretches)(tick)
            value = now if value is None else value * now
        return value

    def times(self, factor: Value | Moving) -> Product:
        """The product with one factor more; what is no number stays as it is."""
        scale = self.scale
        if isinstance(factor, Moving):
            if factor.scale is None or (scale is None and self.movers) or isinstance(scale, tuple):
                return self
            return Product(_times(scale, factor.scale), (*self.movers, factor))
        return self if scale is None and self.movers else Product(_times(scale, factor), self.movers)


def product_of(value: Value | Moving) -> Product:
    """A value by itself."""
    return Product(value.scale, (value,)) if isinstance(value, Moving) else Product(value)


def _times(old: Value | None, factor: Value) -> Value:
    if old is None or isinstance(old, bool):
        return factor
    if isinstance(old, tuple):
        return old
    return old * factor


@record
class Course:
    """One option of a class of parameters, over all of time.

    base: where no rule says anything. settled: the file's `optimizer` statement gives it. schedules: what
    drives it, the last in force; only for options that a schedule drives.
    """

    option: str
    base: Value | None
    settled: bool
    effects: tuple[Effect, ...] = ()
    schedules: tuple[ScheduleEffect, ...] = ()

    def product(self, timeline: Timeline, tick: int, fired: Fired, base: Value | None = None) -> Product:
        """What holds from a tick to the next change; `base` stands in for a base that nobody settled."""
        found = Product(self.base if base is None or self.settled else base)
        for effect in self.effects:
            if effect.window.always or timeline.active(effect.window, tick, fired):
                found = found.times(effect.value) if effect.multiply else product_of(effect.value)
        return found

    def schedule(self, timeline: Timeline, tick: int, fired: Fired) -> Scheduled | None:
        """The schedule in force at a tick."""
        return next(
            (
                one.schedule
                for one in reversed(self.schedules)
                if one.window.always or timeline.active(one.window, tick, fired)
            ),
            None,
        )


def not_hidden(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """Effects of one option, less those that a later one hides at all times."""
    for place in range(len(effects) - 1, 0, -1):
        if effects[place].window.always and not effects[place].multiply:
            return tuple(effects[place:])
    return tuple(effects)
