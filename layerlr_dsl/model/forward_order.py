"""The order in which the modules of a model run, found by running it once on the meta device.

The order of registration is not it: an encoder may be registered behind the head that it feeds, and a vision
tower in front of or behind the language model that reads it. Where a model cannot be run on meta tensors, or
no input for it is known, the order is not known either, and nothing is said that hangs on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from layerlr_dsl.model.limits import limited_memory
from layerlr_dsl.model.meta_device import quiet, untouched_random_state
from layerlr_dsl.model.spec_syntax import Spec
from layerlr_dsl.model.walk import walk

if TYPE_CHECKING:
    from torch import Tensor, nn

_SIDE = 224
"""Height and width of the images that torchvision's models are made for; those that need others do not run."""


def forward_order(model: nn.Module, spec: Spec) -> list[int] | None:
    """Rows of modules in the order in which a forward pass first runs them; None where that is not known.

    It is known where the model runs on meta tensors, and all that holds parameters runs: each such module
    itself, or the one right around it, as attention that uses the weights of its projections does.
    """
    inputs = _INPUTS.get(spec.kind)
    if inputs is None:
        return None
    try:
        with untouched_random_state(), quiet(), limited_memory():
            given = inputs(model)
            return None if given is None else _recorded(model, given)
    except Exception:  # whatever a model of someone else's says to meta tensors: it does not run on them
        return None


def _recorded(model: nn.Module, inputs: Mapping[str, Any]) -> list[int] | None:
    import torch

    found = walk(model)
    rows: dict[int, int] = {}
    for row, module in enumerate(found.modules):
        rows.setdefault(id(module), row)
    order: dict[int, None] = {}
    hooks = [
        module.register_forward_pre_hook(lambda one, _: order.setdefault(rows[id(one)]))
        for module in {id(module): module for module in found.modules}.values()
    ]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(*inputs.get("args", ()), **inputs.get("kwargs", {}))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    parents = found.module_parents
    run = all(owner in order or parents[owner] in order for owner in set(found.owners))
    return list(order) if run else None


def _torchvision(model: nn.Module) -> dict[str, Any]:
    return {"args": (_images(3, _SIDE, _SIDE),)}


def _timm(model: nn.Module) -> dict[str, Any] | None:
    told = getattr(model, "pretrained_cfg", None) or {}
    size = told.get("input_size")
    return None if size is None else {"args": (_images(*size),)}


def _transformers(model: nn.Module) -> dict[str, Any] | None:
    if getattr(model, "main_input_name", None) == "pixel_values":
        config: Any = model.config
        return {
            "kwargs": {"pixel_values": _images(config.num_channels, config.image_size, config.image_size)}
        }
    given = getattr(model, "dummy_inputs", None)
    if not given:
        return None
    return {"kwargs": {name: value.to("meta") for name, value in given.items() if hasattr(value, "to")}}


def _images(*size: int) -> Tensor:
    import torch

    return torch.empty(1, *size, device="meta")


_INPUTS: Mapping[str, Callable[[nn.Module], dict[str, Any] | None]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "hf": _transformers,
}
