"""Finds a loop that freezes in the middle of a step: after `backward`, before `optimizer.step`."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch

from layerlr_dsl.training.errors import tell
from layerlr_dsl.training.hooks import installed, remove

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


class PendingGradients:
    """Step post-hook of the optimizer: notes one gradient, to tell later whether a newer one has come."""

    def __init__(self) -> None:
        self._watched: Tensor | None = None
        self._gradient: weakref.ref[Tensor] | None = None
        self._version = -1
        self._blind = False

    def install(self, optimizer: Optimizer) -> None:
        if not installed(optimizer._optimizer_step_post_hooks, self):
            optimizer.register_step_post_hook(self)

    def uninstall(self, optimizer: Optimizer) -> None:
        remove(optimizer._optimizer_step_post_hooks, PendingGradients)

    def __call__(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if torch.compiler.is_compiling():
            self._blind = True  # versions and references of gradients mean nothing inside a graph
            return
        if self._watched is None or self._watched.grad is None:
            self._watched = next(_with_gradient(optimizer), None)
        if self._watched is not None:
            gradient = self._watched.grad
            self._gradient = weakref.ref(gradient)  # type: ignore[arg-type]
            self._version = gradient._version  # type: ignore[union-attr]

    def forget(self, optimizer: Optimizer) -> None:
        """Take the gradients that are there now as used."""
        self(optimizer, (), {})

    def warn_if_any(self, optimizer: Optimizer) -> None:
        """Warn if a backward pass has run that no optimizer step has used."""
        if self._blind or not self._newer(optimizer):
            return
        gradients = [p.grad for p in _with_gradient(optimizer)]
        # A scaler that found inf or NaN skips the step; then nothing was meant to use these gradients.
        if all(bool(torch.isfinite(g).all()) for g in gradients) and any(bool(g.any()) for g in gradients):
            tell(
                "schedule.step() changes what is frozen between backward and optimizer.step(), so the gradients of "
                "this step are lost to what freezes now; call optimizer.step() first, then schedule.step()"
            )

    def _newer(self, optimizer: Optimizer) -> bool:
        if self._watched is None or self._gradient is None:
            return next(_with_gradient(optimizer), None) is not None
        gradient = self._watched.grad
        if gradient is None:
            return False
        return self._gradient() is not gradient or gradient._version != self._version

    def __getstate__(self) -> dict[str, Any]:
        return {"_watched": None, "_gradient": None, "_version": -1, "_blind": self._blind}


def _with_gradient(optimizer: Optimizer) -> Any:
    return (p for group in optimizer.param_groups for p in group["params"] if p.grad is not None)
