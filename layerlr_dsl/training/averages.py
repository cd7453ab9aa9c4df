"""Averages of weights over a model with frozen layers: what stands still in the model stands still in them.

An exponential average of equal numbers is not always that number (0.9 x + 0.1 x rounds), a buffer is averaged
with the rest, and an average that began before a freeze lags behind what froze. Copied back into the model it
would move frozen bytes, and the layers above never saw the weights that it puts below them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from layerlr_dsl.model import live
from layerlr_dsl.training.modes import FrozenModules, hold_in_copy, statistics

AVERAGES = {
    "torch.optim.swa_utils": (("AveragedModel",), "update_parameters", "module"),
    "timm.utils.model_ema": (("ModelEmaV2", "ModelEmaV3"), "update", "module"),
    "mmengine.model.averaged_model": (("BaseAveragedModel",), "update_parameters", "module"),
    "ultralytics.utils.torch_utils": (("ModelEMA",), "update", "ema"),
}
"""By the module that has them: classes, their method that is given the model, and where the average is."""


def hold_in_averages() -> None:
    """From now on the averages of torch, timm, mmengine and ultralytics take what is frozen as it is, and average the rest."""
    for module, (classes, method, average) in AVERAGES.items():
        for name in classes:
            kind = getattr(sys.modules.get(module), name, None)
            if kind is not None:
                _hold_in(kind, method, average)


def _hold_in(kind: type, method: str, average: str) -> None:
    update = getattr(kind, method)
    if hasattr(update, "_layerlr_holds"):
        return

    @functools.wraps(update)
    def holding(self: Any, model: nn.Module, *arguments: Any, **named: Any) -> Any:
        result = update(self, model, *arguments, **named)
        copy_frozen(model, getattr(self, average))
        return result

    holding._layerlr_holds = True  # type: ignore[attr-defined]
    setattr(kind, method, holding)


@torch.no_grad()
def copy_frozen(model: nn.Module, average: nn.Module) -> None:
    """Give `average`, a copy of `model`, every parameter and statistic that a schedule holds in that."""
    pairs = list(_frozen_pairs(model, average))
    if pairs:
        own, frozen = zip(*pairs, strict=True)
        torch._foreach_copy_(list(own), list(frozen))
        hold_in_copy(live.unwrap(model), live.unwrap(average))


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
