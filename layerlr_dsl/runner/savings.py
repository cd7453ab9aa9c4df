"""What the freeze at the start of a run saves, measured on one of its batches and told before it begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from layerlr_dsl.runner.costs import MOST, Cost, TimedStep, costs
from layerlr_dsl.runner.feed import called, in_full, mapped
from layerlr_dsl.runner.models import look_at
from layerlr_dsl.tools.words import in_digits, share

if TYPE_CHECKING:
    from torch import Tensor, nn

    from layerlr_dsl.runner.config import TrainConfig
    from layerlr_dsl.runner.setup import Built

LEAST_STEPS = 100
"""In shorter runs looking would cost a notable part of what could be saved."""
FEWEST = 3
"""Rounds."""
WHY_NOT = (
    "only layers before all that train can be skipped; behind one that trains, a freeze saves no more than "
    "the gradients of its own weights"
)
MIB = 2**20


def of_run(built: Built, config: TrainConfig, trainable_share: float) -> str | None:
    """What the freeze saves at the start of this run; None where that is not measured."""
    total = built.plan.clock.total or 0
    if config.parallel != "none" or config.compile or total < LEAST_STEPS:
        return None
    loss = _on_one_batch(built, min(config.batch_size, len(built.data.train)))
    built.model.train()
    try:
        now, thawed = measured(built.model, loss, max(FEWEST, min(MOST, total // LEAST_STEPS)))
    except (RuntimeError, TypeError, ValueError):
        return None  # what is wrong with the step, training itself will say
    return text(now, thawed, trainable_share)


def _on_one_batch(built: Built, count: int) -> Callable[[], Tensor]:
    from layerlr_dsl.training.prefix import untouched

    def loss() -> Tensor:
        with built.numerics.autocast():
            outputs = in_full(built.task.outputs(called(built.model, inputs)))
        return built.task.loss(outputs, targets).mean()

    with untouched(built.model):
        batch = look_at(built.data, built.data.train, built.task, count)
    inputs, targets = (mapped(part, lambda tensor: tensor.to(built.loading.device)) for part in batch)
    return loss


def measured(model: nn.Module, loss: Callable[[], Tensor], most: int = MOST) -> tuple[Cost, Cost]:
    """The cost of a step as things are frozen now, and with all thawed, in `most` rounds or fewer.

    loss: runs the model on the batch. Flags, buffers, gradients and generators are left as they were.
    """
    from layerlr_dsl.training.prefix import untouched

    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]

    def now() -> None:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)

    def thawed() -> None:
        for parameter, _ in flags:
            parameter.requires_grad_(parameter.is_floating_point())

    try:
        with untouched(model):
            every, some = costs(model, [TimedStep(thawed, loss), TimedStep(now, loss)], most)
    finally:
        now()
        model.zero_grad()
    return some, every


def text(now: Cost, thawed: Cost, trainable_share: float) -> str:
    """What the freeze saves, or that it saves nothing, and what would."""
    kept = f"{in_digits(now.activations / MIB)} MiB of activations for {in_digits(thawed.activations / MIB)}"
    if not now.saves(thawed):
        return (
            f"the freeze at the start saves no time that can be measured ({share(trainable_share)} trains): a step "
            f"takes {now.part(thawed)} of the time with all thawed, {kept}; {WHY_NOT}"
        )
    times = f"{in_digits(now.seconds * 1000)} ms for {in_digits(thawed.seconds * 1000)}"
    return f"the freeze at the start: a step takes {now.part(thawed)} of the time with all thawed ({times}; {kept})"
