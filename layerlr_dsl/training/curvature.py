"""LBFGS and freezing: its memory of past steps spans all parameters, so it would move those that freeze."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.optim import LBFGS, Optimizer

_MEMORY = ("d", "prev_flat_grad", "old_dirs", "old_stps")


def forget_frozen_directions(optimizer: Optimizer, frozen: Collection[Tensor]) -> None:
    """Let LBFGS begin anew where its memory has a direction along a frozen parameter; others have none.

    Read from the memory itself, so that a resumed run forgets at the same step.
    """
    if not frozen or not isinstance(optimizer, LBFGS):
        return
    held = set(map(id, frozen))
    spans, start = [], 0
    for parameter in optimizer.param_groups[0]["params"]:
        length = parameter.numel() * (2 if parameter.is_complex() else 1)
        if id(parameter) in held:
            spans.append(slice(start, start + length))
        start += length
    memory = [vector for state in optimizer.state.values() for vector in _vectors(state)]
    if any(bool(vector[span].any()) for vector in memory for span in spans):
        optimizer.state.clear()


def _vectors(state: Mapping[str, Any]) -> Iterator[Tensor]:
    for name in _MEMORY:
        found = state.get(name)
        if isinstance(found, Tensor):
            yield found
        elif found:
            yield from found
