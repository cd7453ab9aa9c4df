"""LR107 and LR108 over time: what moves must be a value that the optimizer takes, at every tick.

Groups that move alike, but for a number, are looked at once. Where two numbers that an expression stays between
are in order, so is all of it; else the least and the greatest value are found tick by tick, and what its factor
makes of these decides.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.language.check_optimizers import implausible_rate
from layerlr_dsl.language.diagnostics import Diagnostic, error, info
from layerlr_dsl.language.expressions import Fault, Value
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.behaviour import Behaviour
from layerlr_dsl.plan.clock import UnknownTime
from layerlr_dsl.plan.course import Effect, Product
from layerlr_dsl.plan.factories import Faulty
from layerlr_dsl.plan.findings.checks import Checks
from layerlr_dsl.plan.moving import Moving
from layerlr_dsl.plan.ranges import corners
from layerlr_dsl.plan.scheduled import NamedFactor, Scheduled
from layerlr_dsl.plan.schedules import Schedule, parts_of, running
from layerlr_dsl.plan.stages import NEVER, Fired, Stretch, Stretches
from layerlr_dsl.tools.numbers import plural, spelled
from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan

check = Checks()

Extremes: TypeAlias = tuple[Value, ...]
"""The least and the greatest of some numbers; all values, where they are no numbers."""


_PATIENCE = 10_000_000
"""How much is worked out to find values that will not do: letters of moving values, times ticks.

