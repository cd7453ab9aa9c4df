"""The course of one option: where it starts, and all that the rules say of it, window by window.

The value at a time is what the last rule sets, times the factors behind it; the options that an optimizer
lets a schedule drive are then scheduled, and warmed up after a thaw. Every option takes its course alike,
whether it moves or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from layerlr_dsl.language.checked import CheckedSetting
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.language.patterns import Bindings
from layerlr_dsl.plan.moving import Moving
from layerlr_dsl.plan.scheduled import Scheduled
from layerlr_dsl.plan.stages import NOTHING_FIRED, Fired, Stretches
from layerlr_dsl.plan.stepwise import Stepwise, sweep
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
    number: int = field(default=0, compare=False)
    """One for all effects by which a setting does the same, whatever its captures are bound to."""

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
    """What a value is between two changes: a number times what moves. `scale` None: what moves alone.

    `movers` are bare, so that those of two values are equal that differ in the number only.
    """

    scale: Value | None
    movers: tuple[Moving, ...] = ()

    def at(self, tick: int, stretches: Stretches) -> Value:
        """The value at a tick of the run. Raises Fault."""
        return self.along((tick,), stretches)[0]

    def along(self, ticks: Iterable[int], stretches: Stretches) -> list[Value]:
        """The values at some ticks of the run. Raises Fault."""
        courses = [mover.course(stretches) for mover in self.movers]
        if len(courses) == 1:
            values, scale = map(courses[0], ticks), self.scale
            return [*values] if scale is None else [scale * value for value in values]
        return [self._made(tick, courses) for tick in ticks]

    def _made(self, tick: int, courses: Sequence[Callable[[int], Any]]) -> Value:
        value = self.scale
        for course in courses:
            now = course(tick)
            value = now if value is None else value * now
        return value


def product(base: Value | None, effects: Iterable[Effect]) -> Product:
    """What effects make of a base, one after the other; what is no number stays as it is."""
    scale: Value | None = base
    movers: tuple[Moving, ...] = ()
    for effect in effects:
        value = effect.value
        if not effect.multiply:
            scale, movers = (value.scale, (value.bare,)) if isinstance(value, Moving) else (value, ())
        elif scale is None and movers:
            continue
        elif not isinstance(value, Moving):
            scale = _times(scale, value)
        elif value.scale is not None and not isinstance(scale, tuple):
            scale, movers = _times(scale, value.scale), (*movers, value.bare)
    return Product(scale, movers)


def product_of(value: Value | Moving) -> Product:
    """A value by itself."""
    return Product(value.scale, (value.bare,)) if isinstance(value, Moving) else Product(value)


def _times(old: Value | None, factor: Value) -> Value:
    if old is None or isinstance(old, bool):
        return factor
    if isinstance(old, tuple):
        return old
    return old * factor


@record
class OverTime:
    """What an option is worth from when on, and the schedule that drives it then."""

    products: Stepwise[Product]
    schedule: Stepwise[Scheduled | None]


UNDRIVEN: Stepwise[Scheduled | None] = Stepwise.always(None)


@dataclass(slots=True, eq=False)
class Course:
    """One option over all of time: one object for all parameters of which the same is said.

    base: where no rule says anything. settled: the file's `optimizer` statement gives it. schedules: what
    drives it, the last in force; only for options that a schedule drives.
    """

    option: str
    base: Value | None
    settled: bool
    timeline: Timeline
    effects: tuple[Effect, ...] = ()
    schedules: tuple[ScheduleEffect, ...] = ()
    conditional: bool = field(init=False)
    """Whether a metric condition decides something here."""
    moving: bool = field(init=False)
    """Whether it moves at some time by itself, and not by a schedule."""
    alike: int = 0
    """The same for two of one option that nobody could tell apart; 0 for what the optimizer itself makes of it."""
    _nominal: OverTime | None = None
    """Where no condition has come true."""

    def __post_init__(self) -> None:
        said: Iterable[Effect | ScheduleEffect] = (*self.effects, *self.schedules)
        self.conditional = any(self.timeline.waits(one.window) for one in said)
        self.moving = any(isinstance(effect.value, Moving) for effect in self.effects)

    def over_time(self, fired: Fired = NOTHING_FIRED) -> OverTime:
        """The course step by step, given the metric conditions that have come true."""
        if fired:
            return OverTime(self._products(fired), self._driven_by(fired))
        if self._nominal is None:
            self._nominal = OverTime(self._products(fired), self._driven_by(fired))
        return self._nominal

    def product(self, tick: int, fired: Fired, base: Value) -> Product:
        """What holds from a tick to the next change where the option starts from another base."""
        return product(base, (e for e in self.effects if self.timeline.active(e.window, tick, fired)))

    def _products(self, fired: Fired) -> Stepwise[Product]:
        if all(effect.window.always for effect in self.effects):
            return Stepwise.always(product(self.base, self.effects))
        periods = [self.timeline.period(effect.window, fired) for effect in self.effects]
        return Stepwise.of((tick, self._in_force(holding)) for tick, holding in sweep(periods))

    def _in_force(self, holding: Sequence[int]) -> Product:
        """holding: the places of the effects in force."""
        last = len(holding) - 1
        while last >= 0 and self.effects[holding[last]].multiply:
            last -= 1
        return product(self.base, (self.effects[n] for n in holding[max(last, 0) :]))

    def _driven_by(self, fired: Fired) -> Stepwise[Scheduled | None]:
        if not self.schedules:
            return UNDRIVEN
        if self.schedules[-1].window.always:
            return Stepwise.always(self.schedules[-1].schedule)
        periods = [self.timeline.period(one.window, fired) for one in self.schedules]
        return Stepwise.of(
            (tick, self.schedules[holding[-1]].schedule if holding else None)
            for tick, holding in sweep(periods)
        )


def not_hidden(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """Effects of one option, less those that a later one hides at all times."""
    for place in range(len(effects) - 1, 0, -1):
        if effects[place].window.always and not effects[place].multiply:
            return tuple(effects[place:])
    return tuple(effects)
