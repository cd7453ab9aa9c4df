"""Averages of weights over a model with frozen layers: what stands still in the model stands still in them.

An exponential average of equal numbers is not always that number (0.9 x + 0.1 x rounds), a buffer is averaged
with the rest, and an average that began before a freeze lags behind what froze. Copied back into the model it
would move frozen bytes, and the layers above never saw the weights that it puts below them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from layerlr_dsl.model import live
from layerlr_dsl.training.modes import FrozenModules, statistics


def hold_in_averages() -> None:
    """From now on `AveragedModel.update_parameters` takes what is frozen as it is, and averages the rest."""
    update = AveragedModel.update_parameters
    if hasattr(update, "__wrapped__"):
        return

    @functools.wraps(update)
    def update_parameters(self: AveragedModel, model: nn.Module) -> None:
        update(self, model)
        copy_frozen(model, self.module)

    AveragedModel.update_parameters = update_parameters  # type: ignore[method-assign]


@torch.no_grad()
def copy_frozen(model: nn.Module, average: nn.Module) -> None:
    """Give `average`, a copy of `model`, every parameter and statistic that a schedule holds in that."""
    pairs = list(_frozen_pairs(model, average))
    if pairs:
        own, frozen = zip(*pairs, strict=True)
        torch._foreach_copy_(list(own), list(frozen))


def hold_in_callback(callback: Any) -> None:
    """Let Lightning's StochasticWeightAveraging, which averages by itself, put back all but what is frozen."""
    transfer = callback.transfer_weights
    if hasattr(transfer, "__wrapped__"):
        return

    @functools.wraps(transfer)
    def transfer_weights(average: nn.Module, model: nn.Module) -> None:
        copy_frozen(model, average)
        transfer(average, model)

    callback.transfer_weights = transfer_weights


def _frozen_pairs(model: nn.Module, average: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """The frozen tensors of `model`, each behind that of `average` in the same place."""
    hook = next(
        (h for h in live.unwrap(model)._forward_pre_hooks.values() if isinstance(h, FrozenModules)), None
    )
    if hook is None:
        return
    frozen = {id(tensor) for tensor in (*hook.parameters, *(value for *_, value in statistics(hook.modules)))}
    for theirs, ours in ((average.parameters(), model.parameters()), (average.buffers(), model.buffers())):
        for own, tensor in zip(theirs, ours, strict=False):
            if id(tensor) in frozen:
                yield own.detach(), tensor.detach()
