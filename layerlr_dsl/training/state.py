"""Optimizer state by parameter name, so that it survives edited rules and other groups.

torch loads state by position: reordered groups of equal size swap their state without a word. Names are
saved beside it (`param_names`), and a hook before loading puts everything where it belongs now.
"""

from __future__ import annotations

import copy
import warnings
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from layerlr_dsl.optim.joint_state import without_parameter
from layerlr_dsl.optim.several import Several, parts_of
from layerlr_dsl.tools.records import record
from layerlr_dsl.training.errors import StateNotCarried
from layerlr_dsl.training.hooks import remove
from layerlr_dsl.training.saved_state import (
    IMPLEMENTATION,
    LABELS,
    MADE_BY,
    RATES,
    STRUCTURE,
    Carried,
    SavedState,
    entries_of,
    rearranged,
    require_fit,
    require_fit_by_place,
    said_of,
    saved_names,
)

if TYPE_CHECKING:
    from torch import Tensor


class StateByName:
    """The hooks of an optimizer around saving and loading. `carried` tells what the last load did.

    `loaded`, where set, is called after each.
    planned: which options the rules decide, by the place of the live group; those stay as they are.
    parameters: by canonical name, for an optimizer that was built without names.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        planned: Sequence[Set[str]],
        parameters: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.planned = planned
        self.parameters = parameters or {}
        self.built = AsBuilt.of(optimizer)
        self.inherited = False
        """Whether what plan.optimizer knew of the rules counts, and not what a schedule knows."""
        self.carried = Carried()
        self.loaded: Callable[[], object] | None = None
        self.complete: Callable[[Optimizer, dict[str, Any]], dict[str, Any]] | None = None
        """While torch.distributed.checkpoint works: adds blank state of what has not stepped yet."""
        self.absent: Set[str] = frozenset()
        """Then: the parameters that its checkpoint has no state for."""

    @classmethod
    def after(
        cls, optimizer: Optimizer, planned: Sequence[Set[str]], parameters: Mapping[str, Tensor]
    ) -> StateByName:
        """That of a schedule. Where plan.optimizer has left one, what that knew of the rules counts.

        Raises ModelMismatch where the optimizer has been given state of another shape already.
        """
        made = cls(optimizer, planned, parameters)
        require_fit(optimizer, made.names(optimizer))
        for hook in optimizer._optimizer_load_state_dict_post_hooks.values():
            if isinstance(hook, _AfterLoad):
                made.planned, made.built, made.inherited = hook.state.planned, hook.state.built, True
        return made

    def leave_out(self, places: Sequence[int]) -> None:
        """Forget of some groups what plan.optimizer knew: the optimizer has them no more."""
        if self.inherited:
            self.planned = [own for place, own in enumerate(self.planned) if place not in places]
            groups = [own for place, own in enumerate(self.built.groups) if place not in places]
            self.built = replace(self.built, groups=groups)

    def install(self, optimizer: Optimizer) -> None:
        """Make this the one hook of its kind; deepcopy and pickle drop hooks, so this runs again after."""
        if any(_is_for(hook, self) for hook in optimizer._optimizer_load_state_dict_post_hooks.values()):
            return
        self._hook_into(optimizer, range(len(optimizer.param_groups)))
        where = {id(group): place for place, group in enumerate(optimizer.param_groups)}
        for part in parts_of(optimizer):
            self._hook_into(part, [where[id(group)] for group in part.param_groups])

    def _hook_into(self, optimizer: Optimizer, places: Sequence[int]) -> None:
        self._take_off(optimizer)
        hook = _BeforeLoad(self, places)
        if _loads_as_torch_does(optimizer):
            optimizer.register_load_state_dict_pre_hook(hook)
        else:
            optimizer.load_state_dict = _ArrangedFirst(optimizer, hook)  # type: ignore[method-assign]
        optimizer.register_load_state_dict_post_hook(_AfterLoad(self))
        optimizer.register_state_dict_post_hook(_SayWho(self))
        if any("param_names" in group for group in optimizer.param_groups):
            optimizer.add_param_group = _NamedFirst(optimizer, self)  # type: ignore[method-assign]

    def forget(self, optimizer: Optimizer, parameters: Iterable[Tensor]) -> None:
        """Drop the state of some parameters, and what their groups count, as with a fresh optimizer."""
        self.built.restore(optimizer, list(parameters), self.planned)

    def uninstall(self, optimizer: Optimizer) -> None:
        """Take this off an optimizer and its parts."""
        for one in (optimizer, *parts_of(optimizer)):
            self._take_off(one)

    @staticmethod
    def _take_off(optimizer: Optimizer) -> None:
        for method in ("load_state_dict", "add_param_group"):
            optimizer.__dict__.pop(method, None)
        remove(optimizer._optimizer_load_state_dict_pre_hooks, _BeforeLoad)
        remove(optimizer._optimizer_load_state_dict_post_hooks, _AfterLoad)
        remove(optimizer._optimizer_state_dict_post_hooks, _SayWho)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "loaded": None, "complete": None}

    def arrange(
        self, optimizer: Optimizer, state_dict: dict[str, Any], planned: Sequence[Set[str]]
    ) -> dict[str, Any]:
        """`state_dict` as `optimizer` needs it; `planned` is of its groups."""
        names, saved = self.names(optimizer), saved_names(state_dict)
        if names is None or saved is None:
            require_fit_by_place(optimizer, state_dict, names)
            return _with_labels(optimizer, state_dict)
        found = SavedState(state_dict, saved)
        found.leave_out(self.absent)
        loaded, self.carried = rearranged(optimizer, names, found, planned)
        if not self.carried.complete:
            afresh = "; what is not carried over begins afresh" if self.carried.dropped else ""
            warnings.warn(f"optimizer state: {self.carried}{afresh}", StateNotCarried, stacklevel=5)
        return loaded

    def names(self, optimizer: Optimizer) -> list[list[str]] | None:
        """The names of the parameters in each group of an optimizer; None where one has none."""
        by_id = {id(p): name for name, p in self.parameters.items()}
        found = []
        for group in optimizer.param_groups:
            own = group.get("param_names") or [by_id.get(id(p)) for p in group["params"]]
            if len(own) != len(group["params"]) or None in own:
                return None
            found.append(list(own))
        return found


class _BeforeLoad:
    """load_state_dict pre-hook of an optimizer. places: those of its groups among all that the rules know."""

    def __init__(self, state: StateByName, places: Sequence[int]) -> None:
        self.state = state
        self.places = places

    def __call__(self, optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
        planned = self.state.planned
        own = [planned[place] if place < len(planned) else frozenset() for place in self.places]
        return self.state.arrange(optimizer, state_dict, own)


class _ArrangedFirst:
    """Stands in for the load_state_dict of an optimizer that has one of its own.

    Such a method looks at what it was given, by place, after torch's has run and its hooks have arranged
    a copy; or it runs no hooks at all.
    """

    def __init__(self, optimizer: Optimizer, hook: _BeforeLoad) -> None:
        self._optimizer = weakref.ref(optimizer)
        self._hook = hook

    def __call__(self, state_dict: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        optimizer = self._optimizer()
        assert optimizer is not None  # whoever called this holds it
        if "param_groups" in state_dict:
            state_dict = self._hook(optimizer, state_dict)
        done = type(optimizer).load_state_dict(optimizer, state_dict, *args, **kwargs)
        _AfterLoad(self._hook.state)(optimizer)
        return done


class _NamedFirst:
    """Stands in for `add_param_group`: torch wants names of every group, or of none, and we gave some."""

    def __init__(self, optimizer: Optimizer, state: StateByName) -> None:
        self._optimizer = weakref.ref(optimizer)
        self._state = state

    def __call__(self, param_group: dict[str, Any]) -> Any:
        optimizer = self._optimizer()
        assert optimizer is not None
        given = param_group["params"]
        parameters = [given] if isinstance(given, torch.Tensor) else list(given)
        if "param_names" not in param_group and not any(isinstance(p, tuple) for p in parameters):
            param_group["params"] = parameters
            param_group["param_names"] = self._names(parameters, len(optimizer.param_groups))
        return type(optimizer).add_param_group(optimizer, param_group)

    def _names(self, parameters: Sequence[Tensor], place: int) -> list[str]:
        known = {id(p): name for name, p in self._state.parameters.items()}
        return [known.get(id(p), f"group {place}, {row}") for row, p in enumerate(parameters)]


class _SayWho:
    """state_dict post-hook: notes which optimizers made it and the parameters' shapes, to be believed when loading."""

    def __init__(self, state: StateByName) -> None:
        self.state = state

    def __call__(self, optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any] | None:
        if self.state.complete is not None:
            state_dict = self.state.complete(optimizer, state_dict)
        names = self.state.names(optimizer)
        if names is None:
            return state_dict
        said = {**said_of(optimizer, names), "entries": entries_of(names, state_dict)}
        return {**state_dict, MADE_BY: said}


