"""How a fresh head begins: near the loss of a guess, whatever its library would draw.

A classifier that starts at a large scale is sure of wrong answers, and its first gradients are spent on
unlearning them, in the layers below as well. The scale is that of Karpathy (2019): the first loss should
be ln(classes).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.seeds import mix

if TYPE_CHECKING:
    from torch import Tensor, nn

HeadInit = Literal["small", "model"]
STD = 0.01
SPREAD = 0.3
"""How far apart the scores of a fresh head may be, in standard deviations: a loss 0.05 above a guess's."""
STREAM = 3


def begin(
    model: nn.Module,
    fresh: Iterable[str],
    how: HeadInit,
    scores: Callable[[], Tensor],
    targets: Tensor,
    seed: int,
) -> str | None:
    """Start the output layers among the tensors `fresh`, and say at which loss; None where there are none.

    `scores` gives the model's for some training samples, `targets` their classes. With `model` the head
    stays as the model drew it.
    """
    layers = _output_layers(model, frozenset(fresh), scores().shape[1])
    if not layers:
        return None
    if how == "small":
        _shrink(list(layers.values()), scores, seed)
        return f"head {', '.join(layers)} starts small: {_told(scores(), targets)}"
    return f"head {', '.join(layers)} starts as the model draws it: {_told(scores(), targets)}"


def _output_layers(model: nn.Module, fresh: frozenset[str], classes: int) -> dict[str, Any]:
    """The fresh layers with a row of weights for each class; layers of a head before those keep their start."""
    found: dict[str, Any] = {}
    for name, module in model.named_modules():
        own = {f"{name}.{leaf}" if name else leaf for leaf, _ in module.named_parameters(recurse=False)}
        weight = getattr(module, "weight", None)
        if own and own <= fresh and weight is not None and weight.ndim > 1 and len(weight) == classes:
            found[name] = module
    return found


def _shrink(layers: Sequence[Any], scores: Callable[[], Tensor], seed: int) -> None:
    import torch

    generator = torch.Generator().manual_seed(mix(seed, STREAM))
    with torch.no_grad():
        for layer in layers:
            layer.weight.normal_(0.0, STD, generator=generator)
            bias = getattr(layer, "bias", None)
            if bias is not None:
                bias.zero_()
        spread = float(scores().std())
        for layer in layers:
            layer.weight.mul_(min(1.0, SPREAD / spread) if spread > 0 else 1.0)


def _told(scores: Tensor, targets: Tensor) -> str:
    from torch.nn.functional import cross_entropy

    loss, classes = float(cross_entropy(scores, targets)), scores.shape[1]
    return f"first loss {spelled(loss, 3)}, that of a guess is ln {classes} = {spelled(math.log(classes), 3)}"
