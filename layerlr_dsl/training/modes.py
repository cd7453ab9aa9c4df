"""Frozen modules stay in eval, whatever the training loop does with `model.train()`.

Each epoch's `model.train()` would set running statistics and dropout of a frozen layer going again. What
lasts through pickle, deepcopy, torch.compile and every wrapper is a forward pre-hook that holds plain
lists of modules: one on the root, and one on each frozen subtree for loops that call a part of the model
without its root.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy

from layerlr_dsl.model.walk import Walk
from layerlr_dsl.training.hooks import remove


class FrozenModules:
    """Forward pre-hook of the root: puts `modules` in eval. It is also told of every `load_state_dict`.

    `wrapped`, where set, is called with a DistributedDataParallel that is seen around the root for the
    first time, before the forward pass; `began` before the first forward pass since `fresh` was set;
    `loaded` after every `load_state_dict` of the root.
    """

    def __init__(self) -> None:
        self.modules: list[nn.Module] = []
        self.parameters: list[nn.Parameter] = []
        """Those that are frozen now."""
        self.statistics: list[tuple[_NormBase, float | None, dict[str, Tensor]]] = []
        self.limits: list[tuple[nn.Embedding | nn.EmbeddingBag, float]] = []
        self.forwards = 0
        self.loads = 0
        self.fresh = False
        self.reducer: Any = None
        self.began: Callable[[], None] | None = None
        self.wrapped: Callable[[Any], None] | None = None
        self.loaded: Callable[[], None] | None = None
        self.leader: weakref.ref[FrozenModules] | None = None
        """In a copy of the model that no schedule steps: the hook that it was copied from."""
        self._led: list[tuple[nn.Module, weakref.ref[nn.Module]]] = []

    def __call__(self, root: nn.Module, inputs: Any) -> None:
        tracing = torch.compiler.is_compiling()
        if self.leader is not None and not tracing:
            self.follow()
        if self.fresh and not tracing:
            self.fresh = False
            if self.began is not None:
                self.began()
        for module in self.modules:
            if module.training:
                module.training = False
        if tracing:
            return
        self.forwards += 1
        reducer = nn.parallel.DistributedDataParallel._get_active_ddp_module()  # type: ignore[no-untyped-call]
        if reducer is not None and reducer is not self.reducer:
            self.reducer = reducer
            if self.wrapped is not None:
                self.wrapped(reducer)
        self._undo_reset()

    def follow(self) -> None:
        """Let go of what is held no more in the model that this one was copied from.

        An average of weights is often copied in the first step, while layers are frozen, and lives on
        after their thaw.
        """
        leader = None if self.leader is None else self.leader()
        if leader is None:
            return
        leader.follow()
        held = set(map(id, leader.modules))
        thawed = {id(own) for own, original in self._led if id(original()) not in held}
        if thawed:
            self._led = [(own, original) for own, original in self._led if id(own) not in thawed]
            self.modules = [module for module in self.modules if id(module) not in thawed]
            self.statistics = [kept for kept in self.statistics if id(kept[0]) not in thawed]
            self.lift_limits()

    def lead(self) -> None:
        """Follow no other model's hook any more: a schedule steps this one."""
        self.leader, self._led = None, []

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenModules:
        made = type(self)()
        memo[id(self)] = made
        made.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        made.leader = weakref.ref(self)
        made._led = [
            (own, weakref.ref(original)) for own, original in zip(made.modules, self.modules, strict=True)
        ]
        return made

    def _undo_reset(self) -> None:
        # update_bn clears every statistic and sets momentum to None to average anew. A frozen layer has
        # nothing to average: with fresh statistics it would feed the layers above what they never saw.
        for module, momentum, saved in self.statistics:
            if module.momentum is None and (momentum is not None or _cleared(module)):
                for name, value in saved.items():
                    getattr(module, name).copy_(value)

    def remember_statistics(self) -> None:
        """Keep a copy of the running statistics of every module that is held in eval."""
        self.statistics = [
            (module, module.momentum, {name: value.clone() for name, value in _statistics_of(module)})
            for module in self.modules
            if isinstance(module, _NormBase)
        ]

    def lift_limits(self) -> None:
        """Take `max_norm` from embeddings that are held, and give it back to those that are no more.

        A look-up would write the shortened row back into the weight, in eval too.
        """
        for module, limit in self.limits:
            module.max_norm = limit
        self.limits = [
            (module, module.max_norm)
            for module in self.modules
            if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.max_norm is not None
        ]
        for module, _ in self.limits:
            module.max_norm = None

    def after_load(self, module: nn.Module, incompatible: Any) -> None:
        """Hook of `load_state_dict`: what was loaded is what stands still from now on."""
        self.loads += 1
        self.remember_statistics()
        if self.loaded is not None:
            self.loaded()

    def __getstate__(self) -> dict[str, Any]:
        told = {"reducer": None, "began": None, "wrapped": None, "loaded": None}
        return {**self.__dict__, **told, "leader": None, "_led": []}