class _AfterLoad:
    """load_state_dict post-hook: lets the schedule set what it decides in the groups that loading made."""

    def __init__(self, state: StateByName) -> None:
        self.state = state

    def __call__(self, optimizer: Optimizer) -> None:
        if self.state.loaded is not None:
            self.state.loaded()


def _is_for(hook: object, state: StateByName) -> bool:
    return isinstance(hook, _AfterLoad) and hook.state is state


def _loads_as_torch_does(optimizer: Optimizer) -> bool:
    return type(optimizer).load_state_dict in (Optimizer.load_state_dict, Several.load_state_dict)


def _with_labels(optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
    """`state_dict` with the labels that it lacks: torch drops from a group what the checkpoint does not have."""
    groups, saved = optimizer.param_groups, state_dict["param_groups"]
    if len(groups) != len(saved):
        return state_dict
    labelled = [
        {**{key: group[key] for key in LABELS if key in group}, **own}
        for group, own in zip(groups, saved, strict=True)
    ]
    return {**state_dict, "param_groups": labelled}


# ---------------------------------------------------------------- as it was built


BY_SCHEDULERS = RATES | {"max_lr", "min_lr", "swa_lr", "max_momentum", "base_momentum"}
"""What schedulers of torch write into groups: not the optimizer's to begin afresh with."""


@record
class AsBuilt:
    """groups: the options of each. loose: state that hangs on no parameter."""

    groups: Sequence[Mapping[str, Any]]
    loose: Mapping[Any, Any]

    @classmethod
    def of(cls, optimizer: Optimizer) -> AsBuilt:
        """Note an optimizer as it is now."""
        groups = [
            {key: copy.deepcopy(group[key]) for key in _kept(group)} for group in optimizer.param_groups
        ]
        return cls(groups, copy.deepcopy(without_parameter(optimizer)))

    def restore(
        self, optimizer: Optimizer, parameters: Collection[Tensor], planned: Sequence[Set[str]]
    ) -> None:
        """Drop the state of `parameters`, and put the groups that hold nothing else back to what they were.

        planned: the options of each group that the rules decide, which stay as they are.
        """
        for parameter in parameters:
            optimizer.state.pop(parameter, None)
        fresh = set(map(id, parameters))
        whole = [all(id(p) in fresh for p in group["params"]) for group in optimizer.param_groups]
        for place, (group, built) in enumerate(zip(optimizer.param_groups, self.groups, strict=False)):
            if whole[place]:
                _put_back(group, built, planned[place] if place < len(planned) else frozenset())
        if all(whole):
            optimizer.state.update(copy.deepcopy(dict(self.loose)))


def _put_back(group: dict[str, Any], built: Mapping[str, Any], decided: Set[str]) -> None:
    for key in _kept(group) - decided:
        if key in built:
            group[key] = copy.deepcopy(built[key])
        else:
            del group[key]  # such as a count of steps, which begins when it is missed


def _kept(group: Mapping[str, Any]) -> Set[str]:
    return group.keys() - STRUCTURE - IMPLEMENTATION - BY_SCHEDULERS
