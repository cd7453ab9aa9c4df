"""A saved optimizer state, read by parameter name and put in the groups that there are now."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from layerlr_dsl.optim.joint_state import loose
from layerlr_dsl.optim.several import Several
from layerlr_dsl.training.errors import ModelMismatch, listed
from layerlr_dsl.training.state_fit import OTHER_OPTIMIZER, OTHER_SHAPE, Fit, kind_of

if TYPE_CHECKING:
    from torch.optim import Optimizer

Names = Sequence[Sequence[str]]

LABELS = frozenset({"param_names", "name", "optimizer"})
STRUCTURE = LABELS | {"params"}
IMPLEMENTATION = frozenset({"foreach", "fused", "capturable", "differentiable"})
"""How a step is computed, not what: these stay as the optimizer was built."""
RATES = frozenset({"lr", "initial_lr"})
MADE_BY = "layerlr"
"""The entry of a state dict that says which optimizers made it, and of which shapes the parameters were."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a saved optimizer state.

    kept: parameters whose state was taken over; dropped: why that of others was not; fresh: parameters
    that the checkpoint does not know; options: options of groups that were merged, where they differed;
    counts: what an optimizer counts in its groups, where merged groups differed in it.
    """

    kept: int = 0
    dropped: Mapping[str, str] = field(default_factory=dict)
    fresh: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()

    def __str__(self) -> str:
        reasons: dict[str, list[str]] = defaultdict(list)
        for name, reason in self.dropped.items():
            reasons[reason].append(name)
        parts = [f"not carried over, {reason}: {listed(names)}" for reason, names in reasons.items()]
        if self.fresh:
            parts.append(f"start fresh, unknown to the checkpoint: {listed(self.fresh)}")
        if self.options:
            parts.append(f"kept as built, because merged groups differed: {listed(self.options)}")
        if self.counts:
            parts.append(f"taken from most parameters, because merged groups differed: {listed(self.counts)}")
        return "; ".join(parts)

    @property
    def complete(self) -> bool:
        """Whether everything was taken over, and everything here was known to the checkpoint."""
        return not (self.dropped or self.fresh or self.options or self.counts)


def saved_names(state_dict: Mapping[str, Any]) -> list[list[str]] | None:
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


def said_of(optimizer: Optimizer, names: Names) -> dict[str, Any]:
    """What a state dict says of the optimizer that it was made by."""
    pairs = [
        (name, parameter)
        for own, group in zip(names, optimizer.param_groups, strict=True)
        for name, parameter in zip(own, group["params"], strict=True)
    ]
    return {
        "optimizers": [kind_of(stepper(optimizer, group)) for group in optimizer.param_groups],
        "shapes": {name: tuple(parameter.shape) for name, parameter in pairs},
    }


def entries_of(names: Names, state_dict: Mapping[str, Any]) -> list[tuple[list[str], list[str]]]:
    """Which entries a state dict has for which parameters, alike ones together: so that a loss shows when it is loaded."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for own, group in zip(names, state_dict["param_groups"], strict=True):
        for name, key in zip(own, group["params"], strict=True):
            if key in state_dict["state"]:
                found[tuple(map(str, state_dict["state"][key]))].append(name)
    return [(list(entries), called) for entries, called in found.items()]


