"""What a run writes down about itself as it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from layerlr_dsl.runner.display import EpochRow
from layerlr_dsl.runner.folder import RunFolder
from layerlr_dsl.runner.logs import Log
from layerlr_dsl.runner.metrics import finite
from layerlr_dsl.runner.progress import Progress
from layerlr_dsl.runner.step import Result
from layerlr_dsl.runner.sums import metrics
from layerlr_dsl.runner.tasks import Task

ROWS_PER_EPOCH = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """Each group's rate by name, the names of those frozen, the share of parameters that trains, the stage."""

    rates: dict[str, float]
    frozen: list[str]
    trainable_share: float
    stage: str | None = None


class Records:
    """Turns steps and epochs into rows of metrics.jsonl, timing.jsonl and `logs`; without a folder, into nothing."""

    def __init__(
        self,
        folder: RunFolder | None,
        standing: Callable[[], Standing],
        steps_per_epoch: int,
        task: Task,
        logs: Sequence[Log] = (),
    ) -> None:
        self._folder = folder
        self._standing = standing
        self._task = task
        self._logs = logs
        self._every = max(1, steps_per_epoch // ROWS_PER_EPOCH)

    def step(self, progress: Progress, result: Result, steps: int) -> None:
        """Note the step just taken, with the rates that it was taken with; call before the schedule moves on."""
        last = progress.step == steps
        if not last and progress.step % self._every:
            return
        standing = self._standing()
        progress.rates, progress.frozen = standing.rates, standing.frozen
        progress.trainable_share, progress.stage = standing.trainable_share, standing.stage
        self._write(
            {
                "kind": "step",
                "epoch": progress.epoch,
                "step": progress.total,
                "loss": finite(result.loss_sum / result.count),
                **_finite(metrics(self._task, result.sums, result.count)),
                "gradient_norm": finite(result.norm),
                "applied": result.applied,
                "lr": standing.rates,
                "frozen": standing.frozen,
                **_stage(progress),
            },
            progress,
        )

    def epoch(self, progress: Progress, row: EpochRow) -> None:
        """Note an epoch that is over."""
        self._write(
            {
                "kind": "epoch",
                "epoch": row.epoch,
                "step": progress.total,
                "train_loss": finite(row.train_loss),
                **_finite(progress.metrics(self._task), "train_"),
                "val_loss": finite(row.val_loss),
                **_finite(progress.val_metrics, "val_"),
                "best": row.best,
                "skipped": progress.skipped,
                "trainable_share": row.trainable_share,
                "lr": progress.rates,
                "frozen": progress.frozen,
                **_stage(progress),
            },
            progress,
        )
        if self._folder is not None:
            times = {"epoch": row.epoch, "seconds": row.seconds, "samples_per_second": row.samples_per_second}
            self._folder.timing.append(times)

    def _write(self, row: dict[str, Any], progress: Progress) -> None:
        if self._folder is not None:
            self._folder.metrics.append(row)
            for log in self._logs:
                log.write(row)
            progress.metrics_size = self._folder.metrics.size


def _stage(progress: Progress) -> dict[str, str]:
    """The stage of the last step, where the rules have stages."""
    return {} if progress.stage is None else {"stage": progress.stage}


def _finite(figures: Mapping[str, float], prefix: str = "") -> dict[str, float | None]:
    return {f"{prefix}{name}": finite(value) for name, value in figures.items()}
