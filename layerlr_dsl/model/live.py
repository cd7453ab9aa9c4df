"""A live model under the names of its inventory: the unwrapped ones, every alias included."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

from layerlr_dsl.model.walk import walk

if TYPE_CHECKING:
    from torch import Tensor, nn


def as_module(model: nn.Module | Mapping[str, nn.Module]) -> nn.Module:
    """Several modules under one plan as one, whose names begin with their keys. Raises ValueError for a dotted key."""
    if not isinstance(model, Mapping):
        return model
    from torch.nn import ModuleDict

    for key in model:
        if "." in key or not key:
            raise ValueError(f"{key!r} is no key of a model: it is one segment of a name, without dots")
    return ModuleDict(model)


def named_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter under each of its names, as `Inventory.of(model)` spells them."""
    found = walk(model)
    return dict(zip(found.names, found.parameters, strict=True))


def shape(parameter: Tensor) -> tuple[int, ...]:
    """The whole shape of a parameter, of which DeepSpeed's ZeRO 3 may leave nothing in the tensor itself."""
    return tuple(getattr(parameter, "ds_shape", parameter.shape))


def numel(parameter: Tensor) -> int:
    """The elements of the whole parameter."""
    return prod(shape(parameter))


def named_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Every module at each of its places; the unwrapped root is `""`."""
    found = walk(model)
    return {prefix[:-1]: module for prefix, module in zip(found.module_prefixes, found.modules, strict=True)}


def unwrap(model: nn.Module) -> nn.Module:
    """The module behind all wrappers around the root (DDP, torch.compile, FSDP, AveragedModel, peft...)."""
    return walk(model).modules[0]
