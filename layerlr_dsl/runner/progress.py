"""How far a run has come: the part of a checkpoint that says where to go on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from layerlr_dsl.runner.sums import Figures, added, metrics
from layerlr_dsl.runner.tasks import Task


@dataclass(slots=True)
class Progress:
    """`epoch` counts from 0; `step` is the number of optimizer steps done in it, `total` those in the run.

    The sums run over the samples of the current epoch, `sums` what the task measured; `best` is the best
    value so far of the metric that decides; `val_metrics` are those of the last validation; `rates`, `frozen`, `trainable_share` and `stage` are those of the last step, by group.
    """

    epoch: int = 0
    step: int = 0
    total: int = 0
    loss_sum: float = 0.0
    sums: Figures = field(default_factory=dict)
    count: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    best: float | None = None
    best_epoch: int | None = None
    val_loss: float | None = None
    val_metrics: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    frozen: list[str] = field(default_factory=list)
    trainable_share: float = 0.0
    stage: str | None = None
    metrics_size: int = 0
    seconds: float = 0.0

    def add(self, loss_sum: float, sums: Figures, count: int) -> None:
        self.loss_sum += loss_sum
        self.sums = added(self.sums, sums)
        self.count += count

    @property
    def loss(self) -> float:
        """Mean training loss of the epoch so far; not a number before the first sample."""
        return self.loss_sum / self.count if self.count else float("nan")

    def metrics(self, task: Task) -> dict[str, float]:
        """The task's figures over the epoch so far; nothing before the first sample."""
        return metrics(task, self.sums, self.count)

    def value(self, task: Task) -> float:
        """The metric that decides, over the epoch so far; not a number before the first sample."""
        if task.metric.is_loss:
            return self.loss
        return self.metrics(task).get(task.metric.name, float("nan"))

    def next_epoch(self) -> None:
        self.epoch += 1
        self.step = 0
        self.loss_sum, self.sums, self.count = 0.0, {}, 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Progress:
        """What a checkpoint says. Raises ValueError where something is missing, or a number is none."""
        from pydantic import TypeAdapter

        known = [f.name for f in fields(cls)]
        missing = [name for name in known if name not in stored]
        if missing:
            raise ValueError(f"the progress lacks {', '.join(missing)}")
        made = TypeAdapter(cls).validate_python({name: stored[name] for name in known})
        counts = (made.epoch, made.step, made.total, made.count, made.metrics_size, made.seconds)
        if not all(0 <= number < math.inf for number in counts):
            raise ValueError("the progress counts below 0, or not at all")
        return made
