"""Freezing that holds: the bytes of frozen parameters and statistics do not change.

Taking `requires_grad` away is not enough: a gradient that is still there moves the weight at every
optimizer step. So freezing takes the flag and the gradient, at a step boundary, and a hook before each
optimizer step drops what a loop may have put back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from layerlr_dsl.model import live
from layerlr_dsl.model.walk import Walk, walk
from layerlr_dsl.tools.records import record
from layerlr_dsl.training import flags, modes, parallel
from layerlr_dsl.training.curvature import forget_frozen_directions
from layerlr_dsl.training.digests import digest, form, readable
from layerlr_dsl.training.errors import FrozenMoved
from layerlr_dsl.training.hooks import installed, remove
from layerlr_dsl.training.parts import dropping_after_closure, guard_parts, unguard_parts
from layerlr_dsl.training.standing import Standing, frozen_subtrees

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.utils.hooks import RemovableHandle


class GradientGuard:
    """Step pre-hook of the optimizer: drops the gradients of `frozen`, before the step and after a closure.

    `check`, where set, runs ahead of that; it looks at how the model is wrapped and used. `flags` looks at those of
    what is stepped: None, or the groups of one of several optimizers. `captured` runs where the step is being
    captured in a CUDA graph. `by_parts`: whether parts of several optimizers
    were stepped by themselves.
    """

    def __init__(self) -> None:
        self.frozen: list[nn.Parameter] = []
        self.paused = False
        self.by_parts = False
        self.check: Callable[[], object] | None = None
        self.flags: Callable[[list[dict[str, Any]] | None], object] | None = None
        self.captured: Callable[[], object] | None = None

    def __call__(self, optimizer: Optimizer, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        if self.paused:
            return None
        self.look()
        self.look_at_flags(None)
        self.drop()
        forget_frozen_directions(optimizer, self.frozen)
        return dropping_after_closure(args, kwargs, self.drop) if self.frozen else None

    def look(self) -> None:
        """Look at how the model is wrapped and used, ahead of a step."""
        if not torch.compiler.is_compiling():
            if self.check is not None:
                self.check()
            if self.captured is not None and _capturing():
                self.captured()

    def look_at_flags(self, part: list[dict[str, Any]] | None) -> None:
        """Look at the flags of all, or of the groups of one of several optimizers that is stepped by itself."""
        if self.flags is not None and not torch.compiler.is_compiling():
            self.flags(part)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "check": None, "captured": None, "flags": None}

    def drop(self) -> None:
        for parameter in self.frozen:
            if parameter.grad is not None:
                parameter.grad = None

    def install(self, optimizer: Optimizer) -> None:
        """Make this the one guard of `optimizer`; deepcopy and pickle drop hooks, so this runs again after."""
        if not installed(optimizer._optimizer_step_pre_hooks, self):
            optimizer.register_step_pre_hook(self)
            guard_parts(optimizer, self)

    def uninstall(self, optimizer: Optimizer) -> None:
        """Take it off an optimizer and its parts."""
        remove(optimizer._optimizer_step_pre_hooks, GradientGuard)
        unguard_parts(optimizer)


def _capturing() -> bool:
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()  # type: ignore[no-untyped-call]


def _silence(parameter: Tensor) -> None:
    # The reducer of DDP sends what it finds here: zeros leave the clipping norm and NaN checks alone.
    if parameter.grad is not None:
        with torch.no_grad():
            parameter.grad.zero_()


@record
class Frozen:
    """What is frozen at a time, by name.

    updating: parameters of `parameters` whose normalisation layers go on updating their running statistics.
    held: parameters that train, and whose normalisation layers stand still. modules: what a freeze covers
    and has no parameters of its own, such as dropout.
    """

    parameters: frozenset[str] = frozenset()
    updating: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()


class Freezer:
    """Which of the plan's parameters are frozen now, and everything that keeps them so.

    parameters: the live objects by canonical name, of the groups whose `requires_grad` the plan owns.
    for_ever: those of them that never train. way: see `parallel.way_to_freeze`. fixed: what the plan may freeze and
    cannot have a gradient, as quantised weights.
    """

    def __init__(
        self,
        root: nn.Module,
        parameters: dict[str, nn.Parameter],
        for_ever: Collection[str],
        way: parallel.Freezing,
        fixed: dict[str, nn.Parameter],
    ) -> None:
        self.root = root
        self.parameters = parameters
        self.fixed = fixed
        self.for_ever = frozenset(for_ever)
        self.way = way
        self.state = Frozen()
        self.guard = GradientGuard()
        self.modules = modes.install(root)
        self._silenced: list[RemovableHandle] = []
        self._digests: dict[str, tuple[tuple[torch.dtype, int], Tensor]] = {}
        self._loads = self.modules.loads
        self._applied = False

    @property
    def frozen(self) -> frozenset[str]:
        """The parameters that are frozen now."""
        return self.state.parameters

    def apply(self, state: Frozen) -> bool:
        """Freeze exactly what `state` says; return whether that changed anything."""
        thawed = self.frozen - state.parameters
        if self._applied and state == self.state:
            return False
        self._applied = True
        self.state = state
        self.release()
        found = walk(self.root)
        self._note_flags(found)
        for name, parameter in self.parameters.items():
            self._hold(name, parameter, name in self.frozen)
        self.guard.frozen = [parameter for name, parameter in self.parameters.items() if name in self.frozen]
        self.modules.parameters = self.guard.frozen
        self.modules.idle = self._idle(found)
        parallel.renew_shards(self.root, [p for name, p in self.parameters.items() if name in thawed])
        self._hold_modules(found)
        self.remember()
        return True

    def release(self) -> None:
        """Take the hooks off that silence the gradients of frozen parameters."""
        for handle in self._silenced:
            handle.remove()
        self._silenced = []

    @property
    def _planned(self) -> Iterator[tuple[str, nn.Parameter]]:
        return chain(self.parameters.items(), self.fixed.items())

    def by_flag(self, name: str) -> bool:
        """Whether a parameter freezes by losing its flag."""
        return self.way == "hard" or (self.way == "soft unless for ever" and name in self.for_ever)

    def frozen_by_flag(self) -> dict[str, nn.Parameter]:
        """What is frozen now by having lost its flag."""
        return {n: p for n, p in self.parameters.items() if n in self.frozen and self.by_flag(n)}

    def _hold(self, name: str, parameter: nn.Parameter, frozen: bool) -> None:
        if not self.by_flag(name):
            parameter.requires_grad = True
            if frozen:
                self._silenced.append(parameter.register_post_accumulate_grad_hook(_silence))  # type: ignore[no-untyped-call]
        elif parameter.requires_grad == frozen:
            parameter.requires_grad = not frozen
        if frozen and parameter.grad is not None:
            parameter.grad = None

    def follow_modules(self) -> None:
        """Hold in eval what now stands in the place of frozen modules, where others were put there."""
        present = set(map(id, self.root.modules()))
        if any(id(module) not in present for module in self.modules.modules):
            self._hold_modules(walk(self.root))

    def _note_flags(self, found: Walk) -> None:
        """Note which flags are about to be taken, and which were before; the others of the plan get theirs back."""
        before = flags.taken(found)
        frozen = self.frozen_by_flag().values()
        taken = {id(p) for p in frozen if p.requires_grad or id(p) in before}
        flags.note(found, taken | (before - set(map(id, self.parameters.values()))))

    def _hold_modules(self, found: Walk) -> None:
        planned = {id(p) for name, p in self._planned if name in self.frozen}
        owned = set(map(id, self.parameters.values()))
        standing = Standing(
            planned | self._frozen_by_the_model(found, owned),
            planned,
            {id(p) for name, p in self._planned if name in self.state.updating},
            {id(p) for name, p in zip(found.names, found.parameters, strict=True) if name in self.state.held},
            self.state.modules,
        )
        modes.hold_in_eval(self.modules, self.root, frozen_subtrees(found, standing))

    def _idle(self, found: Walk) -> nn.Parameter | None:
        """The smallest frozen parameter where none trains, in one of several processes."""
        trains = any(parameter.requires_grad for parameter in found.parameters)
        if trains or parallel.ranks() == 1:
            return None
        return min(self.guard.frozen, key=live.numel, default=None)

    @staticmethod
    def _frozen_by_the_model(found: Walk, owned: set[int]) -> set[int]:
        return {id(p) for p in found.parameters if not p.requires_grad and id(p) not in owned}

    @property
    def applied(self) -> bool:
        """Whether anything was ever frozen or thawed by this."""
        return self._applied

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_silenced": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.modules.lead(self.root)
        # Copies and pickles of parameters come without their hooks.
        for name in self.frozen & self.parameters.keys():
            self._hold(name, self.parameters[name], True)

    def rebind(
        self, parameters: dict[str, nn.Parameter], way: parallel.Freezing, fixed: dict[str, nn.Parameter]
    ) -> None:
        """Take other objects for the same names, and freeze them as before."""
        self.parameters, self.way, self.fixed = parameters, way, fixed
        self._applied = False
        self._digests = {}
        self.apply(self.state)

    def found_wrapped(self, reducer: Any) -> None:
        """Give flags back where a DistributedDataParallel waits for the gradients of what never trains.

        Called before the forward pass; after it would be too late.
        """
        if self.way == "soft unless for ever":
            held = parallel.reduced(reducer)
            if any(id(p) in held for name, p in self.parameters.items() if name in self.for_ever):
                self.way = "soft"
                self._applied = False
                self.apply(self.state)

    def harden(self) -> None:
        """Freeze by flags from now on, where it has shown that nothing stands in the way of that."""
        if self.way == "soft unless for ever":
            self.way, self._applied = "hard", False
            self.apply(self.state)

    # ------------------------------------------------------------ proof

    def remember(self) -> None:
        """Digest everything that is frozen now; what was frozen before keeps the digest it has."""
        reloaded = self.modules.loads != self._loads
        self._loads = self.modules.loads
        kept = {} if reloaded else self._digests
        self._digests = {
            name: kept.get(name) or (form(tensor), digest(tensor)) for name, tensor in self._standing_still()
        }

    def verify(self) -> int:
        """How many frozen tensors were found unmoved. Raises FrozenMoved naming those that moved."""
        if self.modules.loads != self._loads:
            self.remember()
        checked, now, before = [], [], []
        for name, tensor in self._standing_still():
            known = self._digests.get(name)
            if known is None or known[0] != form(tensor):
                self._digests[name] = (form(tensor), digest(tensor))
                continue
            checked.append(name)
            now.append(digest(tensor))
            before.append(known[1].to(now[-1].device))
        if not checked:
            return 0
        by_device: dict[torch.device, list[int]] = {}
        for place, value in enumerate(now):
            by_device.setdefault(value.device, []).append(place)
        moved = []
        for places in by_device.values():
            same = (torch.stack([now[p] for p in places]) == torch.stack([before[p] for p in places])).all(1)
            moved += [checked[place] for place, equal in zip(places, same.tolist(), strict=True) if not equal]
        if moved:
            raise FrozenMoved(moved)
        return len(checked)

    def _standing_still(self) -> Iterator[tuple[str, Tensor]]:
        # Not what is `fixed`: libraries repack its bytes as they run.
        for name, parameter in self.parameters.items():
            if name in self.frozen and readable(parameter):
                yield name, parameter
        if not self.modules.modules:
            return
        names = {id(module): name for name, module in live.named_modules(self.root).items()}
        for module, leaf, value in modes.statistics(self.modules.modules):
            if readable(value):
                yield f"{names.get(id(module), type(module).__name__)}.{leaf}", value
