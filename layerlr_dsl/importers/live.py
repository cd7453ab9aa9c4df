"""A live optimizer as rules: the groups that it has, in the fewest rules that give exactly them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

from layerlr_dsl.catalogue import optimizers as catalogue
from layerlr_dsl.catalogue.signatures import MISSING, OptimizerInfo, key
from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.candidates import Candidates
from layerlr_dsl.importers.description import Description, Freeze, LeftOut, Rule, SourceFault
from layerlr_dsl.importers.shortest import Assignment, assignments, with_rest
from layerlr_dsl.language import syntax as s
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.live import as_module
from layerlr_dsl.model.walk import walk
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.printable import shown

if TYPE_CHECKING:
    import torch
    from torch import nn

_BOOKKEEPING = {
    "params",
    "param_names",
    "initial_lr",
    "name",
    "group_name",
    "lr_scale",
    "max_lr",
    "min_lr",
    "lr_mult",
    "decay_mult",
    *("max_momentum", "base_momentum", "initial_momentum"),
}
"""Entries of groups that no optimizer reads; `lr_scale` is timm's, whose schedulers multiply the rate by it."""
_SHOWN = 3


@dataclass
class Live:
    """What an optimizer does with each parameter of a model."""

    inventory: Inventory
    info: OptimizerInfo
    options: list[Mapping[str, Any] | None]
    """By row of the inventory; None for parameters that it does not have."""
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def trains(self) -> list[bool]:
        """Whether a parameter changes at all: it is in a group, and takes gradients."""
        flags = self.inventory.requires_grad
        return [held is not None and flag for held, flag in zip(self.options, flags, strict=True)]


def read_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module) -> Live:
    """The options of every parameter. Raises SourceFault where that is not a model and an optimizer of it."""
    from torch import optim

    if not isinstance(optimizer, optim.Optimizer):
        raise SourceFault(f"a {type(optimizer).__name__} is no torch optimizer")
    found = walk(model)
    inventory = Inventory.of(as_module(model))
    rows = {id(p): inventory.index_of[n] for p, n in zip(found.parameters, found.names, strict=True)}
    live = Live(inventory, _info_of(optimizer), [None] * len(inventory))
    for number, group in enumerate(optimizer.param_groups):
        options = _options(group, number, optimizer.defaults, live)
        for place, parameter in enumerate(group["params"]):
            row = rows.get(id(parameter))
            if row is None:
                raise _foreign(group, number, place)
            live.options[row] = options
    return live


def _info_of(optimizer: torch.optim.Optimizer) -> OptimizerInfo:
    for cls in type(optimizer).__mro__:
        info = catalogue.find(cls.__name__)
        if info is not None and info.target.rpartition(":")[2] == cls.__name__:
            return info
    called = type(optimizer).__name__
    near = nearest(key(called), catalogue.names())
    raise SourceFault(
        f"no optimizer is called `{shown(called)}`",
        help=(f"did you mean `{near}`? " if near else "")
        + "a package registers its own under the entry-point group `layerlr.optimizers`",
    )


def _foreign(group: Mapping[str, Any], number: int, place: int) -> SourceFault:
    names = group.get("param_names")
    called = f" `{shown(names[place])}`" if names else ""
    shape = tuple(group["params"][place].shape)
    return SourceFault(
        f"parameter {place} of group {number}{called}, of shape {shape}, is not one of the model's",
        help="make the optimizer from the parameters of the model that is returned with it",
    )


def _options(
    group: Mapping[str, Any], number: int, defaults: Mapping[str, Any], live: Live
) -> dict[str, Any]:
    """What a group says, as plain values: its rate before any scheduler moved it."""
    told = {name: _plain(entry) for name, entry in group.items() if name not in _BOOKKEEPING}
    if "initial_lr" in group:
        told["lr"] = _plain(group["initial_lr"])
    if "lr_scale" in group and "lr" in told:
        told["lr"] *= float(group["lr_scale"])
    for name in list(told):
        known = live.info.options.get(name)
        if known is None and name in defaults and told[name] == _plain(defaults[name]):
            del told[name]  # the optimizer's own, which every group has
        elif known is None and not isinstance(told[name], int | float | str | bool):
            live.left_out.append(LeftOut(f"`{name}` of group {number}: no rule can say its value"))
            del told[name]
        elif known is not None and not known.group:
            del told[name]
    return told


def _plain(entry: Any) -> Any:
    if hasattr(entry, "item") and getattr(entry, "numel", lambda: 1)() == 1:
        return _plain(entry.item())
    if isinstance(entry, float) and not isfinite(entry):
        raise SourceFault(f"a group of the optimizer says {entry}, which no rule can")
    return tuple(_plain(item) for item in entry) if isinstance(entry, list | tuple) else entry


# ---------------------------------------------------------------- as rules