As much as a value of 1,000 letters at each of 10,000 ticks; what moves has less in any honest file.
"""
_FEWEST_TICKS = 2
_LOOKED_AT_AGAIN = (
    "training looks at every value when it is written, and stops there; a number in front of the rest, as in "
    "`0.9 ^ i * ramp(...)`, lets parameters share one look"
)


@check
def moving(plan: Plan) -> Iterator[Diagnostic]:
    """The first tick at which what moves has no value, or one that is refused: options, then schedules."""
    patience = _Patience()
    if any(behaviour.moving for behaviour in plan.behaviours):
        look = _Look(plan, patience)
        for fired in _suppositions(plan):
            yield from look.at_all(fired)
    yield from _factors(plan, patience)
    yield from patience.worn_out()


def _suppositions(plan: Plan) -> list[Fired]:
    """Nothing has come true; then one metric condition after the other."""
    return [{}, *(fired for _, _, fired in plan.suppositions())]


@dataclass(slots=True)
class _Patience:
    """How much is left of it, and what was looked at only now and then."""

    left: int = _PATIENCE
    partly: list[tuple[Span, int, int]] = field(default_factory=list)
    """Where, at how many ticks, and of how many."""

    def some(self, ticks: Sequence[int], each: int, span: Callable[[], Span]) -> Sequence[int]:
        """All of the ticks while patience lasts; then some, evenly spread, and both ends. each: letters at a tick."""
        most = max(self.left // each, _FEWEST_TICKS)
        chosen = ticks if len(ticks) <= most else [*ticks[:: -(-len(ticks) // most)], ticks[-1]]
        self.left -= min(each * len(chosen), self.left)
        if len(chosen) < len(ticks):
            self.partly.append((span(), len(chosen), len(ticks)))
        return chosen

    def worn_out(self) -> Iterator[Diagnostic]:
        """LR323: a note on the first value that was not looked at everywhere."""
        for span, looked, ticks in self.partly[:1]:
            others = {other for other, _, _ in self.partly} - {span}
            more = f" ({plural(len(others), 'other value')} likewise)" if others else ""
            message = f"looked at only at {looked:,} of {ticks:,} ticks: too much moves in this file{more}"
            yield info("LR323", message, span, _LOOKED_AT_AGAIN)


@record
class _Place:
    """An option of some parameters between two changes."""

    behaviour: Behaviour
    option: str
    name: str
    fired: Fired
    ticks: Sequence[int]


@dataclass(slots=True)
class _Look:
    """Looks at each thing that moves once."""

    plan: Plan
    patience: _Patience
    ticks: list[int] = field(init=False)
    names: dict[int, str] = field(init=False)
    said: set[tuple[str, int]] = field(default_factory=set)
    sound: set[object] = field(default_factory=set)
    extremes: dict[object, Extremes] = field(default_factory=dict)
    ranges: dict[object, list[Value] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ticks = self.plan.looked_at()
        classes = reversed(list(enumerate(self.plan.matches.classes)))
        self.names = {self.plan.behaviour_of_class[number]: kind.row.name for number, kind in classes}

    def at_all(self, fired: Fired) -> Iterator[Diagnostic]:
        """Every behaviour and option that moves, where some conditions have come true."""
        for number, behaviour in enumerate(self.plan.behaviours):
            for option in behaviour.moving:
                for finding in self._over_time(number, behaviour, option, fired):
                    key = (finding.code, finding.span.start if finding.span is not None else -1)
                    if key not in self.said:
                        self.said.add(key)
                        yield finding
                    break

    def _over_time(
        self, number: int, behaviour: Behaviour, option: str, fired: Fired
    ) -> Iterator[Diagnostic]:
        stretches = self.plan.timeline.stretches(fired)
        for start, end in pairwise([0, *behaviour.changes(fired), self.ticks[-1] + 1]):
            product = behaviour.now(start, fired).products[option]
            ticks = self.ticks[bisect_left(self.ticks, start) : bisect_left(self.ticks, end)]
            clocks = tuple(stretches[mover.stage] for mover in product.movers)
            known = (behaviour.optimizer, option, product, clocks, *ticks[:1], *ticks[-1:])
            if product.movers and ticks and known not in self.sound:
                place = _Place(behaviour, option, self.names[number], fired, ticks)
                yield from self._judge(place, product, (product.movers, *known[3:]))
                self.sound.add(known)

    def _judge(self, place: _Place, product: Product, alike: object) -> Iterator[Diagnostic]:
        """The first tick that will not do. alike: what tells the bare product from others."""
        stretches = self.plan.timeline.stretches(place.fired)
        try:
            for mover in product.movers:
                mover.course(stretches)
        except (Fault, Faulty, UnknownTime) as fault:
            yield from _not_to_be_had(fault, place)
            return
        if self._surely_sound(place, product, alike):
            return
        bare = product if product.scale is None else Product(1.0, product.movers)
        try:
            found = self.extremes.get(alike)
            if found is None:
                ticks = self._some(bare, place)
                found = self.extremes[alike] = _extremes(bare, ticks, stretches)
            scaled = found if product.scale is None else [value * product.scale for value in found]
            if all(self._problem(place, value) is None for value in scaled):
                yield from self._implausible(place, scaled)
                return
        except (Fault, OverflowError):
            pass  # the search for the first tick says where
        yield from self._first(place, product, stretches)

    def _surely_sound(self, place: _Place, product: Product, alike: object) -> bool:
        """Whether all values are known to be in order without looking at each."""
        if alike not in self.ranges:
            stretches = self.plan.timeline.stretches(place.fired)
            self.ranges[alike] = corners(product.movers, stretches, place.ticks[0], place.ticks[-1])
        found, info = self.ranges[alike], self.plan.optimizers[place.behaviour.optimizer].info
        described = info.options.get(place.option)
        if found is None or described is None or described.integer:
            return False
        scaled = found if product.scale is None else [value * product.scale for value in found]
        return not any(
            self._problem(place, value) or optimizers.implausible(info, place.option, value)
            for value in scaled
        )

    def _some(self, product: Product, place: _Place) -> Sequence[int]:
        each = sum(len(mover.text) for mover in product.movers)
        return self.patience.some(place.ticks, each, lambda: _span(_deciding(place, place.ticks[0])))

    def _problem(self, place: _Place, value: Value) -> str | None:
        info = self.plan.optimizers[place.behaviour.optimizer].info
        return optimizers.problem(info, place.option, value) if place.option in info.options else None

    def _implausible(self, place: _Place, values: Sequence[Value]) -> Iterator[Diagnostic]:
        """LR129 for the greatest of some values that are allowed."""
        info = self.plan.optimizers[place.behaviour.optimizer].info
        great = [value for value in values if optimizers.implausible(info, place.option, value)]
        if great:
            span = _span(_deciding(place, place.ticks[0]))
            yield implausible_rate(
                place.option, great[-1], span, info.name, f" at its greatest for `{place.name}`"
            )

    def _first(self, place: _Place, product: Product, stretches: Stretches) -> Iterator[Diagnostic]:
        for tick in place.ticks:
            where = self.plan.words(tick)
            try:
                value = product.at(tick, stretches)
            except Fault as fault:
                message = f"{fault.message} at {where}, for `{place.name}`"
                yield fault.finding(message)
                return
            why = self._problem(place, value)
            if why is not None:
                message = (
                    f"`{place.option}` {why}, and this is {spelled(value)} at {where} for `{place.name}`"
                )
                help = "bound it with min(...) or max(...), or change the numbers"
                yield error("LR107", message, _span(_deciding(place, tick)), help)
                return


def _extremes(bare: Product, ticks: Sequence[int], stretches: Stretches) -> Extremes:
    values = bare.along(ticks, stretches)
    if all(type(value) is float or type(value) is int for value in values):
        return min(values), max(values)
    return tuple(dict.fromkeys(values))


def _deciding(place: _Place, tick: int) -> Effect:
    """The last effect in force that moves."""
    effects = place.behaviour.courses[place.option].effects
    active = [e for e in effects if place.behaviour.active(e.window, tick, place.fired)]
    return next(e for e in reversed(active) if isinstance(e.value, Moving))


def _span(effect: Effect) -> Span:
    expression = effect.setting.expression
    return effect.setting.span if expression is None else expression.span


def _not_to_be_had(fault: Fault | Faulty | UnknownTime, place: _Place) -> Iterator[Diagnostic]:
    """What is wrong whatever the time is."""
    if isinstance(fault, Faulty):
        yield from fault.found
        return
    if isinstance(fault, Fault):
        yield fault.finding()
        return
    span = _span(_deciding(place, place.ticks[0]))
    if fault.missing == "epochs":
        help = "give epochs or steps, or write `epochs 30` in the file"
        message = f"`{span.excerpt}` needs the length of the run, which is not known"
        yield error("LR311", message, span, help)
    else:
        help = "give steps_per_epoch (on the command line --steps-per-epoch), or write it in the file"
        message = f"`{span.excerpt}` needs the steps of an epoch, which are not known"
        yield error("LR309", message, span, help)


# ---------------------------------------------------------------- schedules that a file makes itself


def _factors(plan: Plan, patience: _Patience) -> Iterator[Diagnostic]:
    """The first tick at which a `let` that serves as a schedule gives no factor."""
    made = [one for one in plan.timed.schedules.values() if any(map(_is_named, parts_of(one.nominal)))]
    looked: set[tuple[Scheduled, Stretch]] = set()
    ticks = plan.looked_at() if made else []
    for fired in _suppositions(plan) if made else ():
        stretches = plan.timeline.stretches(fired)
        for scheduled in made:
            stretch = stretches[scheduled.stage]
            if stretch.start < NEVER and (scheduled, stretch) not in looked:
                looked.add((scheduled, stretch))
                yield from _no_factor(plan, scheduled, stretch, ticks, patience)


def _is_named(schedule: Schedule) -> TypeGuard[NamedFactor]:
    return isinstance(schedule, NamedFactor)


def _no_factor(
    plan: Plan, scheduled: Scheduled, stretch: Stretch, ticks: Sequence[int], patience: _Patience
) -> Iterator[Diagnostic]:
    schedule = scheduled.on(stretch)
    named = [part for part in parts_of(schedule) if _is_named(part)]
    if not named:  # a stage that was cut short may have none left
        return
    end = len(ticks) if stretch.end is None else bisect_right(ticks, stretch.end)
    within = ticks[bisect_left(ticks, stretch.start) : end]
    if within and all(part.surely_until(within[-1] - stretch.start) for part in named):
        return
    each = max(len(part.key) for part in named)
    for tick in patience.some(within, each, lambda: named[0].span):
        part, since = running(schedule, tick - stretch.start)
        try:
            if isinstance(part, NamedFactor):
                part.factor(since)
        except Fault as fault:
            yield fault.finding(f"{fault.message} at {plan.words(tick)}")
            return
