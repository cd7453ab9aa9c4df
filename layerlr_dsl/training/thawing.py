"""Saving and loading optimizer state with torch.distributed.checkpoint while layers are frozen.

Its functions leave out what does not require a gradient at that moment, want state of everything that does, and
read into a template that must have the very keys of the checkpoint. So while they work, all that ever trains
requires a gradient, has state (blank where it has not stepped yet), and blank state is dropped when it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from layerlr_dsl.training.saved_state import stepper
from layerlr_dsl.training.state_fit import state_after_a_step

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from layerlr_dsl.training.freezing import Freezer
    from layerlr_dsl.training.state import StateByName


@contextmanager
def thawed(freezer: Freezer, state: StateByName) -> Iterator[None]:
    """All that ever trains requires a gradient for a while, and state is saved and loaded for all of it."""
    freezer.guard.paused = True
    thaw(freezer)
    state.complete = blanks
    try:
        with _noting_what_is_missing(state):
            yield
    finally:
        state.complete, state.absent = None, frozenset()
        freezer.guard.paused = False
        for name, parameter in freezer.parameters.items():
            parameter.requires_grad = name not in freezer.frozen or not freezer.by_flag(name)
        freezer.guard.drop()


def thaw(freezer: Freezer) -> None:
    """Give all that ever trains its flag; what never does has no state to save or to load."""
    for name, parameter in freezer.parameters.items():
        parameter.requires_grad = name not in freezer.for_ever


@contextmanager
def _noting_what_is_missing(state: StateByName) -> Iterator[None]:
    """Let torch load a checkpoint that has no state for what had not stepped when it was saved.

    It would refuse, or go on with the state that a step of its own has made; we have no other way to hear of it.
    """
    from torch.distributed.checkpoint import state_dict as module

    load: Callable[..., None] | None = getattr(module, "_load_optim_state_dict", None)
    if load is None:
        yield
        return

    def noting(model: nn.Module, optimizers: Any, state_dict: Mapping[str, Any], info: Any) -> None:
        absent = _without_state(state_dict)
        if info.broadcast_from_rank0 and dist.is_initialized():
            everywhere = [absent]
            dist.broadcast_object_list(everywhere, src=0)
            absent = everywhere[0]
        state.absent = absent
        load(model, optimizers, _filled(state_dict, absent), info)

    module._load_optim_state_dict = noting
    try:
        yield
    finally:
        module._load_optim_state_dict = load


def _without_state(state_dict: Mapping[str, Any]) -> frozenset[str]:
    """The parameters in the groups of a checkpoint that it has no state for."""
    if "param_groups" in state_dict:
        named = {name for group in state_dict["param_groups"] for name in group["params"]}
        return frozenset(name for name in named - state_dict["state"].keys() if isinstance(name, str))
    parts = [key.split(".", 1) for key in state_dict]
    named = {rest.rpartition(".")[0] for kind, rest in parts if kind == "param_groups"}
    states = [rest for kind, rest in parts if kind == "state"]
    return frozenset(name for name in named if not any(key.startswith(f"{name}.") for key in states))


def _filled(state_dict: Mapping[str, Any], absent: frozenset[str]) -> Mapping[str, Any]:
    if "param_groups" not in state_dict or not any(isinstance(key, str) for key in state_dict["state"]):
        return state_dict
    return {**state_dict, "state": {**{name: {} for name in absent}, **state_dict["state"]}}


# ---------------------------------------------------------------- blank state


def blanks(optimizer: Optimizer, state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """`state_dict` with blank state for what requires a gradient and has not stepped yet."""
    state = dict(state_dict["state"])
    for group, saved in zip(optimizer.param_groups, state_dict["param_groups"], strict=True):
        for parameter, key in zip(group["params"], saved["params"], strict=True):
            if parameter.requires_grad and not state.get(key):
                blank = _blank(stepper(optimizer, group), group, parameter)
                if blank:
                    state[key] = blank
    return {**state_dict, "state": state}


def _blank(optimizer: Optimizer, group: Mapping[str, Any], parameter: Tensor) -> dict[str, Any] | None:
    stand_in = nn.Parameter(torch.zeros_like(parameter))
    stand_in.grad = torch.zeros_like(parameter)
    with torch.no_grad():
        made = state_after_a_step(optimizer, group, stand_in)
    return None if made is None else {key: _zeroed(value) for key, value in made.items()}


def _zeroed(value: Any) -> Any:
    if isinstance(value, Tensor):
        return torch.zeros_like(value)
    if isinstance(value, (bool, int, float)):
        return type(value)(0)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_zeroed, value))
    return {key: _zeroed(own) for key, own in value.items()} if isinstance(value, dict) else value