class SavedState:
    """What a state dict holds, by parameter name. names: of its groups' parameters."""

    def __init__(self, state_dict: Mapping[str, Any], names: Names) -> None:
        self.groups: Sequence[Mapping[str, Any]] = state_dict["param_groups"]
        self.rest = {k: v for k, v in state_dict.items() if k not in ("state", "param_groups", MADE_BY)}
        said = state_dict.get(MADE_BY, {})
        self.kinds: Sequence[str | None] = said.get("optimizers", [None] * len(self.groups))
        self.shapes: Mapping[str, Sequence[int]] = said.get("shapes", {})
        self.group_of = {name: row for row, own in enumerate(names) for name in own}
        self.state: dict[str, Any] = {}
        self.loose = dict(state_dict["state"])
        for own, group in zip(names, self.groups, strict=True):
            for name, key in zip(own, group["params"], strict=True):
                if key in self.loose:
                    self.state[name] = self.loose.pop(key)
        self.lost = self._lost(said.get("entries", ()))
        """What a parameter's state had when it was saved, and has no more."""
        if any(isinstance(key, str) for group in self.groups for key in group["params"]):
            # What has not stepped yet is saved blank by torch.distributed.checkpoint, see `thawing`.
            self.leave_out({name for name, state in self.state.items() if is_blank(state)})

    def leave_out(self, names: Set[str]) -> None:
        """Take no state of some parameters, as if the checkpoint had none."""
        for name in names:
            self.state.pop(name, None)
            self.lost.pop(name, None)

    def _lost(self, said: Iterable[tuple[Sequence[str], Sequence[str]]]) -> dict[str, str]:
        lost = {}
        for entries, names in said:
            for name in self.group_of.keys() & names:
                there = set(map(str, self.state.get(name, ())))
                if gone := [entry for entry in entries if entry not in there]:
                    lost[name] = listed(gone)
        return lost

    def of_the_first(self, row: int) -> tuple[Mapping[str, Any], Set[str]]:
        """The first saved group of the optimizer of group `row`, and the keys that it alone has.

        Some optimizers keep what they count for all groups in their first.
        """
        owner = self._owner(row)
        first, *others = [group for place, group in enumerate(self.groups) if self._owner(place) == owner]
        return first, first.keys() - set().union(*others) if others else set()

    def _owner(self, row: int) -> tuple[str | None, object]:
        return self.kinds[row], self.groups[row].get("optimizer")

    def rows(self, names: Sequence[str]) -> list[int]:
        """The saved groups that some parameters come from, those of most of them first."""
        rows = [self.group_of[name] for name in names if name in self.group_of]
        return sorted(dict.fromkeys(rows), key=lambda row: -rows.count(row))


def rearranged(
    optimizer: Optimizer, names: Names, saved: SavedState, planned: Sequence[Set[str]]
) -> tuple[dict[str, Any], Carried]:
    """`saved` in the groups and the order of `optimizer`, and what became of it.

    planned: which options the rules decide, by the place of the live group; those stay as they are.
    """
    live = {name for own in names for name in own}
    found = _Found(dropped={name: "no such parameter here" for name in saved.state if name not in live})
    groups = []
    for place, (group, own) in enumerate(zip(optimizer.param_groups, names, strict=True)):
        decided = planned[place] if place < len(planned) else frozenset()
        groups.append(_Loading(stepper(optimizer, group), group, own, saved, decided, found).entry())
    fresh = tuple(name for own in names for name in own if name not in saved.group_of)
    state_dict = {
        **saved.rest,
        "state": {**found.kept, **_loose(optimizer, saved, found)},
        "param_groups": groups,
        MADE_BY: said_of(optimizer, names),
    }
    carried = Carried(len(found.kept), found.dropped, fresh, tuple(found.options), tuple(found.counts))
    return state_dict, carried


def require_fit_by_place(optimizer: Optimizer, state_dict: Mapping[str, Any], names: Names | None) -> None:
    """Judge state that has no names, which goes by place. Raises ModelMismatch where it is of another shape.

    One layer of another shape may mean that every place behind it is another layer's.
    """
    keys = [group["params"] for group in state_dict["param_groups"]]
    found = _misfit(optimizer, [[state_dict["state"].get(key) for key in own] for own in keys], names)
    if found is not None:
        raise ModelMismatch(
            f"{found}, and the checkpoint has no names, so that state goes by place. Load it into an optimizer of the "
            "model as it was saved, or leave it out and begin afresh"
        )


