"""Finds what stops gradients from reaching layers that train.

Reentrant activation checkpointing runs a block without autograd and counts on its input to carry a
gradient. Behind a frozen layer it carries none, and the block learns nothing, with only a warning.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from layerlr_dsl.training.errors import TrainingError, listed


class _Look:
    """Forward pre-hook that notes a training module running without autograd; harmless in a copied model."""

    def __init__(self, name: str, seen: set[str]) -> None:
        self.name = name
        self.seen = seen

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        if module.training and not torch.is_grad_enabled():
            self.seen.add(self.name)


class Probe:
    """Watches one training step of `modules`, which own parameters that train but got no gradient."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self.modules = modules
        self.seen: set[str] = set()
        self._handles = [
            module.register_forward_pre_hook(_Look(name, self.seen)) for name, module in modules.items()
        ]

    def close(self) -> None:
        """Stop watching. Raises TrainingError for modules that ran without autograd and still have no gradient."""
        for handle in self._handles:
            handle.remove()
        deaf = [
            name for name, module in self.modules.items() if name in self.seen and not any(_gradients(module))
        ]
        if deaf:
            raise TrainingError(
                f"no gradient reaches {listed(deaf)}, which train: they ran without autograd. Reentrant activation "
                "checkpointing does that behind a frozen layer; use checkpoint(..., use_reentrant=False) "
                "(transformers: gradient_checkpointing_kwargs={'use_reentrant': False})"
            )


def _gradients(module: nn.Module) -> Iterable[bool]:
    return (p.grad is not None for p in module.parameters(recurse=False) if p.requires_grad)
