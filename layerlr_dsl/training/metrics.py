"""Waiting for metrics: conditions that end a window, and plateau schedules.

A condition comes true at its N-th report in a row without an improvement of more than D. The first
report after its window opens is what later ones are compared to.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.training.errors import ScheduleWarning, listed

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan
    from layerlr_dsl.plan.timeline import Event


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

    def observe(self, values: Mapping[str, float], tick: int) -> bool:
        """Take the reports of one epoch at `tick`; return whether any condition came true."""
        before = len(self.fired)
        opened = [wait for wait in self.waits if self._is_open(wait.event, tick)]
        for wait in opened:
            if wait.event.metric in values and wait.observe(values[wait.event.metric]):
                self.fired[wait.event.index] = tick
        return len(self.fired) > before

    def _is_open(self, event: Event, tick: int) -> bool:
        if event.index in self.fired:
            return False
        start = self.plan.timeline.tick(event.opens, self.fired)
        # A report made at the very tick of the opening speaks of the epoch before it.
        return tick > start or start == 0

    def unreported(self) -> tuple[str, ...]:
        """The conditions that wait for a metric nobody has reported."""
        reported = {wait.event.metric for wait in self.waits if wait.reported}
        return tuple(wait.event.text for wait in self.waits if wait.event.metric not in reported)

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
            warnings.warn(text, ScheduleWarning, stacklevel=4)
    return numbers


def warn_of_unknown(reported: Iterable[str], wanted: frozenset[str]) -> None:
    """Say that nothing in a report is waited for, with the name that was probably meant."""
    near = {name: nearest(name, wanted) for name in reported}
    hints = [f"{name!r} may be meant for {other!r}" for name, other in near.items() if other]
    hint = f"; {', '.join(hints)}" if hints else ""
    warnings.warn(
        f"the rules wait for {listed(sorted(wanted))}, and the report has only {listed(sorted(near))}{hint}",
        ScheduleWarning,
        stacklevel=4,
    )