def require_fit(optimizer: Optimizer, names: Names | None) -> None:
    """Judge the state that an optimizer has by now. Raises ModelMismatch where it is of another shape."""
    if not optimizer.state:
        return
    states = [[optimizer.state.get(p) for p in group["params"]] for group in optimizer.param_groups]
    found = _misfit(optimizer, states, names)
    if found is not None:
        raise ModelMismatch(
            f"{found.replace('in the checkpoint', 'as it was loaded')}: make the schedule before the state is loaded, "
            "and what does not fit is left out by name"
        )


def _misfit(optimizer: Optimizer, states: Sequence[Sequence[Any]], names: Names | None) -> str | None:
    """Which parameter has state of another shape, by the places of groups and parameters; None where none has."""
    for row, (group, own) in enumerate(zip(optimizer.param_groups, states, strict=False)):
        fits = Fit(stepper(optimizer, group), {key: group[key] for key in group if key != "params"})
        for place, (parameter, state) in enumerate(zip(group["params"], own, strict=False)):
            if not isinstance(state, Mapping) or not state:
                continue
            reason = fits.problem(parameter, state, None, None, same_options=True)
            if reason is not None and reason.startswith(OTHER_SHAPE):
                called = f"parameter {place} of group {row}" if names is None else f"`{names[row][place]}`"
                return f"the optimizer state of {called} is of {reason}"
    return None


@dataclass(slots=True)
class _Found:
    """What the groups have been given so far. kept: states by their new key."""

    dropped: dict[str, str]
    kept: dict[int, Any] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)
    keys: int = 0


def _loose(optimizer: Optimizer, saved: SavedState, found: _Found) -> dict[Any, Any]:
    """The state that hangs on no parameter; that of another optimizer is left behind."""
    if isinstance(optimizer, Several):
        return saved.loose
    strange = saved.state and not found.kept
    return loose(optimizer, {} if strange else saved.loose) | ({} if strange else saved.loose)


@dataclass(slots=True)
class _Loading:
    """One live group, and what the checkpoint has for it."""

    optimizer: Optimizer
    group: dict[str, Any]
    names: Sequence[str]
    saved: SavedState
    decided: Set[str]
    found: _Found

    def entry(self) -> dict[str, Any]:
        """The group as it will be loaded; the states of its parameters go to `found`."""
        rows = self.saved.rows(self.names)
        entry = self._options(rows)
        kin = [row for row in rows if self.saved.kinds[row] in (None, kind_of(self.optimizer))]
        counted = self._counted(kin, entry.keys())
        if not self._take_states({**entry, **counted}):
            counted = {}
        first = self.found.keys - len(self.names)
        return {**entry, **counted, "params": list(range(first, self.found.keys))}

    def _take_states(self, entry: Mapping[str, Any]) -> bool:
        """Judge the states of the group's parameters; return whether they are of this optimizer."""
        fits, kin = Fit(self.optimizer, entry), True
        for name, parameter in zip(self.names, self.group["params"], strict=True):
            if name in self.saved.lost:
                self.found.dropped[name] = (
                    f"gone from the checkpoint since it was saved ({self.saved.lost[name]})"
                )
            elif name in self.saved.state:
                reason = self._problem(fits, name, parameter)
                if reason is None:
                    self.found.kept[self.found.keys] = self.saved.state[name]
                else:
                    self.found.dropped[name] = reason
                    kin &= reason != OTHER_OPTIMIZER
            self.found.keys += 1
        return kin

    def _problem(self, fits: Fit, name: str, parameter: torch.Tensor) -> str | None:
        row = self.saved.group_of[name]
        return fits.problem(
            parameter,
            self.saved.state[name],
            self.saved.kinds[row],
            self.saved.shapes.get(name),
            self._same_options(self.saved.groups[row]),
        )

    def _same_options(self, saved: Mapping[str, Any]) -> bool:
        options = saved.keys() - STRUCTURE
        return self.optimizer.defaults.keys() <= options and options <= self.group.keys()

    def _options(self, rows: Sequence[int]) -> dict[str, Any]:
        """The options of the group after loading: saved values, except what the rules give."""
        entry = {key: value for key, value in self.group.items() if key != "params"}
        sources = [self.saved.groups[row] for row in rows]
        kept = self._kept_as_built(sources)
        if "lr" in self.decided and any(self._without_rules(row) for row in rows):
            kept |= RATES
        for key in entry.keys() - kept:
            values = [source[key] for source in sources if key in source]
            if not _all_equal(values):
                self.found.options.append(f"{key} of {self._called()}")
            elif values:
                entry[key] = _as_here(key, values[0], entry[key])
        return entry

    def _without_rules(self, row: int) -> bool:
        """Whether a saved group is of a plain optimizer without a scheduler: its rate is nothing to go on from."""
        return self.saved.kinds[row] is None and "initial_lr" not in self.saved.groups[row]

    def _kept_as_built(self, sources: Sequence[Mapping[str, Any]]) -> Set[str]:
        kept = STRUCTURE | IMPLEMENTATION | (self.decided - {"lr"})
        if any("max_momentum" in source for source in sources):
            kept -= {
                "betas",
                "momentum",
            }  # OneCycleLR and CyclicLR move these, and go on from where they stood
        return kept | RATES if _rate_was_edited(self.group, sources) else kept

    def _counted(self, rows: Sequence[int], options: Set[str]) -> dict[str, Any]:
        """What an optimizer writes into its groups as it steps, such as a count of steps."""
        counted: dict[str, Any] = {}
        for source in self._sources_of_counts(rows):
            for key in source.keys() - options - STRUCTURE:
                if key not in counted:
                    counted[key] = copy.deepcopy(source[key])
                elif not equal(counted[key], source[key]):
                    self.found.counts.append(f"{key} of {self._called()}")
        return counted

    def _sources_of_counts(self, rows: Sequence[int]) -> Iterator[Mapping[str, Any]]:
        for row in rows:
            first, alone = self.saved.of_the_first(row)
            group = self.saved.groups[row]
            yield {key: value for key, value in group.items() if key not in alone}
            if self.group is self.optimizer.param_groups[0]:
                yield {key: first[key] for key in alone}

    def _called(self) -> str:
        return str(self.group.get("name", "a group"))


