"""The length of trials where only the time for everything is given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from layerlr_dsl.runner.data import Data, Request, Wanted
from layerlr_dsl.runner.datasets import load
from layerlr_dsl.runner.errors import RunFailed, RunnerError
from layerlr_dsl.runner.stock import Stock
from layerlr_dsl.tuning.arms import Arm
from layerlr_dsl.tuning.budget import Budget
from layerlr_dsl.tuning.lengths import Cost, Share, Stopwatch, measured, share_of
from layerlr_dsl.tuning.ranges import Range

RANGES = {"base": Range(1e-4, 1e-2, log=True)}
ARMS = [Arm(name, Path(name), RANGES) for name in ("plain", "head", "decay")]


@dataclass
class Clock:
    """A clock that pilots move on: an epoch of each arm takes as long as told."""

    epochs: dict[str, float]
    start: float = 0.5
    time: float = 0.0
    ran: list[str] = field(default_factory=list)

    def budget(self, seconds: float) -> Budget:
        return Budget(seconds, lambda: self.time)

    def pilot(self, arm: Arm, alive: Callable[[], None]) -> Cost:
        self.ran.append(arm.name)
        self.time += self.start + self.epochs[arm.name]
        alive()
        if arm.name == "broken":
            raise RunFailed("the loss is not a number")
        return Cost(self.start, self.epochs[arm.name])


def test_cheap_files_get_more_epochs_for_the_same_seconds() -> None:
    """Grid and finals together fill the time, and no more."""
    clock = Clock({"plain": 2.0, "head": 0.25, "decay": 2.1})
    share = share_of(ARMS, seeds=5, finalists=2)
    found = measured(ARMS, clock.pilot, share, clock.budget(600.0))
    seconds = {name: clock.start + epochs * clock.epochs[name] for name, epochs in found.items()}
    assert found["plain"] > 4
    assert found["head"] > 7 * found["plain"]
    assert max(seconds.values()) - min(seconds.values()) < 2.1
    assert 400 < 5 * sum(seconds.values()) + 5 * 2 * max(seconds.values()) < 600


def test_where_looking_would_take_too_much_the_first_file_stands_for_all() -> None:
    """A tenth of the time is what the lengths may cost."""
    clock = Clock({"plain": 10.0, "head": 1.0, "decay": 10.0})
    found = measured(ARMS, clock.pilot, share_of(ARMS, 5, 2), clock.budget(200.0))
    assert clock.ran == ["plain"]
    assert set(found.values()) == {1.0}


def test_a_time_without_room_for_one_epoch_is_refused() -> None:
    """With a way out."""
    clock = Clock({"plain": 100.0, "head": 1.0, "decay": 1.0})
    with pytest.raises(RunnerError, match="the budget of 20 s is too small for one trial"):
        measured(ARMS, clock.pilot, share_of(ARMS, 5, 2), clock.budget(20.0))


def test_a_file_whose_look_fails_is_as_long_as_the_first() -> None:
    """Other rates of it may do."""
    clock = Clock({"plain": 1.0, "broken": 1.0})
    arms = [ARMS[0], Arm("broken", Path("b"), RANGES)]
    found = measured(arms, clock.pilot, share_of(arms, 2, 2), clock.budget(300.0))
    assert found["broken"] == found["plain"] > 1


def test_files_without_a_range_have_one_trial_and_leave_the_time_to_the_others() -> None:
    """Seconds are divided among the trials that there are."""
    still = Arm("still", Path("still"))
    assert share_of([*ARMS, still], 5, 3) == Share(3, 1, 15)
    assert Share(3, 0, 0).seconds(100) > Share(3, 9, 0).seconds(100) > Share(4, 9, 0).seconds(100)
    assert Share(1, 0, 1000).seconds(100) < 0.05


def test_what_goes_into_the_stock_is_no_cost_of_a_run() -> None:
    """The next run finds it there."""
    stock = Stock()
    watch = Stopwatch(stock, lambda: None)

    def slowly() -> Data:
        time.sleep(0.3)
        return load(Request("digits", Wanted(8)))

    stock.data("digits", slowly)
    for step in range(1, 6):
        time.sleep(0.02)
        watch.step(step, 5)
    cost = watch.cost()
    assert cost.start < 0.1
    assert 0.1 <= cost.epoch < 0.3
