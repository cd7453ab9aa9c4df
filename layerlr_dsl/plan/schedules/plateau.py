"""The one schedule that waits for a metric."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from layerlr_dsl.plan.schedules.shapes import Curve
from layerlr_dsl.tools.records import record


@record(kw_only=True)
class Plateau(Curve):
    """`decay` times the rate whenever `metric` has not got better for more than `patience` reports.

    Its own factor is the warm-up's, then 1; what the metric takes off is kept by the state that
    `controller()` makes. `threshold` is relative to the best value so far, `cooldown` is in
    reports, `floor` is the least that is left of the rate. The meaning of each is that of
    torch.optim.lr_scheduler.ReduceLROnPlateau.
    """

    metric: str
    decay: float
    patience: int
    threshold: float
    rising: bool
    cooldown: int

    def lowered(self, peak: float, tick: int, factor: float) -> float:
        """What is left of a rate where metrics have taken so much off; `min_lr` bounds that, not the warm-up."""
        rate = self.rate(peak, tick)
        if self.min_lr is None or self.looked_up(tick) < self.warmup.ticks:
            return rate * factor
        return max(rate * factor, min(self.min_lr, peak))

    def controller(self) -> PlateauState:
        """A fresh state, which remembers what was reported."""
        return PlateauState(self)


class PlateauState:
    """What a plateau schedule has seen so far: the best value, the wait, and the factor that it led to."""

    __slots__ = ("bad", "best", "cooldown", "factor", "schedule")

    def __init__(self, schedule: Plateau) -> None:
        self.schedule = schedule
        self.best = -inf if schedule.rising else inf
        self.bad = 0
        self.cooldown = 0
        self.factor = 1.0

    def report(self, value: float) -> float:
        """Take in the metric's next value and say what is left of the rate, between floor and 1."""
        if self._better(value):
            self.best = value
            self.bad = 0
        else:
            self.bad += 1
        if self.cooldown > 0:
            self.cooldown -= 1
            self.bad = 0
        if self.bad > self.schedule.patience:
            self.factor = max(self.factor * self.schedule.decay, self.schedule.floor)
            self.cooldown = self.schedule.cooldown
            self.bad = 0
        return self.factor

    def _better(self, value: float) -> bool:
        threshold = self.schedule.threshold
        if self.schedule.rising:
            return value > self.best * (1.0 + threshold)
        return value < self.best * (1.0 - threshold)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "bad": self.bad, "cooldown": self.cooldown, "factor": self.factor}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = float(state["best"])
        self.bad = int(state["bad"])
        self.cooldown = int(state["cooldown"])
        self.factor = float(state["factor"])
