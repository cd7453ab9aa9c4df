"""Modules that the rules train and that no gradient reaches, though they run: looked for in the first steps.

Reentrant activation checkpointing runs a block without autograd and counts on its input to carry a gradient. Behind
a frozen layer it carries none, and the block learns nothing. `torch.no_grad()` around a part, and `detach()` behind
it, do the same without a word. What does not run is left alone: an expert that no sample chose has no gradient either.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, Literal

import torch
from torch import nn

from layerlr_dsl.model import live
from layerlr_dsl.training.errors import TrainingError, listed, tell

STEPS = 8
"""So many optimizer steps may pass without a gradient: the players of a GAN take turns."""
How = Literal["with autograd", "without", "checkpointed"]


class _Look:
    """Forward pre-hook that notes how a training module runs; harmless in a copied model."""

    def __init__(self, seen: set[How]) -> None:
        self.seen = seen

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        if module.training:
            self.seen.add(_how())


class _Reached:
    """Hook of a parameter that notes that a gradient has come: some loops take it away before the step."""

    def __init__(self, module: Watched) -> None:
        self.module = module

    def __call__(self, gradient: torch.Tensor) -> None:
        self.module.reached = True


class Watched:
    """A module of which some parameters train and have no gradient yet."""

    def __init__(self, module: nn.Module) -> None:
        self.parameters = [p for p in module.parameters(recurse=False) if p.requires_grad]
        self.seen: set[How] = set()
        self.reached = False
        self._handles = [
            module.register_forward_pre_hook(_Look(self.seen)),
            *(p.register_hook(_Reached(self)) for p in self.parameters),  # type: ignore[no-untyped-call]
        ]

    def look(self) -> bool:
        """Whether a gradient has reached it by now."""
        self.reached = self.reached or any(p.grad is not None for p in self.parameters)
        return self.reached

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()


class Probe:
    """Watches modules through some training steps, until a gradient reaches them or it is clear that none does.

    lost: the modules, by name. learns: elements of all that trains.
    """

    def __init__(self, root: nn.Module, lost: Mapping[str, nn.Module], learns: int) -> None:
        self.learns = learns
        self._root: set[How] = set()
        self._handle = root.register_forward_pre_hook(_Look(self._root))
        self._watched = {name: Watched(module) for name, module in lost.items()}
        self._steps = 0
        self._told = False

    def look(self) -> bool:
        """Look ahead of an optimizer step; whether all is known. Raises TrainingError for a block that can never learn."""
        self._steps += 1
        for name in [name for name, module in self._watched.items() if module.look()]:
            self._watched.pop(name).close()
        self._judge_checkpointed()
        over = not self._watched or self._steps == STEPS
        if over:
            self._judge_others()
            self.close()
        return over

    def close(self) -> None:
        """Stop watching."""
        self._handle.remove()
        for module in self._watched.values():
            module.close()

    def _judge_checkpointed(self) -> None:
        names = [name for name, module in self._watched.items() if "checkpointed" in module.seen]
        if not names or self._told:
            return
        text = (
            f"no gradient reaches {listed(names)}, which train: they ran without autograd. Reentrant activation "
            "checkpointing does that behind a frozen layer, and behind an input without a gradient; use "
            "checkpoint(..., use_reentrant=False) (transformers: gradient_checkpointing_kwargs={'use_reentrant': False})"
        )
        if "with autograd" in self._root:
            self.close()
            raise TrainingError(text)
        # Nobody has called the whole model: a critic's turn may have run a part of it, on purpose without a gradient.
        self._told = True
        tell(text)

    def _judge_others(self) -> None:
        names = [name for name, module in self._watched.items() if "without" in module.seen]
        if names:
            tell(
                f"no gradient has reached {listed(names)} in the first {self._steps} optimizer steps, and the rules train "
                "these: they run under torch.no_grad(). Freeze them in the rules, or run them with autograd"
            )
            return
        ran = {name: module for name, module in self._watched.items() if module.seen == {"with autograd"}}
        # A branch that is not used is common; most of a model that is not used is a mistake.
        if 2 * sum(live.numel(p) for module in ran.values() for p in module.parameters) >= self.learns:
            tell(
                f"no gradient has reached {listed(ran)} in the first {self._steps} optimizer steps, and the rules train "
                "these: the loss does not hang on what they give out, which was detached or not used. Freeze them in the "
                "rules, or let the loss hang on them"
            )


def _how() -> How:
    if torch.is_grad_enabled():
        return "with autograd"
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        # The forward pass of torch's CheckpointFunction, and of DeepSpeed's, Megatron's and fairscale's.
        if frame.f_code.co_name == "forward" and "run_function" in frame.f_code.co_varnames:
            return "checkpointed"
        frame = frame.f_back
    return "without"
