"""The curves. Every constant is worked out when the schedule is made; `rate` only computes.

Two schedules are equal when they give the same rates for the same reason, however their
arguments were written: `warmup=5%` and `warmup=1 epoch` are one schedule in a run of 20 epochs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import field
from math import ceil, cos, floor, inf, log, pi, sqrt
from typing import ClassVar, Protocol, runtime_checkable

from layerlr_dsl.plan.clock import Steps
from layerlr_dsl.plan.schedules.easing import LINEAR, Easing
from layerlr_dsl.tools.records import record

_HAIR = 1e-9
"""By how much a share of a cycle may be off."""
FOREVER = 1 << 62
"""The last tick of a run whose length is unknown."""


@runtime_checkable
class Schedule(Protocol):
    """What every schedule offers; all are frozen and hashable. Ticks count from its own start."""

    @property
    def name(self) -> str:
        """As a rule file writes it."""
        ...

    @property
    def absolute(self) -> bool:
        """Whether the share that is left depends on the rate itself, so that `factor` says nothing."""
        ...

    def factor(self, tick: int) -> float:
        """The share of its peak that a rate has at `tick`."""
        ...

    def rate(self, peak: float, tick: int) -> float:
        """What is left of a rate at `tick`."""
        ...

    def text(self) -> str:
        """One canonical line, which reads back as the same schedule."""
        ...


@record
class Warmup:
    """What comes before a curve: `ticks` from `start` (a factor) or `rate` (absolute) up to the curve.

    reached: the tick at which the end is reached, `ticks` itself or the one before it.
    to_peak: it aims at the peak, and not at the curve's value where it ends.
    """

    ticks: int = 0
    reached: int = 0
    start: float = 0.0
    rate: float | None = None
    easing: Easing = LINEAR
    to_peak: bool = False

    def between(self, first: float, last: float, tick: int) -> float:
        if tick >= self.reached:
            return last
        return self.easing.between(first, last, tick / self.reached)


@record(kw_only=True)
class Curve:
    """Common to all: the warm-up before the curve, and the value kept after the end of the run.

    end: the run's ticks. floor: the least share of the peak. min_lr: the least rate instead, absolute.
    held: ticks for which a value is held (an epoch's, for `interval=epoch`). written: the canonical text.
    """

    name: str = field(compare=False)
    written: str = field(compare=False)
    warmup: Warmup = Warmup()
    end: int = FOREVER
    floor: float = 0.0
    min_lr: float | None = None
    held: Steps = 1
    summit: float = field(init=False, repr=False, compare=False)
    """The share of the peak that the warm-up leads to."""
    cut: ClassVar[bool] = False
    """Whether the floor cuts the curve off; else the curve is squeezed to end at it."""

    def __post_init__(self) -> None:
        leads = self.warmup.ticks > 0 and not self.warmup.to_peak
        object.__setattr__(self, "summit", self.begun(self.floor) if leads else 1.0)

    @property
    def absolute(self) -> bool:
        return self.min_lr is not None or self.warmup.rate is not None

    def looked_up(self, tick: int) -> int:
        """The tick at which what holds at `tick` was looked up."""
        return ceil(tick // self.held * self.held) if self.held > 1 else tick

    def factor(self, tick: int) -> float:
        if self.held > 1:  # most often not, and every step of training asks
            tick = self.looked_up(tick)
        warmup = self.warmup
        if tick < warmup.ticks:
            return warmup.between(warmup.start * self.summit, self.summit, tick)
        return self.decayed(tick, self.floor)

    def rate(self, peak: float, tick: int) -> float:
        if not self.absolute:
            return peak * self.factor(tick)
        if peak <= 0.0:
            return peak
        if self.held > 1:
            tick = self.looked_up(tick)
        least = self.floor if self.min_lr is None else min(self.min_lr / peak, 1.0)
        warmup = self.warmup
        if tick >= warmup.ticks:
            return peak * self.decayed(tick, least)
        target = peak if warmup.to_peak else peak * self.begun(least)
        first = warmup.start * target if warmup.rate is None else warmup.rate
        return warmup.between(first, target, tick)

    def decayed(self, tick: int, least: float) -> float:
        """The share of the peak at a tick behind the warm-up, which is never less than `least`."""
        return self.bounded(self.share(tick) if tick < self.end else self.last_share(), least)

    def begun(self, least: float) -> float:
        """What a warm-up leads to, also one that leaves the run no tick for the decay."""
        return self.bounded(self.share(self.warmup.ticks), least)

    def bounded(self, share: float, least: float) -> float:
        """A share of the way from `least` up to the peak as a share of the peak."""
        if self.cut:
            return share if share > least else least
        return least + (1.0 - least) * share

    def share(self, tick: int) -> float:
        """How far up between the floor and the peak, at an absolute tick before the end."""
        return 1.0

    def last_share(self) -> float:
        """The same for all ticks from the end on."""
        return self.share(self.end)

    def text(self) -> str:
        return self.written


@record(kw_only=True)
class Constant(Curve):
    """`level` of the peak throughout."""

    level: float = 1.0

    def share(self, tick: int) -> float:
        return self.level


@record(kw_only=True)
class Step(Curve):
    """`gamma` to the number of whole periods passed; a period lasts `period / parts` ticks."""

    period: int
    parts: int
    gamma: float
    cut: ClassVar[bool] = True

    def share(self, tick: int) -> float:
        return float(self.gamma ** (tick * self.parts // self.period))


@record(kw_only=True)
class MultiStep(Curve):
    """`gamma` to the number of `marks` (ticks) passed."""

    marks: tuple[int, ...]
    gamma: float
    cut: ClassVar[bool] = True

    def share(self, tick: int) -> float:
        return float(self.gamma ** bisect_right(self.marks, tick))


@record(kw_only=True)
class Exponential(Curve):
    """`gamma` to the number of `period`s (ticks) passed since tick `start`, fractions included, `most` at most."""

    gamma: float
    period: float
    start: int = 0
    most: float = inf
    cut: ClassVar[bool] = True

    def share(self, tick: int) -> float:
        return float(self.gamma ** min((tick - self.start) / self.period, self.most))

    def last_share(self) -> float:
        return self.share(self.end) if self.most == inf else self.gamma


@record(kw_only=True)
class Linear(Curve):
    """A straight line from one share of the peak at tick `start` to another, `span` ticks later."""

    start: int
    span: int
    first: float
    last: float
    cut: ClassVar[bool] = True

    def share(self, tick: int) -> float:
        return self.first + (self.last - self.first) * min((tick - self.start) / self.span, 1.0)

    def last_share(self) -> float:
        return self.last


@record(kw_only=True)
class Polynomial(Curve):
    """From 1 at tick `start` to the floor, `span` ticks later, along (1 - progress)^power."""

    start: int
    span: int
    power: float

    def share(self, tick: int) -> float:
        return float((1.0 - min((tick - self.start) / self.span, 1.0)) ** self.power)

    def last_share(self) -> float:
        return 0.0


@record(kw_only=True)
class Falling(Curve):
    """From 1 at tick `start` to the floor, `span` ticks later, along a function of the progress in between."""

    start: int
    span: int
    along: Callable[[float], float] = field(repr=False)
    """What tells one from another in words is the name: an address would differ from process to process."""

    def share(self, tick: int) -> float:
        progress = (tick - self.start) / self.span
        return self.along(progress if progress < 1.0 else 1.0)

    def last_share(self) -> float:
        return 0.0


FALLING: dict[str, Callable[[float], float]] = {}
"""The decays that are no more than a function of the progress, by the name of the schedule."""


def falling(along: Callable[[float], float]) -> Callable[[float], float]:
    """Mark a function, 1 at progress 0 and 0 at progress 1, as the curve of the schedule of its name."""
    FALLING[along.__name__] = along
    return along


@falling
def cosine(progress: float) -> float:
    """From 1 to 0, level at both ends."""
    return 0.5 * (1.0 + cos(pi * progress))


@record(kw_only=True)
class CosineRestarts(Curve):
    """Half a cosine again and again from tick `start` on; each cycle is `multiply` times as long as the last."""

    start: int
    period: float
    multiply: float

    def share(self, tick: int) -> float:
        return 0.5 * (1.0 + cos(pi * self._progress(float(tick - self.start))))

    def last_share(self) -> float:
        # A run that ends with a cycle ends low: the restart at its last mark belongs to no step.
        restarts = self.end > self.start and self._progress(float(self.end - self.start)) < _HAIR
        return 0.0 if restarts else self.share(self.end)

    def _progress(self, since: float) -> float:
        """The share of the cycle that is running."""
        if self.multiply == 1.0:
            return since % self.period / self.period
        cycle = max(floor(log(1.0 + since * (self.multiply - 1.0) / self.period, self.multiply)), 0)
        # The logarithm may be off by a hair at the very place where a cycle begins.
        while self._begins(cycle + 1) <= since:
            cycle += 1
        while cycle and self._begins(cycle) > since:
            cycle -= 1
        return (since - self._begins(cycle)) / (self.period * self.multiply**cycle)

    def _begins(self, cycle: int) -> float:
        return float(self.period * (self.multiply**cycle - 1.0) / (self.multiply - 1.0))


@record(kw_only=True)
class OneCycle(Curve):
    """Up to the peak and down again, both along half a cosine; places are in ticks, not always whole."""

    peak: float
    close: float
    start: float

    def begun(self, least: float) -> float:
        return 1.0

    def decayed(self, tick: int, least: float) -> float:
        if tick < self.peak:
            return _eased(max(self.start, least), 1.0, tick / self.peak)
        if tick >= self.close:
            return least
        return _eased(1.0, least, (tick - self.peak) / (self.close - self.peak))


def _eased(first: float, last: float, progress: float) -> float:
    return last + (first - last) * 0.5 * (1.0 + cos(pi * progress))


@record(kw_only=True)
class SlantedTriangular(Curve):
    """A short straight rise to tick `peak`, then a long straight fall over `fall` ticks."""

    peak: int
    fall: float

    def share(self, tick: int) -> float:
        share = tick / self.peak if tick < self.peak else 1.0 - (tick - self.peak) / self.fall
        return share if share > 0.0 else 0.0

    def last_share(self) -> float:
        return 0.0


@record(kw_only=True)
class InverseSqrt(Curve):
    """sqrt(timescale / (ticks since `start` + timescale))."""

    timescale: int
    start: int
    cut: ClassVar[bool] = True

    def share(self, tick: int) -> float:
        return sqrt(self.timescale / (tick - self.start + self.timescale))


@record(kw_only=True)
class WarmupStableDecay(Curve):
    """Level until tick `start`, then a fall to the floor over `span` ticks."""

    start: int
    span: int
    easing: Easing = LINEAR

    def begun(self, least: float) -> float:
        return 1.0

    def decayed(self, tick: int, least: float) -> float:
        if tick < self.start:
            return 1.0
        p = min((tick - self.start) / self.span, 1.0) if self.span > 0 else 1.0
        return least if p >= 1.0 else self.easing.between(1.0, least, p)


@record
class Sequence:
    """One schedule behind the other: each begins at its tick of `starts`, as if that were a run's start.

    lengths: how long each is, as it is written; "" for the last.
    """

    starts: tuple[int, ...]
    parts: tuple[Schedule, ...]
    lengths: tuple[str, ...] = field(compare=False, default=())
    name: ClassVar[str] = "sequence"

    @property
    def absolute(self) -> bool:
        return any(part.absolute for part in self.parts)

    def factor(self, tick: int) -> float:
        place = self.place(tick)
        return self.parts[place].factor(tick - self.starts[place])

    def rate(self, peak: float, tick: int) -> float:
        place = self.place(tick)
        return self.parts[place].rate(peak, tick - self.starts[place])

    def place(self, tick: int) -> int:
        """Which part is running."""
        return max(bisect_right(self.starts, tick) - 1, 0)

    def text(self) -> str:
        lengths = [f" for {length}" if length else "" for length in self.lengths] or [""] * len(self.parts)
        return " then ".join(
            f"{part.text()}{length}" for part, length in zip(self.parts, lengths, strict=False)
        )


def running(schedule: Schedule, tick: int) -> tuple[Schedule, int]:
    """The part of a schedule that runs at a tick, and that tick on its own clock."""
    if not isinstance(schedule, Sequence):
        return schedule, tick
    place = schedule.place(tick)
    return schedule.parts[place], tick - schedule.starts[place]


def parts_of(schedule: Schedule) -> tuple[Schedule, ...]:
    """The parts of a sequence; of anything else itself."""
    return schedule.parts if isinstance(schedule, Sequence) else (schedule,)
