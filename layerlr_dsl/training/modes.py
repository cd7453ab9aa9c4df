"""Frozen modules are in eval whenever they run, whatever the training loop does with `model.train()`.

Each epoch's `model.train()` would set running statistics and dropout of a frozen layer going again. What
lasts through pickle, deepcopy, torch.compile and every wrapper is a forward pre-hook that holds plain
lists of modules: one on the root, and one on each frozen subtree for loops that call a part of the model
without its root.

A module that thaws gets back the mode that its user wants it in, which need not be that of the root: loops
and models of their own keep norms in eval. So the hook notes what the user had set before it sets eval.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy

from layerlr_dsl.training.hooks import remove
from layerlr_dsl.training.standing import Place

WANTED = "_layerlr_mode_wanted"
"""Attribute of a module that a released schedule has left in eval: the mode that its user wants it in."""


class FrozenModules:
    """Forward pre-hook of the root: puts `modules` in eval. It is also told of every `load_state_dict`.

    `wrapped`, where set, is called with a DistributedDataParallel that is seen around the root for the
    first time, before the forward pass; `began` before the first forward pass since `fresh` was set; `ahead`
    before each; `loaded` after every `load_state_dict` of the root.
    """

    def __init__(self) -> None:
        self.modules: list[nn.Module] = []
        self.thawing: list[nn.Module] = []
        """What thawed while the root was in eval, and gets its mode back when that trains again."""
        self.parameters: list[nn.Parameter] = []
        """Those that are frozen now."""
        self.idle: nn.Parameter | None = None
        """Where nothing trains in the part that one of several processes has: what gets a gradient of zeros in each
        forward pass. GradScaler wants to look at one, and zeros are dropped before they move anything."""
        self.statistics: list[tuple[_NormBase, float | None, dict[str, Tensor]]] = []
        self.limits: list[tuple[nn.Embedding | nn.EmbeddingBag, float]] = []
        self.forwards = 0
        self.loads = 0
        self.fresh = False
        self.reducer: Any = None
        self.began: Callable[[], object] | None = None
        self.ahead: Callable[[], object] | None = None
        self.wrapped: Callable[[Any], object] | None = None
        self.loaded: Callable[[], object] | None = None
        self.leader: weakref.ref[FrozenModules] | None = None
        """In a copy of the model that no schedule steps: the hook that it was copied from."""
        self._led: list[tuple[nn.Module, weakref.ref[nn.Module]]] = []
        self._root: weakref.ref[nn.Module] | None = None
        self._wanted: dict[nn.Module, bool] = {}
        """The mode that the user wants each module in; those that were not touched yet are missing."""
        self._paths: dict[nn.Module, tuple[str, ...]] = {}
        self._untouched = False
        self._traced = False

    def __call__(self, root: nn.Module, inputs: Any) -> None:
        if torch.compiler.is_compiling():
            self._traced = True
            for module in self.modules:
                if module.training:
                    module.training = False
            return
        if self._root is None:
            self._root = weakref.ref(root)
        if self.leader is not None:
            self.follow()
        if self.fresh:
            self.fresh = False
            if self.began is not None:
                self.began()
        if self.ahead is not None:
            self.ahead()
        self.settle()
        self.forwards += 1
        if self.idle is not None and self.idle.grad is None and torch.is_grad_enabled():
            self.idle.grad = torch.zeros_like(self.idle)
        self._look_for_reducer()

    def _look_for_reducer(self) -> None:
        reducer = nn.parallel.DistributedDataParallel._get_active_ddp_module()  # type: ignore[no-untyped-call]
        if reducer is not None and reducer is not self.reducer:
            self.reducer = reducer
            if self.wrapped is not None:
                self.wrapped(reducer)

    # ------------------------------------------------------------ modes

    def settle(self) -> None:
        """Put what is frozen in eval, and what thawed during an evaluation back in the mode that is wanted of it."""
        trains = self._root_trains()
        if self._untouched and trains:
            self._untouched = False
            for module in self.modules:
                self._wanted.setdefault(module, module.training)
        flipped = [module for module in self.modules if module.training]
        if flipped or self.thawing:
            self._note()
        for module in flipped:
            module.training = False
        if self.thawing and trains:
            self._give_back(self.thawing)
            self.thawing = []
        self._undo_reset()

    def hold(self, modules: list[nn.Module], paths: Mapping[nn.Module, tuple[str, ...]]) -> None:
        """Make `modules` the ones held in eval when they run; the others go back to their modes."""
        self._note()
        staying = set(map(id, modules))
        leaving = [m for m in (*self.thawing, *self.modules) if id(m) not in staying]
        self._paths = {module: self._paths.get(module, ()) for module in leaving} | dict(paths)
        self.modules, self.thawing, self._untouched = modules, leaving, True
        # Before the model has run, its user may still be about to say which modes he wants.
        if self.forwards and self._root_trains():
            self.settle()
        elif self._root_trains():
            self._give_back(leaving)
            self.thawing = []

    def leave(self) -> None:
        """Hold nothing any more; modes stay as they are, and which are wanted is noted for the next schedule."""
        for module in (*self.modules, *self.thawing):
            if module in self._wanted:
                module.__dict__[WANTED] = self._wanted[module]
        self.modules, self.thawing, self._wanted = [], [], {}
        self.lift_limits()

    def take_over(self, root: nn.Module) -> None:
        """Take up the modes that an earlier schedule has left to be given back."""
        self.thawing = [module for module in root.modules() if WANTED in module.__dict__]
        self._wanted = {module: module.__dict__.pop(WANTED) for module in self.thawing}

    def _give_back(self, modules: list[nn.Module]) -> None:
        for module in modules:
            wanted = self._wanted.pop(module, None)
            if wanted is not None:
                module.training = wanted
            elif self._traced:  # a compiled model's hook has nowhere to note anything
                module.training = True

    def _root_trains(self) -> bool:
        root = None if self._root is None else self._root()
        return root is None or any(one.training for one in _hosts(root))

    def _note(self) -> None:
        """Note what the user wants of the modules that were put in eval here.

        `train()` reaches all below the module that it is called on. So where some of them train again, whatever
        is in eval below the same ancestor was put there by the user.
        """
        touched = [module for module in (*self.modules, *self.thawing) if module in self._wanted]
        flipped = [self._paths.get(module, ()) for module in touched if module.training]
        if flipped:
            around = _common(flipped)
            for module in touched:
                if self._paths.get(module, ())[: len(around)] == around:
                    self._wanted[module] = module.training

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

    def hold_twins(self, leader: FrozenModules, twins: Mapping[nn.Module, nn.Module]) -> None:
        """Hold too, in a copy of the model, what `leader` holds by now in that. twins: the copy of each module."""
        held = set(map(id, self.modules))
        added = [(twins[one], one) for one in leader.modules if one in twins and id(twins[one]) not in held]
        if not added:
            return
        self.leader = weakref.ref(leader)
        self._led += [(own, weakref.ref(original)) for own, original in added]
        self.modules = [*self.modules, *(own for own, _ in added)]
        self._untouched = True
        self.lift_limits()
        self.remember_statistics()

    def lead(self, root: nn.Module) -> None:
        """Follow no other model's hook any more: a schedule steps this one."""
        self.leader, self._led, self._root = None, [], weakref.ref(root)

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenModules:
        made = type(self)()
        memo[id(self)] = made
        made.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        # A copy of a copy follows the first model: the copy between may be gone at any time.
        first = {id(own): original for own, original in self._led}
        made.leader = self.leader or weakref.ref(self)
        made._led = [
            (own, first.get(id(mine)) or weakref.ref(mine))
            for own, mine in zip(made.modules, self.modules, strict=True)
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
        told = {"reducer": None, "began": None, "ahead": None, "wrapped": None, "loaded": None, "_root": None}
        return {**self.__dict__, **told, "leader": None, "_led": []}


class FrozenSubtree:
    """Forward pre-hook of the topmost module of a frozen subtree; costs one look where nothing changed."""

    def __init__(self, modules: list[nn.Module], hook: FrozenModules) -> None:
        self.modules = modules
        self.hook = hook

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        tracing = torch.compiler.is_compiling()
        if not tracing and self.hook.thawing:
            self.hook.settle()
        if not self.modules or not self.modules[0].training:
            return
        if tracing:
            for module in self.modules:
                module.training = False
            return
        if self.hook.leader is not None:
            self.hook.follow()
            held = set(map(id, self.hook.modules))
            self.modules = [module for module in self.modules if id(module) in held]
        self.hook.settle()


def install(root: nn.Module) -> FrozenModules:
    """The hook of this root; one that came along in a deepcopy or pickle is taken over.

    Where the root only holds modules that are called by themselves, it is on each of them.
    """
    called = list(_hosts(root))
    there = {id(hook): hook for one in called for hook in _hooks_of(one)}
    if len(there) == 1 and all(map(_hooks_of, called)):
        hook = next(iter(there.values()))
        hook.lead(root)
        return hook
    uninstall(root)
    hook = FrozenModules()
    hook.lead(root)
    hook.take_over(root)
    _put_on(hook, called)
    return hook


def hold_in_copy(model: nn.Module, average: nn.Module) -> None:
    """Hold in eval in `average`, a copy of `model`, what a schedule holds in that, whenever the copy was made."""
    leaders, called = _hooks_of(model) if model is not average else [], list(_hosts(average))
    if not leaders or not leaders[0].modules:
        return
    there = [hook for one in called for hook in _hooks_of(one)]
    hook = there[0] if there else FrozenModules()
    if not there:
        hook._root = weakref.ref(average)
        _put_on(hook, called)
    hook.hold_twins(leaders[0], dict(zip(model.modules(), average.modules(), strict=False)))


def _put_on(hook: FrozenModules, called: Iterable[nn.Module]) -> None:
    for one in called:
        one.register_forward_pre_hook(hook)
        one.register_load_state_dict_post_hook(hook.after_load)  # type: ignore[no-untyped-call]


def _hooks_of(module: nn.Module) -> list[FrozenModules]:
    return [hook for hook in module._forward_pre_hooks.values() if isinstance(hook, FrozenModules)]


def hold_in_eval(hook: FrozenModules, root: nn.Module, subtrees: list[list[Place]]) -> None:
    """Make `subtrees` the ones held in eval; what was held before and is not now gets its mode back."""
    paths = {module: path for subtree in reversed(subtrees) for module, path in reversed(subtree)}
    hook.hold(list(dict.fromkeys(module for subtree in subtrees for module, _ in subtree)), paths)
    for module in root.modules():
        remove(module._forward_pre_hooks, FrozenSubtree)
    held = set(map(id, hook.modules))
    for top in (*(subtree[0][0] for subtree in subtrees), *hook.thawing):
        for host in _hosts(top):
            if not any(isinstance(other, FrozenSubtree) for other in host._forward_pre_hooks.values()):
                below = [module for module in host.modules() if id(module) in held]
                host.register_forward_pre_hook(FrozenSubtree(below, hook))
    hook.lift_limits()
    hook.remember_statistics()


def uninstall(root: nn.Module) -> None:
    """Take every hook of this module off a model."""
    for module in root.modules():
        remove(module._forward_pre_hooks, FrozenSubtree)
    for one in _hosts(root):
        for hook in _hooks_of(one):
            hook.leave()
        hooks = one._load_state_dict_post_hooks
        for key in [k for k, h in hooks.items() if isinstance(getattr(h, "__self__", None), FrozenModules)]:
            del hooks[key]
        remove(one._forward_pre_hooks, FrozenModules)


def _hosts(module: nn.Module) -> Iterator[nn.Module]:
    """The topmost modules that are called themselves: hooks on a ModuleList never fire."""
    if type(module).forward is not nn.Module.forward:
        yield module
    else:
        for child in module.children():
            yield from _hosts(child)


def _common(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    first, last = min(paths), max(paths)
    same = 0
    while same < len(first) and first[same] == last[same]:
        same += 1
    return first[:same]


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
