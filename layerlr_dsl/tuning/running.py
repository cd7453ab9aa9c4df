"""The runner as what trains a candidate: one run without a folder, watched epoch by epoch."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from layerlr_dsl.runner.config import TrainConfig, make
from layerlr_dsl.runner.display import EpochRow, Silent
from layerlr_dsl.runner.errors import RunInterrupted
from layerlr_dsl.runner.launch import Asked, train
from layerlr_dsl.runner.stock import Stock
from layerlr_dsl.runner.watch import Watch
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tuning.arms import Arm, Candidate
from layerlr_dsl.tuning.lengths import Cost, Stopwatch
from layerlr_dsl.tuning.outcome import Scored
from layerlr_dsl.tuning.report import Report


@dataclass
class Watching(Watch):
    """Passes a run's epochs on to the trial; remembers what they came to."""

    report: Report
    rows: list[EpochRow] = field(default_factory=list)

    def step(self, steps: int, total: int) -> None:
        self.report.alive()

    def busy(self) -> None:
        self.report.alive()

    def epoch(self, row: EpochRow, of: float) -> None:
        self.rows.append(row)
        self.report(row.val_value, row.epoch + 1)


@dataclass(frozen=True, slots=True)
class Runner:
    """Trains candidates as `settings` say, all on the same parts of the data for the same seed.

    The test part is set aside by `seed` in all of them, and never looked at.
    """

    settings: dict[str, Any]
    seed: int
    stock: Stock = field(default_factory=Stock)

    def config(self, candidate: Candidate) -> TrainConfig:
        """The run of a candidate."""
        lets = {**candidate.arm.fixed, **candidate.values}
        own: dict[str, Any] = {} if candidate.arm.epochs is None else {"epochs": candidate.arm.epochs}
        own |= {
            "rules": candidate.arm.rules,
            "lets": {name: spelled(value, 17) for name, value in lets.items()},
            "seed": candidate.seed,
            "test_seed": self.seed,
            "remember_features": True,
            "out": None,
        }
        return make({**self.settings, **own})

    def pilot(self, arm: Arm, alive: Callable[[], None]) -> Cost:
        """What a run of an arm takes, seen by one epoch with its middle values."""
        watch = Stopwatch(self.stock, alive)
        middle = {name: found.points(1)[0] for name, found in arm.ranges.items()}
        config = self.config(Candidate(replace(arm, epochs=1.0), middle, self.seed))
        self._train(Asked(config, watch=watch, test=False, stock=self.stock))
        return watch.cost()

    def _train(self, asked: Asked) -> dict[str, Any]:
        try:
            return train(asked, Silent())
        except RunInterrupted:
            raise KeyboardInterrupt from None

    def __call__(self, candidate: Candidate, report: Report) -> Scored:
        """Train a candidate to its end. Raises what ends it early, KeyboardInterrupt for a signal."""
        watching = Watching(report)
        result = self._train(Asked(self.config(candidate), watch=watching, test=False, stock=self.stock))
        last = watching.rows[-1]
        shares = [row.trainable_share for row in watching.rows]
        return Scored(last.val_value, last.val_loss, result["seconds"], statistics.fmean(shares))
