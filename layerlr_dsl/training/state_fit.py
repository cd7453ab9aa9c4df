"""Whether saved optimizer state is what an optimizer keeps for a parameter.

A checkpoint that says what made it is believed. One that does not is asked by taking a step: one with a tiny
tensor may acquit, and only one with a tensor of the parameter's own proportions may condemn, since
some optimizers keep other things for small tensors than for large ones.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch

from layerlr_dsl.optim.several import bare_step
from layerlr_dsl.tools.numbers import spelled

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

OTHER_SHAPE = "another shape"
OTHER_OPTIMIZER = "state of another optimizer"
_PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device)
LARGEST = 2**20
"""Elements of a tensor that is stepped for judging; what is larger is halved until it is not."""


def kind_of(optimizer: Optimizer) -> str:
    """The optimizer's class, as a checkpoint names it."""
    return f"{type(optimizer).__module__}.{type(optimizer).__qualname__}"


class Fit:
    """Judges the state of the parameters of one group.

    entry: the group's options as they will be after loading.
    """

    def __init__(self, optimizer: Optimizer, entry: Mapping[str, Any]) -> None:
        self.optimizer = optimizer
        self.entry = entry
        self._made: dict[Any, dict[str, tuple[int, ...] | None] | None] = {}

    def problem(
        self,
        parameter: Tensor,
        state: Mapping[str, Any],
        kind: str | None,
        shape: Sequence[int] | None,
        same_options: bool,
    ) -> str | None:
        """What is wrong with `state` for `parameter`; None if nothing is.

        kind, shape: of the optimizer and the parameter that it was saved from, where the checkpoint has
        them. same_options: whether its group had the options that groups of this optimizer have.
        """
        if shape is not None and tuple(shape) != tuple(parameter.shape):
            return _other_shape(shape, parameter.shape)
        if kind == kind_of(self.optimizer):
            return None
        found = self._seen_by_a_step(parameter, state)
        return None if found == OTHER_OPTIMIZER and kind is None and same_options else found

    def _seen_by_a_step(self, parameter: Tensor, state: Mapping[str, Any]) -> str | None:
        found = None
        for shape in ((2,) * parameter.ndim, _shrunk(parameter.shape)):
            found = _complaint(self._state_for(shape, parameter.dtype), shape, parameter, state)
            if found is None:
                return None
        return found

    def _state_for(self, shape: tuple[int, ...], dtype: torch.dtype) -> Mapping[str, Any] | None:
        key = shape, dtype
        if key not in self._made:
            self._made[key] = self._step_with(torch.nn.Parameter(torch.ones(shape, dtype=dtype)))
        return self._made[key]

    def _step_with(self, tensor: torch.nn.Parameter) -> dict[str, tuple[int, ...] | None] | None:
        """The shapes of the state that one step makes, None for what is no tensor; None if it cannot be told."""
        tensor.grad = torch.ones_like(tensor)
        options = {**self.entry, "fused": None, "capturable": False, "lr": 1e-3}
        made = state_after_a_step(self.optimizer, options, tensor)
        return made and {key: _shape(value) for key, value in made.items() if value is not None}


def state_after_a_step(
    optimizer: Optimizer, options: Mapping[str, Any], tensor: torch.nn.Parameter
) -> dict[str, Any] | None:
    """What an optimizer would keep for a tensor after one step; None if that cannot be told.

    Taken by a twin of it, which draws no random numbers of the run.
    """
    group = {key: copy.deepcopy(value) for key, value in options.items() if key != "params"}
    twin = type(optimizer).__new__(type(optimizer))
    twin.__dict__.update(_settings(optimizer))
    state: defaultdict[Any, Any] = defaultdict(dict)
    try:
        twin.__setstate__(
            {
                "defaults": dict(optimizer.defaults),
                "state": state,
                "param_groups": [{**group, "params": [tensor]}],
            }
        )
        with torch.random.fork_rng(devices=[]):
            bare_step(twin)
    except Exception:
        # Someone else's optimizer may need more than torch's; then its own loading has the last word.
        return None
    return dict(state.get(tensor, {}))


def _settings(optimizer: Optimizer) -> dict[str, Any]:
    """What an optimizer keeps in attributes of its own, as far as a step cannot change it for both."""
    return {key: value for key, value in vars(optimizer).items() if isinstance(value, _PLAIN)}


def _complaint(
    made: Mapping[str, Any] | None, shape: tuple[int, ...], parameter: Tensor, state: Mapping[str, Any]
) -> str | None:
    """What a step's state, made for a tensor of `shape`, says against the saved one."""
    if made is None:
        return None
    if not made.keys() <= state.keys():
        return OTHER_OPTIMIZER
    shaped = [_shape(state[key]) for key, own in made.items() if shape and own == shape]
    fits = not shaped or tuple(parameter.shape) in shaped or None in shaped
    return None if fits else _other_shape(next(iter(shaped)), parameter.shape)


def _other_shape(saved: Sequence[int] | None, here: Sequence[int]) -> str:
    return f"{OTHER_SHAPE} ({spelled(tuple(saved or ()))} in the checkpoint, {spelled(tuple(here))} here)"


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None


def _shrunk(shape: Sequence[int]) -> tuple[int, ...]:
    """`shape`, its longest sides halved until it has no more than LARGEST elements."""
    sides = list(shape)
    while prod(sides) > LARGEST:
        longest = sides.index(max(sides))
        sides[longest] = (sides[longest] + 1) // 2
    return tuple(sides)
