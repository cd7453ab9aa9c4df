"""The stages of a run: when each begins and ends, and the clock that counts in it.

A stage that waits for a metric ends when its condition comes true, so where the later ones begin is known
only then; until it has come true it is drawn as if it never did.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil

from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.clock import Clock, Length
from layerlr_dsl.tools.records import record

NEVER = 2**62
"""A tick that no run reaches: the end of a window that stays open."""

Fired = Mapping[int, int]
"""Metric conditions that have come true: number of the event -> tick."""
NOTHING_FIRED: Fired = {}


@record
class Stage:
    """A stage as the file gives it. until: the number of the metric condition that ends it."""

    name: str
    length: Length | None
    until: int | None
    fresh: bool
    span: Span


@record
class Stretch:
    """A stage, or the whole run, on the run's ticks: it holds from `start` until `end` (None: nobody knows).

    clock: of its own, and of its greatest length. A stage that nobody knows when it begins starts NEVER.
    """

    start: int
    end: int | None
    clock: Clock


Stretches = tuple[Stretch, ...]
"""The whole run first, then every stage."""


@record
class Calendar:
    """The stages of a file on the clock of a run."""

    clock: Clock
    stages: tuple[Stage, ...] = ()

    def stretches(self, fired: Fired) -> Stretches:
        """The run and its stages, given the conditions that have come true."""
        found = [Stretch(0, self.clock.total, self.clock)]
        at: Fraction | None = Fraction(0)
        for number, stage in enumerate(self.stages):
            if at is None or (number and not self._holds(ceil(at))):
                found.append(Stretch(NEVER, None, self._whenever(stage)))
                at = None
                continue
            last = number == len(self.stages) - 1
            limit = self.clock.length
            if stage.length is not None:
                limit = at + self.clock.exact(stage.length)
            start = ceil(at)
            end = limit if stage.length is not None or last else None
            at_event = None if stage.until is None else fired.get(stage.until)
            if at_event is not None and at_event >= start and (end is None or at_event < end):
                end = Fraction(at_event)
            # One tick at least: a stage that holds none is passed over, whatever its clock is.
            ticks = None if limit is None else max(ceil(limit) - start, 1)
            found.append(Stretch(start, None if end is None else ceil(end), self.clock.part(ticks)))
            at = end
        return tuple(found)

    def _holds(self, tick: int) -> bool:
        """Whether a tick belongs to the run; what would begin behind it never does."""
        return self.clock.total is None or tick < self.clock.total

    def _whenever(self, stage: Stage) -> Clock:
        """The clock of a stage that nobody knows when it begins: as long as it can be."""
        if stage.length is None:
            return self.clock.part(self.clock.total)
        return self.clock.part(ceil(self.clock.exact(stage.length)))

    def over(self, stretches: Stretches) -> int | None:
        """The tick at which the last stage is over before the run is; None where it is not."""
        end = stretches[-1].end if self.stages else None
        total = self.clock.total
        return end if end is not None and (total is None or end < total) else None

    def stage_at(self, tick: int, stretches: Stretches) -> int:
        """The number of the stage that runs at a tick, from 1; 0 where there are none."""
        running = [
            n for n, stretch in enumerate(stretches) if n and stretch.start <= tick and stretch.start < NEVER
        ]
        # Of stages that begin at one tick the last runs: the others hold no tick.
        return running[-1] if running else 0