def _as_here(key: str, value: Any, here: Any) -> Any:
    """A saved value in the form that the group has it in: rates may be tensors or plain numbers."""
    if isinstance(here, torch.Tensor):
        return torch.as_tensor(value).to(here)
    if key in RATES and isinstance(value, torch.Tensor):
        return float(value)
    return tuple(value) if isinstance(here, tuple) and isinstance(value, list) else copy.deepcopy(value)


def _rate_was_edited(group: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the rules now start from another rate, so that the saved one must not come back."""
    initial = group.get("initial_lr", group.get("lr"))
    return any("initial_lr" in source and not equal(source["initial_lr"], initial) for source in sources)


def stepper(optimizer: Optimizer, group: dict[str, Any]) -> Optimizer:
    """The optimizer that steps a group."""
    return optimizer.owner_of(group) if isinstance(optimizer, Several) else optimizer


def _all_equal(values: Sequence[Any]) -> bool:
    return all(equal(value, values[0]) for value in values)


def equal(left: Any, right: Any) -> bool:
    """Whether two options are the same, tensors and containers of them included."""
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return torch.equal(left, right.to(left.device))
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return left is right if left is None or right is None else bool(left == right)


def is_blank(state: Any) -> bool:
    """Whether there is nothing in it: zeros throughout, as before the first step."""
    if isinstance(state, dict):
        count = state.get("step")
        if isinstance(count, (int, float, torch.Tensor)):
            return float(count) == 0  # the same on every process, whatever is in its shards
        return all(map(is_blank, state.values()))
    if isinstance(state, torch.Tensor):
        found = state.any()
        return not bool(found.full_tensor() if hasattr(found, "full_tensor") else found)
    if isinstance(state, (list, tuple)):
        return all(map(is_blank, state))
    return not state
