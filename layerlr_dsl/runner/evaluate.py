"""Validation: loss and accuracy over a whole set, on all processes together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerlr_dsl.runner.feed import Feed
from layerlr_dsl.runner.processes import Processes
from layerlr_dsl.runner.step import Numerics

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Scores:
    """Mean cross-entropy and share of right answers over `count` samples."""

    loss: float
    accuracy: float
    count: int


def evaluate(
    model: nn.Module,
    feed: Feed,
    numerics: Numerics,
    processes: Processes,
    stopped: Callable[[int], bool],
) -> Scores | None:
    """The model's scores on the validation set, in eval mode; None if `stopped` says so between batches."""
    import torch
    from torch.nn.functional import cross_entropy

    model.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=numerics.device)
    with torch.no_grad():
        for index, ((inputs, labels), counted) in enumerate(feed.validation()):
            with numerics.autocast():
                given = feed.scores(inputs).float()
            given, labels = given[:counted], labels[:counted]
            loss = cross_entropy(given, labels, reduction="sum")
            right = (given.argmax(1) == labels).sum()
            sums += torch.stack(
                [loss.double(), right.double(), torch.tensor(float(counted), device=loss.device)]
            )
            if stopped(index):
                return None
    loss_sum, right_sum, count = processes.sum(sums).tolist()
    return Scores(loss_sum / count, right_sum / count, int(count))
