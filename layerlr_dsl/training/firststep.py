"""What can only be seen once a training step is under way: replaced parameters, buckets, lost gradients.

Looked at before the first optimizer step after every change of the frozen set, so that a wrong set-up
stops before it has trained anything; and whenever a module or parameter was replaced.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from layerlr_dsl.model import live
from layerlr_dsl.model.walk import walk
from layerlr_dsl.training import compiling, parallel
from layerlr_dsl.training.binding import Binding
from layerlr_dsl.training.flags import FlagCheck
from layerlr_dsl.training.freezing import Freezer
from layerlr_dsl.training.hooks import weakly
from layerlr_dsl.training.lost_gradients import Probe

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
        self.release()
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
        if self._probe is not None and self._probe.look():
            self._probe = None
        if not self.binding.in_place():
            self.arm()
            self.freezer.follow_modules()
        if self.freezer.modules.thawing:  # a compiled model's hooks give no modes back
            self.freezer.modules.settle()
        if self._left == 0:
            return
        self.rebind(param_groups)
        self._check_buckets()
        if self._probe is None:
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
        frozen = self.freezer.frozen
        trains = [p for name, p in self.binding.trains.items() if name not in frozen and p.requires_grad]
        lost = {id(p) for p in trains if p.grad is None}
        if not lost or compiling.is_compiled(self.binding.model, self.freezer.root):
            return None
        found = walk(self.freezer.root)
        owners: dict[str, nn.Module] = {}
        for row, parameter in zip(found.owners, found.parameters, strict=True):
            if id(parameter) in lost:
                owners[found.module_prefixes[row][:-1]] = found.modules[row]
        return Probe(self.freezer.root, owners, sum(map(live.numel, trains)))

    def release(self) -> None:
        """Stop watching."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_probe": None, "_reducer": None}
