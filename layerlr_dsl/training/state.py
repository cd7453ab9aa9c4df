"""Optimizer state by parameter name, so that it survives edited rules and other groups.

torch loads state by position: reordered groups of equal size swap their state without a word. Names are
saved beside it (`param_names`), and a hook before loading puts everything where it belongs now.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from layerlr_dsl.optim.several import Several
from layerlr_dsl.training.errors import StateNotCarried, listed
from layerlr_dsl.training.hooks import installed, remove

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


LABELS = frozenset({"param_names", "name", "optimizer"})
STRUCTURE = LABELS | {"params"}
IMPLEMENTATION = frozenset({"foreach", "fused", "capturable", "differentiable"})
"""How a step is computed, not what: these stay as the optimizer was built."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a saved optimizer state.

    kept: parameters whose state was taken over; dropped: why that of others was not; fresh: parameters
    that the checkpoint does not know; options: options of groups that were merged, where they differed.
    """

    kept: int = 0
    dropped: Mapping[str, str] = field(default_factory=dict)
    fresh: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        reasons: dict[str, list[str]] = defaultdict(list)
        for name, reason in self.dropped.items():
            reasons[reason].append(name)
        parts = [f"not carried over, {reason}: {listed(names)}" for reason, names in reasons.items()]
        if self.fresh:
            parts.append(f"start fresh, unknown to the checkpoint: {listed(self.fresh)}")
        if self.options:
            parts.append(f"kept as built, because merged groups differed: {listed(self.options)}")
        return "; ".join(parts)


class StateByName:
    """load_state_dict pre-hook of an optimizer. `carried` tells what the last load did.

    `loaded`, where set, is called after each.
    planned: which options the rules decide, by the place of the live group; those stay as they are.
    when_built: the same as plan.optimizer knew it, which then is what counts.
    parameters: by canonical name, for an optimizer that was built without names.
    """

    def __init__(
        self,
        planned: Sequence[Set[str]],
        parameters: Mapping[str, Tensor] | None = None,
        when_built: Sequence[Set[str]] | None = None,
    ) -> None:
        self.planned = planned if when_built is None else when_built
        self.when_built = when_built
        self.parameters = parameters or {}
        self.carried = Carried()
        self.loaded: Callable[[], None] | None = None

    def install(self, optimizer: Optimizer) -> None:
        """Make this the one hook of its kind; deepcopy and pickle drop hooks, so this runs again after."""
        if not installed(optimizer._optimizer_load_state_dict_pre_hooks, self):
            optimizer.register_load_state_dict_pre_hook(self)
            remove(optimizer._optimizer_load_state_dict_post_hooks, _AfterLoad)
            optimizer.register_load_state_dict_post_hook(_AfterLoad(self))

    def forget(self, optimizer: Optimizer, parameters: Iterable[Tensor]) -> None:
        """Drop the state of some parameters, so that they begin as with a fresh optimizer."""
        for parameter in parameters:
            optimizer.state.pop(parameter, None)

    def uninstall(self, optimizer: Optimizer) -> None:
        remove(optimizer._optimizer_load_state_dict_pre_hooks, StateByName)
        remove(optimizer._optimizer_load_state_dict_post_hooks, _AfterLoad)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "loaded": None}

    def __call__(self, optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any] | None:
        names = self._names(optimizer)
        saved = _saved_names(state_dict)
        if names is None or saved is None:
            return _with_labels(optimizer, state_dict)
        loaded, self.carried = _rearranged(optimizer, names, saved, state_dict, self.planned)
        if self.carried.dropped or self.carried.fresh or self.carried.options:
            warnings.warn(f"optimizer state: {self.carried}", StateNotCarried, stacklevel=4)
        return loaded

    def _names(self, optimizer: Optimizer) -> list[list[str]] | None:
        by_id = {id(p): name for name, p in self.parameters.items()}
        found = []
        for group in optimizer.param_groups:
            own = group.get("param_names") or [by_id.get(id(p)) for p in group["params"]]
            if len(own) != len(group["params"]) or None in own:
                return None
            found.append(list(own))
        return found


class _AfterLoad:
    """load_state_dict post-hook: lets the schedule set what it decides in the groups that loading made."""

    def __init__(self, state: StateByName) -> None:
        self.state = state

    def __call__(self, optimizer: Optimizer) -> None:
        if self.state.loaded is not None:
            self.state.loaded()


def planned_when_built(optimizer: Optimizer) -> Sequence[Set[str]] | None:
    """The options that plan.optimizer decided, by group; None for an optimizer of the user's own."""
    for hook in optimizer._optimizer_load_state_dict_pre_hooks.values():
        if isinstance(hook, StateByName) and hook.when_built is not None:
            return hook.when_built
    return None


def _with_labels(optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any] | None:
    """`state_dict` with the labels that it lacks: torch drops from a group what the checkpoint does not have."""
    groups, saved = optimizer.param_groups, state_dict["param_groups"]
    if len(groups) != len(saved):
        return None
    labelled = [
        {**{key: group[key] for key in LABELS if key in group}, **own}
        for group, own in zip(groups, saved, strict=True)
    ]
    return {**state_dict, "param_groups": labelled}


def _saved_names(state_dict: Mapping[str, Any]) -> list[list[str]] | None:
    """The names in a state dict: torch.distributed.checkpoint's keys, else `param_names`; None without either."""
    found = []
    for group in state_dict["param_groups"]:
        own = (
            group["params"]
            if any(isinstance(p, str) for p in group["params"])
            else group.get("param_names", ())
        )
        if len(own) != len(group["params"]):
            return None
        found.append(list(own))
    return found