def describe(live: Live, kind: str = "torch") -> Description:
    """The fewest rules for what an optimizer does. Rates are exact, or (formulas) within 1e-14 of theirs."""
    candidates = Candidates(live.inventory)
    shared, several = _shared(live)
    merged: list[Rule] = []
    quoted = frozenset(name for name in several if name not in live.info.options)
    for option in several:
        _merge(merged, _ruled(live, candidates, option, several[option]), option)
    rules = [*merged] if quoted == frozenset() else [_with_quotes(rule, quoted) for rule in merged]
    factory = nodes.factory(live.info.name, **shared)
    if _takes_all(live):
        optimizer = factory
    else:
        # It cannot have those that do not train: they get the default one, which never steps them.
        optimizer = nodes.factory("adamw")
        own = (Rule(one, {"optimizer": factory}) for one in _covers(candidates, live.trains, True))
        rules = [*own, *rules]
    return Description(kind, (*rules, *_freezes(live, candidates)), optimizer, left_out=tuple(_noted(live)))


def _takes_all(live: Live) -> bool:
    """Whether the optimizer takes all of the model, the shapes of what it does not train included."""
    return all(catalogue.refused(live.info, len(shape)) is None for shape in live.inventory.shapes)


def _with_quotes(rule: Rule, quoted: frozenset[str]) -> Rule:
    return Rule(rule.which, rule.options, quoted=quoted & rule.options.keys())


def _shared(live: Live) -> tuple[dict[str, Any], dict[str, set[Hashable]]]:
    """What all groups have alike and the optimizer's own default is not; and the values of what differs."""
    values: dict[str, set[Hashable]] = {}
    for options, trains in zip(live.options, live.trains, strict=True):
        for name, value in (options or {}).items() if trains else ():
            values.setdefault(name, set()).add(value)
    shared: dict[str, Any] = {}
    several: dict[str, set[Hashable]] = {live.info.scheduled: values.pop(live.info.scheduled, set())}
    for name, found in values.items():
        known = live.info.options.get(name)
        if known is None or len(found) > 1:
            several[name] = found
        else:
            _share(shared, name, next(iter(found)), known.default)
    return shared, several


def _share(shared: dict[str, Any], name: str, value: Any, default: object) -> None:
    if value is not None and (value != default or default is MISSING):
        shared[name] = value


def _ruled(live: Live, candidates: Candidates, option: str, found: set[Hashable]) -> list[Assignment]:
    """The rules of one option, less what all leave alone."""
    if not found:
        return []
    held = zip(live.options, live.trains, strict=True)
    values = [_value(live.info, option, options) if trains else None for options, trains in held]
    moving = option == live.info.scheduled
    rules = assignments(candidates, values, moving)
    return [rule for rule in rules if rule.value != _ABSENT]


_ABSENT = "\0absent"


def _value(info: OptimizerInfo, option: str, options: Mapping[str, Any] | None) -> Hashable:
    """What a group gives; its value where it has none, so that no rule speaks of it."""
    assert options is not None
    value = options.get(option, _ABSENT)
    return float(value) if option == info.scheduled else (_ABSENT if value is None else value)


def _merge(merged: list[Rule], rules: list[Assignment], option: str) -> None:
    """Add an option's rules, in their order, to those that have the same selectors already."""
    at = 0
    for rule in rules:
        which = rule.selectors[0]
        place = next((n for n in range(at, len(merged)) if merged[n].which == which), None)
        if place is None:
            merged.insert(at, Rule(which, {option: rule.value}))
            at += 1
        else:
            merged[place].options[option] = rule.value
            at = place + 1


def _freezes(live: Live, candidates: Candidates) -> Iterator[Freeze]:
    trains = live.trains
    if all(trains):
        return
    frozen = _covers(candidates, trains, False)
    training = _covers(candidates, trains, True)
    plain = all(one.where is None for one in training)
    if training and plain and _items(training) < _items(frozen):
        items = tuple(item for one in training for item in one.include)
        yield Freeze(nodes.selector(exclude=items))
    else:
        yield from (Freeze(one) for one in frozen)


def _items(selectors: list[s.Selector]) -> int:
    return sum(len(one.include) for one in selectors)


def _covers(candidates: Candidates, trains: list[bool], which: bool) -> list[s.Selector]:
    """Selectors of exactly the parameters that train, or that do not, without a rule that takes any back."""
    if all(flag == which for flag in trains):
        return [nodes.selector()]
    rules = with_rest(candidates, trains, not which)
    return [selector for rule in rules[1:] for selector in rule.selectors]


def _noted(live: Live) -> Iterator[LeftOut]:
    yield from live.left_out
    groups = [options for options in live.options if options is not None]
    if not groups:
        yield LeftOut("nothing trains: the optimizer has no parameter that takes gradients")
    absent = [
        name
        for name, held, flag in zip(
            live.inventory.names, live.options, live.inventory.requires_grad, strict=True
        )
        if held is None and flag
    ]
    if absent:
        some = ", ".join(shown(name) for name in absent[:_SHOWN])
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        yield LeftOut(f"in no group of the optimizer, though they take gradients: frozen here: {some}{more}")
