"""Validation: loss and metrics over a whole set, on all processes together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerlr_dsl.runner.feed import Feed
from layerlr_dsl.runner.processes import Processes
from layerlr_dsl.runner.step import Numerics, summed
from layerlr_dsl.runner.sums import Sums, metrics
from layerlr_dsl.runner.tasks import Metric, Task

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Scores:
    """The mean loss over `count` samples, and the task's figures by name."""

    loss: float
    metrics: dict[str, float]
    count: int

    def of(self, metric: Metric) -> float:
        """The value of `metric`; not a number where it was not measured, or the outputs that it is of are none."""
        if math.isnan(self.loss):
            return self.loss
        return self.loss if metric.is_loss else self.metrics.get(metric.name, float("nan"))


def evaluate(
    model: nn.Module,
    feed: Feed,
    task: Task,
    numerics: Numerics,
    processes: Processes,
    stopped: Callable[[int], bool],
) -> Scores | None:
    """The model's scores on the validation set, in eval mode; None if `stopped` says so between batches."""
    import torch

    model.eval()
    sums = Sums(task, numerics.device)
    with torch.no_grad():
        for index, ((inputs, targets), counted) in enumerate(feed.validation()):
            with numerics.autocast():
                given = feed.outputs(inputs)
            loss = task.validation_loss(given, targets)
            sums.add(summed(loss, counted), given, targets, counted)
            if stopped(index):
                return None
    loss_sum, count, measured = sums.named(processes.sum(sums.vector).tolist())
    return Scores(loss_sum / count, metrics(task, measured, count), count)