class FrozenSubtree:
    """Forward pre-hook of the topmost module of a frozen subtree; costs one look where nothing changed."""

    def __init__(self, modules: list[nn.Module], hook: FrozenModules) -> None:
        self.modules = modules
        self.hook = hook

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        if not self.modules or not self.modules[0].training:
            return
        if self.hook.leader is not None and not torch.compiler.is_compiling():
            self.hook.follow()
            held = set(map(id, self.hook.modules))
            self.modules = [module for module in self.modules if id(module) in held]
        for module in self.modules:
            module.training = False


def install(root: nn.Module) -> FrozenModules:
    """The hook of this root; one that came along in a deepcopy or pickle is taken over."""
    for hook in root._forward_pre_hooks.values():
        if isinstance(hook, FrozenModules):
            hook.lead()
            return hook
    hook = FrozenModules()
    root.register_forward_pre_hook(hook)
    root.register_load_state_dict_post_hook(hook.after_load)  # type: ignore[no-untyped-call]
    return hook


def hold_in_eval(hook: FrozenModules, root: nn.Module, subtrees: list[list[nn.Module]]) -> None:
    """Make `subtrees` the ones held in eval; what was held before and is not now trains if the root does."""
    modules = list({id(module): module for subtree in subtrees for module in subtree}.values())
    staying = set(map(id, modules))
    for module in hook.modules:
        if id(module) not in staying and root.training:
            module.training = True
    for module in root.modules():
        remove(module._forward_pre_hooks, FrozenSubtree)
    for subtree in subtrees:
        for host in _hosts(subtree[0]):
            held = [module for module in host.modules() if id(module) in staying]
            if held:
                host.register_forward_pre_hook(FrozenSubtree(held, hook))
    hook.modules = modules
    for module in modules:
        module.training = False
    hook.lift_limits()
    hook.remember_statistics()


def uninstall(root: nn.Module) -> None:
    """Take every hook of this module off a model."""
    for module in root.modules():
        remove(module._forward_pre_hooks, FrozenSubtree)
    for hook in root._forward_pre_hooks.values():
        if isinstance(hook, FrozenModules):
            hook.modules = []
            hook.lift_limits()
    hooks = root._load_state_dict_post_hooks
    for key in [k for k, h in hooks.items() if isinstance(getattr(h, "__self__", None), FrozenModules)]:
        del hooks[key]
    remove(root._forward_pre_hooks, FrozenModules)


def _hosts(module: nn.Module) -> Iterator[nn.Module]:
    """The topmost modules that are called themselves: hooks on a ModuleList never fire."""
    if type(module).forward is not nn.Module.forward:
        yield module
    else:
        for child in module.children():
            yield from _hosts(child)


def frozen_subtrees(
    found: Walk, frozen: set[int], planned: set[int], updating: set[int]
) -> list[list[nn.Module]]:
    """The topmost subtrees below the root all of whose parameters are frozen, each as its flat modules.

    frozen: ids of all parameters that stand still; planned: those among them that the plan froze, of which
    a subtree has at least one; updating: those whose normalisation layers go on updating statistics, which
    are left out.
    """
    size = len(found.modules)
    total, still, ours, going = ([0] * size for _ in range(4))
    for owner, parameter in zip(found.owners, found.parameters, strict=True):
        key = id(parameter)
        total[owner] += 1
        still[owner] += key in frozen
        ours[owner] += key in planned
        going[owner] += key in updating
    for row in range(size - 1, 0, -1):
        above = found.module_parents[row]
        for column in (total, still, ours, going):
            column[above] += column[row]
    subtrees: list[list[nn.Module]] = []
    top: list[int] = [-1] * size
    for row in range(1, size):
        parent = found.module_parents[row]
        if parent > 0 and top[parent] >= 0:
            top[row] = top[parent]
        elif total[row] and still[row] == total[row] and ours[row]:
            top[row] = len(subtrees)
            subtrees.append([])
        else:
            continue
        if not _goes_on(found, row, total, ours, going):
            subtrees[top[row]].append(found.modules[row])
    return [subtree for subtree in subtrees if subtree]


def _goes_on(found: Walk, row: int, total: list[int], ours: list[int], going: list[int]) -> bool:
    if "norm" not in found.classes[found.module_classes[row]].families:
        return False
    if total[row]:
        return going[row] > 0
    parent = found.module_parents[row]
    return going[parent] > 0 and going[parent] == ours[parent]


def statistics(modules: Iterable[nn.Module]) -> Iterator[tuple[_NormBase, str, Tensor]]:
    """Running statistics of the normalisation layers among `modules`."""
    for module in modules:
        if isinstance(module, _NormBase):
            for name, value in _statistics_of(module):
                yield module, name, value


def _cleared(module: _NormBase) -> bool:
    """Whether a layer that averages cumulatively, as `momentum=None` has it, has begun to do so anew."""
    count = module.num_batches_tracked
    return count is not None and int(count) == 0


def _statistics_of(module: _NormBase) -> Iterator[tuple[str, Tensor]]:
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        value = getattr(module, name, None)
        if value is not None and not is_lazy(value):
            yield name, value
