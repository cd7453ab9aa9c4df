"""Optimizers that are stepped by themselves, at a cadence of their own, under one schedule.

They are the parts of several optimizers as one, or a list that a loop keeps: one for the generator and one for
the critic, or one for every parameter, stepped while gradients come in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from layerlr_dsl.optim.several import Several
from layerlr_dsl.training.binding import innermost
from layerlr_dsl.training.curvature import forget_frozen_directions
from layerlr_dsl.training.hooks import remove

if TYPE_CHECKING:
    from layerlr_dsl.training.freezing import GradientGuard


def together(optimizers: Optimizer | Sequence[Optimizer]) -> Optimizer:
    """One optimizer that holds the groups of all that are given, for a schedule to drive."""
    if not isinstance(optimizers, Sequence):
        return optimizers
    inner = [innermost(optimizer) for optimizer in optimizers]
    return inner[0] if len(inner) == 1 else Several(inner)


class PartGuard:
    """Step pre-hook of a part: what the guard of the whole does, for the parameters of this one alone.

    A loop may step hundreds of parts for one forward pass, so the whole is looked at once for each pass.
    """

    def __init__(self, guard: GradientGuard) -> None:
        self.guard = guard

    def __call__(self, optimizer: Optimizer, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        return self.guard.before_step(optimizer, args, kwargs, self._drop)

    @staticmethod
    def install(guard: GradientGuard, part: Optimizer) -> None:
        remove(part._optimizer_step_pre_hooks, PartGuard)
        part.register_step_pre_hook(PartGuard(guard))
