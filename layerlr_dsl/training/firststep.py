"""What can only be seen once a training step is under way: replaced parameters, buckets, lost gradients.

Looked at before the first optimizer step after every change of the frozen set, so that a wrong set-up
stops before it has trained anything; and whenever a module or parameter was replaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from layerlr_dsl.model.walk import walk
from layerlr_dsl.training import compiling, parallel
from layerlr_dsl.training.binding import Binding
from layerlr_dsl.training.errors import TrainingError, listed
from layerlr_dsl.training.flags import FlagCheck
from layerlr_dsl.training.freezing import Freezer
from layerlr_dsl.training.hooks import weakly

ATTEMPTS = 3


class FirstStep:
    """The checks of a step, armed by every change of the frozen set and disarmed by a step that passes.

    `begin` looks ahead of the first forward pass after that, `check` ahead of every optimizer step.
    """

    def __init__(self, binding: Binding, freezer: Freezer) -> None:
        self.binding = binding
        self.freezer = freezer
        self._flags = FlagCheck(binding, freezer)
        self._left = 0
        self._forwards = 0
        self._probe: Probe | None = None
        self._reducer: Any = None

    def arm(self) -> None:
        self._left = ATTEMPTS
        self._forwards = self.freezer.modules.forwards
        self.freezer.modules.fresh = True
        self._flags.renew()
        self._watch()

    def begin(self) -> None:
        """Hold in eval what has taken the place of frozen modules, as SyncBatchNorm does when it is converted to."""
        if not self.binding.in_place():
            self.freezer.follow_modules()

    def check(self, param_groups: list[dict[str, Any]]) -> None:
        """Look at the step that is about to be taken. Raises ModelMismatch or TrainingError."""
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.close()
        if not self.binding.in_place():
            self.arm()
            self.freezer.follow_modules()
        if self.freezer.modules.thawing:  # a compiled model's hooks give no modes back
            self.freezer.modules.settle()
        if self._left == 0:
            return
        self.rebind(param_groups)
        self._check_buckets()
        if self.freezer.frozen and probe is None:
            self._probe = self._look_for_lost_gradients()
        # Some tools take a step of their own before any forward pass; that one proves nothing.
        self._left = 0 if self.freezer.modules.forwards > self._forwards else self._left - 1

    def check_flags(self, part: list[dict[str, Any]] | None) -> None:
        """Look at the flags of what is about to be stepped: of all, or of the groups of one of several optimizers."""
        self._flags.check(part)
        self._watch()

    def _watch(self) -> None:
        if self._flags.watched and self.freezer.modules.ahead is None:
            self.freezer.modules.ahead = weakly(self._flags.put_right)

    def rebind(self, param_groups: list[dict[str, Any]]) -> None:
        """Take up parameters that were replaced, and freeze them as the old ones were."""
        if self.binding.refresh(param_groups):
            way = parallel.way_to_freeze(self.binding.model, self.binding.parameters.values())
            self.freezer.rebind(self.binding.owned, way, self.binding.fixed)
            self._flags.renew()

    def _check_buckets(self) -> None:
        reducer = self.freezer.modules.reducer
        if reducer is None or reducer is self._reducer:
            return
        self._reducer = reducer
        parallel.require_reduced(reducer, self.binding.trains, self.freezer.frozen_by_flag())

    def _look_for_lost_gradients(self) -> Probe | None:
        trains = self.binding.trains
        lost = {
            id(p)
            for name, p in trains.items()
            if name not in self.freezer.frozen and p.requires_grad and p.grad is None
        }
        if not lost or compiling.is_compiled(self.binding.model, self.freezer.root):
            return None
        found = walk(self.freezer.root)
        owners: dict[str, nn.Module] = {}
        for row, parameter in zip(found.owners, found.parameters, strict=True):
            if id(parameter) in lost:
                owners[found.module_prefixes[row][:-1]] = found.modules[row]
        return Probe(owners)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_probe": None, "_reducer": None}


# ---------------------------------------------------------------- what stops gradients

# Reentrant activation checkpointing runs a block without autograd and counts on its input to carry a
# gradient. Behind a frozen layer it carries none, and the block learns nothing, with only a warning.


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
