"""What may come: how far the rates of a group may differ from those drawn, where a metric decides.

A picture shows the run as if no metric ever said anything. What a metric may change is worked out by supposing:
each condition as if it came true as soon as it can, and at some times after that; each `plateau` as if the metric
got no better from the start.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import count, groupby, takewhile
from math import floor
from typing import TYPE_CHECKING

from layerlr_dsl.plan.schedules import Plateau
from layerlr_dsl.plan.schedules import Sequence as InTurn
from layerlr_dsl.plan.stages import NEVER
from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from layerlr_dsl.plan.clock import Clock
    from layerlr_dsl.plan.plan import Group, Plan
    from layerlr_dsl.plan.scheduled import Scheduled
    from layerlr_dsl.plan.stages import Fired
    from layerlr_dsl.plan.timeline import Event

MOST_WORKED_OUT = 60_000
"""Values that are worked out for all suppositions together; with many groups they are looked at less often."""
FEWEST_POINTS = 16
MOST_GROUPS = 200
LATER = (0.25, 0.5, 0.75)
"""When a condition is supposed to come true, as shares of the time that is left from when it can."""


@record
class Fan:
    """The rates that a group may have while it trains, lowest and highest, over the times of a picture.

    A high of 0: it trains in no case. frees: whether it may be frozen where it is drawn as training, or the other
    way round.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    frees: tuple[bool, ...]


@record
class Course:
    """The rates of a group over some ticks, and when it is frozen."""

    rates: tuple[float, ...]
    frozen: tuple[bool, ...]


def soonest(plan: Plan, event: Event, opens: int) -> int:
    """The first tick at which a condition whose window opens at `opens` can have come true.

    It takes as many epochs as it is patient for, that of its opening among them: each is reported on at its end.
    """
    if opens >= NEVER or not plan.clock.knows_epochs:
        return opens
    return plan.clock.tick_of_epoch(Fraction(floor(plan.clock.epoch_of(opens)) + event.patience))


