"""How long a trial of each file lasts where only the time for everything is given: as many epochs as fit its share.

All files get the same seconds for a trial, so one that trains little gets more epochs for them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from layerlr_dsl.language.diagnostics import RuleError
from layerlr_dsl.runner.errors import DataFault, RunFailed, RunnerError, Unfit
from layerlr_dsl.runner.stock import Stock
from layerlr_dsl.runner.watch import Watch
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tuning.arms import Arm
from layerlr_dsl.tuning.budget import SEARCH, Budget
from layerlr_dsl.tuning.ranges import GRID
from layerlr_dsl.tuning.report import OutOfTime

PILOTS = 0.1
"""The part of the time that may go into finding the lengths."""
MOST = 100.0
"""Epochs: more time goes into further trials."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that a run takes before its first step and for each epoch, apart from what is made once for all."""

    start: float
    epoch: float

    def epochs(self, seconds: float) -> float:
        """How many whole epochs these seconds hold, one at least."""
        return max(1.0, min(MOST, float(math.floor((seconds - self.start) / max(self.epoch, 1e-6)))))


@dataclass(slots=True)
class Stopwatch(Watch):
    """Times a run of one epoch, leaving out what goes into the stock."""

    stock: Stock
    alive: Callable[[], None]
    _marks: list[float] = field(default_factory=list)
    _steps: int = 0

    def __post_init__(self) -> None:
        self._mark()

    def _mark(self) -> None:
        self._marks.append(time.monotonic() - self.stock.seconds)

    def step(self, steps: int, total: int) -> None:
        self.alive()
        self._steps = steps
        if steps == 1:
            self._mark()

    def busy(self) -> None:
        self.alive()

    def cost(self) -> Cost:
        """What came of it, after the end of the run."""
        self._mark()
        began, first, end = self._marks
        step = (end - first) / max(1, self._steps - 1)
        epoch = end - first + (step if self._steps > 1 else first - began)
        return Cost(max(0.0, first - began - step), epoch)


Pilot = Callable[[Arm, Callable[[], None]], Cost]
"""Trains an arm for one epoch, calling the second argument often, which may end it."""


@dataclass(frozen=True, slots=True)
class Share:
    """How the time is divided: what a search of `searched` files, and one trial each of the `still`, is followed by."""

    searched: int
    still: int
    finals: int

    def seconds(self, left: float) -> float:
        """The seconds of one trial, so that a grid for each file and all finals fit."""
        search = SEARCH * left / max(1, GRID * self.searched + self.still)
        return min(search, (1 - SEARCH) * left / max(1, self.finals))


def share_of(arms: Sequence[Arm], seeds: int, finalists: int) -> Share:
    """How the time is divided among these."""
    searched = sum(bool(arm.ranges) for arm in arms)
    return Share(searched, len(arms) - searched, seeds * min(finalists, len(arms)))


def measured(
    arms: Sequence[Arm],
    pilot: Pilot,
    share: Share,
    budget: Budget,
    heed: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """The epochs of a trial for each arm by its name, found by a run of one epoch each.

    Where so many runs would take too much of the time, the first stands for all. `heed` is called often, and
    what it raises passes. Raises RunnerError where the time is too short for that one.
    """

    def alive() -> None:
        heed()
        if budget.left(SEARCH) <= 0:
            raise OutOfTime

    costs: dict[str, Cost] = {}
    for place, arm in enumerate(arms):
        if _mean(costs.values()) * len(arms) > PILOTS * (budget.seconds or math.inf):
            break
        try:
            costs[arm.name] = pilot(arm, alive)
        except DataFault:
            raise
        except (RunFailed, Unfit, RuleError):
            continue  # by values of which others are to be tried
        except OutOfTime:
            if place == 0:
                raise too_small(budget) from None
            break
    found = {name: cost.epochs(share.seconds(budget.left())) for name, cost in costs.items()}
    usual = next(iter(found.values()), 1.0)
    return {arm.name: found.get(arm.name, usual) for arm in arms}


def _mean(costs: Collection[Cost]) -> float:
    """Seconds of one such run."""
    return sum(cost.start + cost.epoch for cost in costs) / max(1, len(costs))


def too_small(budget: Budget) -> RunnerError:
    """What to say where no trial fits."""
    return RunnerError(
        f"the budget of {spelled(budget.seconds or 0.0, 3)} s is too small for one trial",
        "give a larger --budget, or shorter trials by --epochs or --steps",
    )


def text(lengths: Mapping[str, float]) -> str:
    """`in equal time, in epochs: plain 10, head 120`."""
    told = ", ".join(f"{name} {spelled(epochs)}" for name, epochs in lengths.items())
    return f"epochs of a trial, all of about the same time: {told}"
