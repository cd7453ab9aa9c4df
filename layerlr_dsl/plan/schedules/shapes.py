"""The curves. Every constant is worked out when the schedule is made; `factor` only computes.

Two schedules are equal when they give the same factors for the same reason, however their
arguments were written: `warmup=5%` and `warmup=1 epoch` are one schedule in a run of 20 epochs.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from math import cos, pi, sqrt
from typing import Protocol, runtime_checkable

FOREVER = 1 << 62
"""The last tick of a run whose length is unknown."""


@runtime_checkable
class Schedule(Protocol):
    """What every schedule offers; all are frozen and hashable."""

    @property
    def name(self) -> str:
        """As a rule file writes it."""
        ...

    def factor(self, tick: int) -> float:
        """The share of its peak that a rate has at `tick`, between 0 and 1."""
        ...

    def text(self) -> str:
        """One canonical line, which reads back as the same schedule."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Common to all: the warm-up before the curve, and the value kept after the end of the run.

    warmup: ticks of linear warm-up, factor k/warmup at tick k. end: the run's ticks. last: the
    factor from there on. written: the canonical text.
    """

    name: str = field(compare=False)
    written: str = field(compare=False)
    warmup: int
    end: int
    last: float

    def factor(self, tick: int) -> float:
        if tick < self.warmup:
            return tick / self.warmup
        if tick >= self.end:
            return self.last
        return self.after_warmup(tick)

    def after_warmup(self, tick: int) -> float:
        """The factor at an absolute tick, warm-up over and the run not."""
        return 1.0

    def text(self) -> str:
        return self.written


Constant = Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Curve):
    """`gamma` to the number of whole periods passed; a period lasts `period / parts` ticks."""

    period: int
    parts: int
    gamma: float
    floor: float

    def after_warmup(self, tick: int) -> float:
        value: float = self.gamma ** (tick * self.parts // self.period)
        return value if value > self.floor else self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiStep(Curve):
    """`gamma` to the number of `marks` (ticks) passed."""

    marks: tuple[int, ...]
    gamma: float
    floor: float

    def after_warmup(self, tick: int) -> float:
        value: float = self.gamma ** bisect_right(self.marks, tick)
        return value if value > self.floor else self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential(Curve):
    """`gamma` to the epochs passed, fractions of an epoch included."""

    ticks_per_epoch: int
    gamma: float
    floor: float

    def after_warmup(self, tick: int) -> float:
        value = self.gamma ** (tick / self.ticks_per_epoch)
        return value if value > self.floor else self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Polynomial(Curve):
    """From 1 to the floor along (1 - progress)^power; power 1 is the straight line."""

    span: int
    power: float
    floor: float

    def after_warmup(self, tick: int) -> float:
        left = 1.0 - (tick - self.warmup) / self.span
        return self.floor + (1.0 - self.floor) * float(left**self.power)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine(Curve):
    """Half a cosine from 1 to the floor over what remains after the warm-up."""

    rate: float
    depth: float
    floor: float

    def after_warmup(self, tick: int) -> float:
        value = 1.0 - self.depth * (1.0 - cos(self.rate * (tick - self.warmup)))
        return value if value > self.floor else self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class CosineRestarts(Curve):
    """Half a cosine again and again; `starts` are where the cycles begin, in ticks after the warm-up.

    Where all cycles are equally long there is but one start, and `period` says how long.
    """

    starts: tuple[float, ...]
    period: float
    multiply: float
    floor: float

    def after_warmup(self, tick: int) -> float:
        since = float(tick - self.warmup)
        if len(self.starts) == 1:
            return self.at(since % self.period / self.period)
        cycle = bisect_right(self.starts, since) - 1
        return self.at((since - self.starts[cycle]) / (self.period * self.multiply**cycle))

    def at(self, progress: float) -> float:
        """The factor at a share of a cycle."""
        value = 1.0 - 0.5 * (1.0 - self.floor) * (1.0 - cos(pi * progress))
        return value if value > self.floor else self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCycle(Curve):
    """Up to the peak and down again, both along half a cosine; places are in ticks, not always whole."""

    peak: float
    close: float
    start: float
    final: float

    def after_warmup(self, tick: int) -> float:
        if tick < self.peak:
            return _eased(self.start, 1.0, tick / self.peak)
        if tick >= self.close:
            return self.final
        return _eased(1.0, self.final, (tick - self.peak) / (self.close - self.peak))


def _eased(first: float, last: float, progress: float) -> float:
    return last + (first - last) * 0.5 * (1.0 + cos(pi * progress))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlantedTriangular(Curve):
    """A short straight rise to tick `cut`, then a long straight fall over `fall` ticks."""

    cut: int
    fall: float
    floor: float

    def after_warmup(self, tick: int) -> float:
        share = tick / self.cut if tick < self.cut else 1.0 - (tick - self.cut) / self.fall
        return self.floor + (1.0 - self.floor) * (share if share > 0.0 else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseSqrt(Curve):
    """sqrt(timescale / (ticks since the warm-up + timescale))."""

    timescale: int
    floor: float

    def after_warmup(self, tick: int) -> float:
        value = sqrt(self.timescale / (tick - self.warmup + self.timescale))
        return value if value > self.floor else self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupStableDecay(Curve):
    """Level until tick `start`, then a straight fall to the floor at the end of the run."""

    start: int
    floor: float

    def after_warmup(self, tick: int) -> float:
        if tick < self.start:
            return 1.0
        return 1.0 - (1.0 - self.floor) * ((tick - self.start) / (self.end - self.start))
