"""The state of a run as plain data by name, whatever number of processes and way of sharding it ran on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerlr_dsl.model import live

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


def model_state(model: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the model by its name without wrappers, whole and on the CPU.

    Where the model is sharded all processes must call this.
    """
    return {name: whole(value) for name, value in live.unwrap(model).state_dict().items()}


def load_model_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put back what `model_state` gave, into a model sharded in any way; shapes were checked before."""
    root = live.unwrap(model)
    own = root.state_dict()
    root.load_state_dict(
        {name: like(value, own[name]) if name in own else value for name, value in state.items()}
    )


def optimizer_state(optimizer: Optimizer) -> dict[str, Any]:
    """The optimizer's own state dict, which has the parameters' names, with every tensor whole on the CPU."""
    return _mapped(optimizer.state_dict(), whole)  # type: ignore[no-any-return]


def load_optimizer_state(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Put back what `optimizer_state` gave; names decide, not places."""
    optimizer.load_state_dict(_sharded(optimizer, dict(state)))


def _sharded(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """The state with each tensor of a parameter's shape laid out as that parameter is here."""
    own = {
        name: parameter
        for group in optimizer.param_groups
        for name, parameter in zip(group.get("param_names", ()), group["params"], strict=False)
    }
    if not any(hasattr(parameter, "placements") for parameter in own.values()):
        return state
    names = [name for group in state["param_groups"] for name in group["param_names"]]
    places = [place for group in state["param_groups"] for place in group["params"]]
    laid = dict(state["state"])
    for name, place in zip(names, places, strict=True):
        parameter = own.get(name)
        if parameter is not None and place in laid:
            laid[place] = {
                key: like(value, parameter) if getattr(value, "shape", None) == parameter.shape else value
                for key, value in laid[place].items()
            }
    return {**state, "state": laid}


def whole(value: Any) -> Any:
    """A tensor in full on the CPU, on storage of its own; anything else as it is."""
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach()
    if hasattr(value, "full_tensor"):
        value = value.full_tensor()
    return value.to("cpu", copy=True)


def like(value: Any, own: Any) -> Any:
    """A tensor `value` laid out over devices as `own` is; anything else as it is."""
    if not hasattr(own, "placements"):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(own.device, own.dtype), own.device_mesh, own.placements)


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _mapped(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mapped(inner, change) for inner in value)
    return change(value)
