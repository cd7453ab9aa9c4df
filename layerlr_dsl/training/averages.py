"""Averages of weights over a model with frozen layers: what stands still in the model stands still in them.

An exponential average of equal numbers is not always that number (0.9 x + 0.1 x rounds), a buffer is averaged
with the rest, and an average that began before a freeze lags behind what froze. Copied back into the model it
would move frozen bytes, and the layers above never saw the weights that it puts below them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from layerlr_dsl.model import live
from layerlr_dsl.training.modes import FrozenModules, hold_in_copy, statistics


class Kind(NamedTuple):
    """Classes that average a model. average: the attribute that has the average, model: the one that has the model.

    Without the latter, `update` is given the model.
    """

    names: tuple[str, ...]
    update: str
    average: str
    model: str | None = None


AVERAGES = {
    "torch.optim.swa_utils": Kind(("AveragedModel",), "update_parameters", "module"),
    "timm.utils.model_ema": Kind(("ModelEmaV2", "ModelEmaV3"), "update", "module"),
    "mmengine.model.averaged_model": Kind(("BaseAveragedModel",), "update_parameters", "module"),
    "ultralytics.utils.torch_utils": Kind(("ModelEMA",), "update", "ema"),
    "ignite.handlers.ema_handler": Kind(("EMAHandler",), "_update_ema_model", "ema_model", "model"),
    "ema_pytorch.ema_pytorch": Kind(("EMA",), "update", "ema_model", "model"),
}
"""By the module that has them."""


def hold_in_averages() -> None:
    """From now on the averages of torch and of others take what is frozen as it is, and average the rest."""
    for module, kind in AVERAGES.items():
        for name in kind.names:
            found = getattr(sys.modules.get(module), name, None)
            if found is not None:
                _hold_in(found, kind)


def _hold_in(averaging: type, kind: Kind) -> None:
    update = getattr(averaging, kind.update)
    if hasattr(update, "_layerlr_holds"):
        return

    @functools.wraps(update)
    def holding(self: Any, *arguments: Any, **named: Any) -> Any:
        result = update(self, *arguments, **named)
        copy_frozen(_averaged(self, kind, arguments, named), getattr(self, kind.average))
        return result

    holding._layerlr_holds = True  # type: ignore[attr-defined]
    setattr(averaging, kind.update, holding)


def _averaged(averaging: Any, kind: Kind, arguments: tuple[Any, ...], named: dict[str, Any]) -> nn.Module:
    """The model that was averaged: an attribute, or what the call was given."""
    given = (*arguments, named.get("model"))
    model: nn.Module = given[0] if kind.model is None else getattr(averaging, kind.model)
    return model


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
