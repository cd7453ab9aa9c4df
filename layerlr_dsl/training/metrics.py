"""Waiting for metrics: conditions that end a window, and plateau schedules.

A condition comes true at its N-th epoch in a row without an improvement of more than D. The first
epoch after its window opens is what later ones are compared to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from numbers import Real
from typing import TYPE_CHECKING, Any

from layerlr_dsl.plan.schedules import Plateau, PlateauState, parts_of
from layerlr_dsl.plan.stages import NEVER, Fired
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.training.errors import listed, tell

if TYPE_CHECKING:
    from layerlr_dsl.plan.clock import Clock
    from layerlr_dsl.plan.plan import Plan
    from layerlr_dsl.plan.scheduled import Scheduled
    from layerlr_dsl.plan.timeline import Event

LONG_WITHOUT_EPOCHS = 1000


@dataclass(slots=True)
class Wait:
    """One condition: the best value since its window opened, and the reports since that one."""

    event: Event
    best: float | None = None
    bad: int = 0
    reported: bool = False

    def observe(self, value: float) -> bool:
        """Take a report; return whether the condition has come true with it."""
        self.reported = True
        if math.isfinite(value) and (self.best is None or self._improves(value, self.best)):
            self.best, self.bad = value, 0
            return False
        self.bad += 1
        return self.bad >= self.event.patience

    def _improves(self, value: float, best: float) -> bool:
        gain = best - value if self.event.direction == "falling" else value - best
        return gain > self.event.delta


class Waits:
    """All conditions of a plan, and the tick at which each came true."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.waits = [Wait(event) for event in plan.events]
        self.fired: dict[int, int] = {}

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset(wait.event.metric for wait in self.waits)

    def observe(self, values: Mapping[str, float], reported: int, now: int) -> bool:
        """Take what an epoch came to, by its last report at tick `reported`; return whether any came true."""
        before = len(self.fired)
        opened = [wait for wait in self.waits if self._is_open(wait.event, reported)]
        for wait in opened:
            if wait.event.metric in values and wait.observe(values[wait.event.metric]):
                self.fired[wait.event.index] = now
        return len(self.fired) > before

    def _is_open(self, event: Event, tick: int) -> bool:
        if event.index in self.fired:
            return False
        start = self.plan.timeline.tick(event.opens, self.fired)
        # A report made at the very tick of the opening speaks of the epoch before it.
        return tick > start or start == 0

    def unreported(self) -> tuple[str, ...]:
        """The conditions that wait for a metric nobody has reported."""
        return tuple(wait.event.text for wait in self._silent(()))

    def _silent(self, heard: Collection[str]) -> list[Wait]:
        reported = {wait.event.metric for wait in self.waits if wait.reported}.union(heard)
        return [wait for wait in self.waits if wait.event.metric not in reported]

    def overdue(self, heard: Collection[str]) -> list[tuple[int, str]]:
        """For each condition that nobody reports to: the tick at which that is odd, and its text."""
        silent = self._silent(heard)
        opened = ((self.plan.timeline.tick(wait.event.opens, self.fired), wait) for wait in silent)
        return [
            (start + patience_in_ticks(self.plan.clock, wait.event.patience) + 1, wait.event.text)
            for start, wait in opened
            if start < NEVER
        ]

    def state_dict(self) -> list[dict[str, Any]]:
        return [
            {
                "text": wait.event.text,
                "best": wait.best,
                "bad": wait.bad,
                "reported": wait.reported,
                "fired": self.fired.get(wait.event.index),
            }
            for wait in self.waits
        ]

    def load_state_dict(self, saved: Iterable[Mapping[str, Any]], here: Callable[[int], int]) -> None:
        """Conditions are known by their text, the n-th of equal ones by its place among them.

        here: from a tick of the saved clock to one of this.
        """
        by_text: dict[str, list[Mapping[str, Any]]] = {}
        for entry in saved:
            by_text.setdefault(entry["text"], []).append(entry)
        self.fired = {}
        for wait in self.waits:
            entries = by_text.get(wait.event.text)
            if not entries:
                wait.best, wait.bad, wait.reported = None, 0, False
                continue
            entry = entries.pop(0)
            wait.best, wait.bad, wait.reported = entry["best"], entry["bad"], entry["reported"]
            if entry["fired"] is not None:
                self.fired[wait.event.index] = here(entry["fired"])


@dataclass(frozen=True, slots=True)
class PlateauPart:
    """A plateau by its schedule and its place in it: each begins afresh with its stage, or its part."""

    scheduled: Scheduled
    place: int

    @property
    def plateau(self) -> Plateau:
        part = parts_of(self.scheduled.nominal)[self.place]
        assert isinstance(part, Plateau)
        return part

    @property
    def called(self) -> str:
        """What tells it from others of an edited file."""
        stage = f"stage {self.scheduled.stage}: " if self.scheduled.stage else ""
        return f"{stage}{self.plateau.text()}" + (f", part {self.place + 1}" if self.place else "")


