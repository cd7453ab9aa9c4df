"""Optimizers that put other weights in the model for its evaluation, and those that it trains with back after it.

Schedule-free ones do that in `eval()` and `train()`, Lookahead in two methods of its own. What froze after it had
trained would be moved by both; it stays at the weights that the layers above it were trained on.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from layerlr_dsl.optim.several import parts_of
from layerlr_dsl.training.binding import wrapped

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from layerlr_dsl.training.freezing import GradientGuard

Given: TypeAlias = "Optimizer | Sequence[Optimizer]"
METHODS = ("train", "eval", "backup_and_load_cache", "clear_and_load_backup")


class _WithoutFrozen:
    """Stands in for such a method: while it runs, the groups hold only what is not frozen."""

    def __init__(self, optimizer: Optimizer, method: str, guard: GradientGuard) -> None:
        self._optimizer = weakref.ref(optimizer)
        self._method = method
        self._guard = guard

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        optimizer: Any = self._optimizer()
        frozen = set(map(id, self._guard.frozen))
        whole = [(group, group["params"]) for group in optimizer.param_groups]
        for group, parameters in whole:
            group["params"] = [p for p in parameters if id(p) not in frozen]
        try:
            return getattr(type(optimizer), self._method)(optimizer, *args, **kwargs)
        finally:
            for group, parameters in whole:
                group["params"] = parameters


def hold_in_swaps(optimizer: Given, guard: GradientGuard) -> None:
    """Keep what `guard` holds out of every method of an optimizer, or of what it wraps, that swaps weights."""
    for level in _levels(optimizer):
        for method in _swapping(level):
            level.__dict__[method] = _WithoutFrozen(level, method, guard)


def let_swap(optimizer: Given) -> None:
    """Undo `hold_in_swaps`."""
    for level in _levels(optimizer):
        for method in _swapping(level):
            level.__dict__.pop(method, None)


def _swapping(optimizer: Optimizer) -> list[str]:
    return [method for method in METHODS if callable(getattr(type(optimizer), method, None))]


def _levels(optimizer: Given) -> Iterator[Optimizer]:
    if isinstance(optimizer, Sequence):
        below: Sequence[Optimizer] = optimizer
    else:
        yield optimizer
        inner = wrapped(optimizer)
        below = (*parts_of(optimizer), *(() if inner is None else (inner,)))
    for level in below:
        yield from _levels(level)
