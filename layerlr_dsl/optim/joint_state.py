"""What several optimizers keep, seen as one mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer


class JointState(MutableMapping[Any, Any]):
    """The states of several optimizers as one mapping; what is written goes to the optimizer that it belongs to."""

    def __init__(self, names: Sequence[str], optimizers: Sequence[Optimizer]) -> None:
        self._parts = dict(zip(names, optimizers, strict=True))

    def __getitem__(self, key: Any) -> Any:
        state, key = self._find(key)
        return state[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        state, key = self._find(key)
        state[key] = value

    def __delitem__(self, key: Any) -> None:
        state, key = self._find(key)
        del state[key]

    def __iter__(self) -> Iterator[Any]:
        for name, optimizer in self._parts.items():
            for key in optimizer.state:
                yield key if isinstance(key, Tensor) else f"{name}.{key}"

    def __len__(self) -> int:
        return sum(len(optimizer.state) for optimizer in self._parts.values())

    def __contains__(self, key: object) -> bool:
        try:
            state, own = self._find(key)
        except KeyError:
            return False
        return own in state

    def get(self, key: Any, default: Any = None) -> Any:
        """As a dictionary's: nothing is made for a key that is not there."""
        if key not in self:
            return default
        return self[key]

    def _find(self, key: Any) -> tuple[Any, Any]:
        if isinstance(key, Tensor):
            for optimizer in self._parts.values():
                if key in optimizer.state or _holds(optimizer, key):
                    return optimizer.state, key
        elif isinstance(key, str) and (name := key.partition(".")[0]) in self._parts:
            return self._parts[name].state, key.partition(".")[2]
        raise KeyError(key)


def loose(optimizer: Optimizer, states: Mapping[Any, Any]) -> dict[Any, Any]:
    """What an optimizer keeps that hangs on no parameter, as it is in `states`, else as it is now.

    Some cannot step without it.
    """
    return {key: states.get(key, value) for key, value in without_parameter(optimizer).items()}


def without_parameter(optimizer: Optimizer) -> dict[Any, Any]:
    """What an optimizer keeps that hangs on no parameter."""
    return {key: value for key, value in optimizer.state.items() if not isinstance(key, Tensor)}


def _holds(optimizer: Optimizer, parameter: Tensor) -> bool:
    return any(parameter is held for group in optimizer.param_groups for held in group["params"])