class Plateaus:
    """All plateau schedules of a plan, and what the metrics have taken off each."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        found = [PlateauPart(one, place) for one in _scheduled(plan) for place, _ in one.plateaus()]
        self.states: dict[PlateauPart, PlateauState] = {
            part: part.plateau.controller() for part in sorted(found, key=lambda part: part.called)
        }

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset(part.plateau.metric for part in self.states)

    def observe(self, values: Mapping[str, float], tick: int, fired: Fired) -> bool:
        """Take what an epoch came to; return whether any rate changes by it."""
        changed = False
        for part, state in self.states.items():
            metric = part.plateau.metric
            if metric in values and self._runs(part, tick, fired):
                before = state.factor
                changed |= state.report(values[metric]) != before
        return changed

    def _runs(self, part: PlateauPart, at: int, fired: Fired) -> bool:
        """Whether a plateau is the part that runs, in the stage that runs."""
        stage = part.scheduled.stage
        over = self.plan.held(at, fired) != at  # then the last state holds
        if over or (stage and self.plan.stage(at, fired) != stage):
            return False
        return part.scheduled.running(at, self.plan.timeline.stretches(fired)) == part.place

    def unreported(self) -> tuple[str, ...]:
        """The plateaus whose metric was never reported."""
        return tuple(part.plateau.text() for part in self._silent(()))

    def _silent(self, heard: Collection[str]) -> list[PlateauPart]:
        unheard = (part for part, state in self.states.items() if not math.isfinite(state.best))
        return [part for part in unheard if part.plateau.metric not in heard]

    def overdue(self, heard: Collection[str], fired: Fired) -> list[tuple[int, str]]:
        """For each plateau that nobody reports to: the tick at which that is odd, and its text."""
        stretches = self.plan.timeline.stretches(fired)
        return [
            (
                stretches[part.scheduled.stage].start
                + patience_in_ticks(self.plan.clock, part.plateau.patience)
                + 1,
                part.plateau.text(),
            )
            for part in self._silent(heard)
            if stretches[part.scheduled.stage].start < NEVER
        ]

    def state_dict(self) -> dict[str, Any]:
        return {part.called: state.state_dict() for part, state in self.states.items()}

    def load_state_dict(self, saved: Mapping[str, Mapping[str, Any]]) -> None:
        """They are known by their text."""
        for part, state in self.states.items():
            if part.called in saved:
                state.load_state_dict(saved[part.called])


def _scheduled(plan: Plan) -> list[Scheduled]:
    """Every schedule that drives a group at some time."""
    found = [
        effect.schedule
        for group in plan.groups
        for course in group.behaviour.courses.values()
        for effect in course.schedules
    ]
    return list(dict.fromkeys(found))


def patience_in_ticks(clock: Clock, epochs: int) -> int:
    """How long a wait for a metric may go without any report: its patience and an epoch, half the run at most."""
    if clock.knows_epochs:
        half = None if clock.run_epochs is None else max(1, ceil(clock.run_epochs / 2))
        return ceil(min(epochs + 1, half or epochs + 1) * clock.ticks_per_epoch)
    return LONG_WITHOUT_EPOCHS if clock.total is None else clock.total // 2


def as_numbers(values: Mapping[str, object]) -> dict[str, float]:
    """Reported values as floats. Raises TypeError for one that is no number; warns of one not finite."""
    numbers: dict[str, float] = {}
    for name, value in values.items():
        if hasattr(value, "item"):
            with suppress(ValueError, RuntimeError):  # of a tensor or array with more than one element
                value = value.item()
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"the report of {name!r} is no number: {value!r}")
        numbers[name] = float(value)
        if not math.isfinite(numbers[name]):
            text = f"{name} was reported as {numbers[name]}; that counts as a report without improvement"
            tell(text)
    return numbers


def warn_of_unknown(reported: Iterable[str], wanted: frozenset[str]) -> None:
    """Say that nothing in a report is waited for, with the name that was probably meant."""
    near = {name: nearest(name, wanted) for name in reported}
    hints = [f"{name!r} may be meant for {other!r}" for name, other in near.items() if other]
    hint = f"; {', '.join(hints)}" if hints else ""
    tell(f"the rules wait for {listed(sorted(wanted))}, and the report has only {listed(sorted(near))}{hint}")


def warn_of_silence(texts: Iterable[str]) -> None:
    """Say that nobody reports what some rules wait for."""
    tell(
        f"nobody has reported yet what these rules wait for: {listed(texts)}. Call schedule.report(...) after every "
        "validation (Lightning, transformers: the callback ReportMetrics of layerlr_dsl.training does), or the rules "
        "never change anything"
    )