class Fans:
    """What may come for each group of a plan. `value` gives what is drawn of a group at a tick."""

    def __init__(
        self,
        plan: Plan,
        ticks: Sequence[int],
        fired: Fired,
        value: Callable[[Group, int, Mapping[int, int]], float],
        driven: bool,
    ) -> None:
        self.plan, self.ticks, self.fired, self.value, self.driven = plan, ticks, dict(fired), value, driven
        total = plan.clock.total or 0
        self.suppositions = list(self._suppositions(total)) if plan.events else []
        self.points = self._points()

    def _suppositions(self, total: int) -> Iterator[dict[int, int]]:
        before = dict(self.fired)
        for event, _, _ in self.plan.suppositions():
            opens = self.plan.timeline.tick(event.opens, before)
            at = soonest(self.plan, event, opens)
            if event.index in self.fired or at >= total:
                continue
            before[event.index] = at
            yield dict(before)
            left = total - at
            yield from ({**before, event.index: at + int(left * part)} for part in LATER if left > 4)

    def _points(self) -> list[int]:
        """The places in `ticks` that are looked at."""
        every = len(self.suppositions) * min(len(self.plan.groups), MOST_GROUPS)
        most = max(MOST_WORKED_OUT // max(every, 1), FEWEST_POINTS)
        step = max(-(-len(self.ticks) // most), 1)
        return list(range(0, len(self.ticks), step))

    def of(self, place: int, drawn: Course) -> Fan | None:
        """The fan of a group that is drawn so; None where nothing may come."""
        group = self.plan.groups[place]
        low, high = self._fallen(group, drawn)
        courses = [self._course(place, fired) for fired in self.suppositions] if place < MOST_GROUPS else []
        frees = [False] * len(self.ticks)
        for course in courses:
            for k in range(len(self.ticks)):
                at = bisect_right(self.points, k) - 1
                if course.frozen[at] is not drawn.frozen[self.points[at]]:
                    frees[k] = True
                if not course.frozen[at] and not self._alike(course.rates[at], drawn, self.points[at]):
                    low[k] = min(low[k] or course.rates[at], course.rates[at])
                    high[k] = max(high[k], course.rates[at])
        fan = Fan(tuple(low), tuple(high), tuple(frees))
        nothing = (
            low
            == high
            == [0.0 if still else rate for rate, still in zip(drawn.rates, drawn.frozen, strict=True)]
        )
        return None if nothing and not any(frees) else fan

    def _alike(self, rate: float, drawn: Course, k: int) -> bool:
        return not drawn.frozen[k] and rate == drawn.rates[k]

    def _course(self, place: int, fired: Mapping[int, int]) -> Course:
        group, plan = self.plan.groups[place], self.plan
        at = [plan.held(self.ticks[k], fired) for k in self.points]
        rates = tuple(self.value(group, tick, fired) for tick in at)
        frozen = tuple(group.kind != "trains" or group.behaviour.freeze(tick, fired).frozen for tick in at)
        return Course(rates, frozen)

    # ------------------------------------------------------------ plateau

    def _fallen(self, group: Group, drawn: Course) -> tuple[list[float], list[float]]:
        """The rates as drawn, and what is left of them where each plateau falls as fast as it can."""
        high = [0.0 if still else rate for rate, still in zip(drawn.rates, drawn.frozen, strict=True)]
        if not self.driven or not any(True for _ in plateaus(group, self.ticks, self.fired)):
            return list(high), high
        factors = Fallen(self.plan, group, self.fired)
        return [factors.at(rate, tick) for rate, tick in zip(high, self.ticks, strict=True)], high


def plateaus(group: Group, ticks: Sequence[int], fired: Fired) -> Iterator[tuple[int, Plateau]]:
    """Each plateau that drives a group at some time, with the first of the ticks at which it does."""
    seen: set[Plateau] = set()
    for tick in ticks if group.kind == "trains" else ():
        part = _part(group, tick, fired)
        if part is not None and part not in seen:
            seen.add(part)
            yield tick, part


def running(scheduled: Scheduled, group: Group, tick: int, fired: Fired) -> Plateau | None:
    """The plateau that runs at a tick; None where another schedule does."""
    stretch = group.behaviour.timeline.stretches(fired)[scheduled.stage]
    schedule = scheduled.on(stretch)
    part = schedule.parts[schedule.place(tick - stretch.start)] if isinstance(schedule, InTurn) else schedule
    return part if isinstance(part, Plateau) else None


def _reports(clock: Clock) -> Iterator[int]:
    """The ticks at which an epoch is over, or every tick where the clock knows none."""
    total = clock.total or 0
    if not clock.knows_epochs or clock.ticks_per_epoch <= 1:
        return iter(range(1, total + 1))
    return takewhile(lambda tick: tick <= total, map(clock.end_of_epoch, count()))


class Fallen:
    """What a plateau leaves of a rate if its metric is reported once an epoch and never gets better."""

    def __init__(self, plan: Plan, group: Group, fired: Fired) -> None:
        self._starts: list[int] = [0]
        self._left: list[tuple[float, float]] = [(1.0, 0.0)]
        reports = _reports(plan.clock)
        for part, ticks in groupby(reports, lambda tick: _part(group, tick - 1, fired)):
            state = None if part is None else part.controller()
            for tick in ticks:
                self._starts.append(tick)
                self._left.append((1.0, 0.0) if state is None else (state.report(1.0), part.min_lr or 0.0))  # type: ignore[union-attr]

    def first(self, tick: int) -> int:
        """The first tick from `tick` on at which less may be left; NEVER where nothing is taken off."""
        lefts = zip(self._starts, self._left, strict=True)
        return next((start for start, (factor, _) in lefts if start >= tick and factor < 1), NEVER)

    def at(self, rate: float, tick: int) -> float:
        """The least that may be left of a rate at a tick."""
        factor, least = self._left[bisect_right(self._starts, tick) - 1]
        return max(rate * factor, min(least, rate))


def _part(group: Group, tick: int, fired: Fired) -> Plateau | None:
    scheduled = group.behaviour.schedule_at(tick, fired)
    return None if scheduled is None else running(scheduled, group, tick, fired)