def _rearranged(
    optimizer: Optimizer,
    names: Sequence[Sequence[str]],
    saved_names: Sequence[Sequence[str]],
    state_dict: Mapping[str, Any],
    planned: Sequence[Set[str]],
) -> tuple[dict[str, Any], Carried]:
    """`state_dict` in the groups and the order of `optimizer`, and what became of it."""
    saved_groups = state_dict["param_groups"]
    state: dict[str, Any] = {}
    group_of: dict[str, int] = {}
    for place, (group, own) in enumerate(zip(saved_groups, saved_names, strict=True)):
        for name, key in zip(own, group["params"], strict=True):
            group_of[name] = place
            if key in state_dict["state"]:
                state[name] = state_dict["state"][key]
    live = {name for own in names for name in own}
    dropped = {name: "no such parameter here" for name in state if name not in live}
    clashes: list[str] = []
    groups, kept, index = [], {}, 0
    for place, (group, own) in enumerate(zip(optimizer.param_groups, names, strict=True)):
        sources = [
            saved_groups[row] for row in dict.fromkeys(group_of[name] for name in own if name in group_of)
        ]
        kept_as_built = planned[place] if place < len(planned) else frozenset()
        entry = _options(group, sources, kept_as_built, clashes)
        entry["params"] = list(range(index, index + len(own)))
        fits = _Fit(_stepper(optimizer, group), group)
        for key, name, parameter in zip(entry["params"], own, group["params"], strict=True):
            if name in state:
                reason = fits.problem(parameter, state[name])
                if reason is None:
                    kept[key] = state[name]
                else:
                    dropped[name] = reason
        index += len(own)
        groups.append(entry)
    fresh = tuple(name for own in names for name in own if name not in group_of)
    rest = {key: value for key, value in state_dict.items() if key not in ("state", "param_groups")}
    return {**rest, "state": kept, "param_groups": groups}, Carried(len(kept), dropped, fresh, tuple(clashes))


def _options(
    group: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], planned: Set[str], clashes: list[str]
) -> dict[str, Any]:
    """The options of a live group after loading: saved values, except what the rules give."""
    entry = {key: value for key, value in group.items() if key != "params"}
    kept = STRUCTURE | IMPLEMENTATION | (planned - {"lr"})
    if any("max_momentum" in source for source in sources):
        kept -= {"betas", "momentum"}  # OneCycleLR and CyclicLR move these, and go on from where they stood
    if _rate_was_edited(group, sources):
        kept |= {"lr", "initial_lr"}
    for key in entry.keys() - kept:
        values = [source[key] for source in sources if key in source]
        if not values:
            continue
        if any(not _equal(value, values[0]) for value in values):
            clashes.append(f"{key} of {group.get('name', 'a group')}")
        elif isinstance(entry[key], torch.Tensor):
            entry[key] = torch.as_tensor(values[0]).to(entry[key])
        else:
            entry[key] = float(values[0]) if isinstance(values[0], torch.Tensor) else values[0]
    return entry


def _rate_was_edited(group: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the rules now start from another rate, so that the saved one must not come back."""
    initial = group.get("initial_lr", group["lr"])
    return any("initial_lr" in source and not _equal(source["initial_lr"], initial) for source in sources)


def _stepper(optimizer: Optimizer, group: dict[str, Any]) -> Optimizer:
    return optimizer.owner_of(group) if isinstance(optimizer, Several) else optimizer


def _equal(left: Any, right: Any) -> bool:
    return bool(left == right) if left is not None and right is not None else left is right


class _Fit:
    """Judges whether saved state is of the kind that an optimizer keeps, by taking a step with a tiny tensor."""

    def __init__(self, optimizer: Optimizer, group: Mapping[str, Any]) -> None:
        self.optimizer = optimizer
        self.group = group
        self._expected: dict[int, dict[str, bool] | None] = {}

    def problem(self, parameter: Tensor, state: Mapping[str, Any]) -> str | None:
        if parameter.ndim not in self._expected:
            self._expected[parameter.ndim] = self._probe(parameter)
        expected = self._expected[parameter.ndim]
        if expected is None:
            return None
        for key, shaped in expected.items():
            if key not in state:
                return "state of another optimizer"
            value = state[key]
            if shaped and isinstance(value, torch.Tensor) and tuple(value.shape) != tuple(parameter.shape):
                return "another shape"
        return None

    def _probe(self, parameter: Tensor) -> dict[str, bool] | None:
        """The state that one step makes, and which of it has the shape of the parameter; None if it cannot be told."""
        tiny = torch.nn.Parameter(torch.ones((2,) * parameter.ndim))
        tiny.grad = torch.ones_like(tiny)
        group = {**self.group, "params": [tiny], "fused": None, "capturable": False, "lr": 1e-3}
        copy = type(self.optimizer).__new__(type(self.optimizer))
        try:
            copy.__setstate__(
                {
                    "defaults": dict(self.optimizer.defaults),
                    "state": defaultdict(dict),
                    "param_groups": [group],
                }
            )
            copy.step()
        except Exception:
            # Someone else's optimizer may need more than torch's; then its own loading has the last word.
            return None
        made = copy.state.get(tiny, {})
        return {
            key: isinstance(value, torch.Tensor) and value.shape == tiny.shape and tiny.ndim > 0
            for key, value in made.items()
            if value is not None
        }
