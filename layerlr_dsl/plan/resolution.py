"""What the rules make of a model and a clock, on the way to a plan: groups of parameters that behave alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import prod

from layerlr_dsl.language.checked import CheckedRules
from layerlr_dsl.language.expressions import Fault, Value
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.behaviour import Behaviour
from layerlr_dsl.plan.clock import Clock, UnknownTime
from layerlr_dsl.plan.factories import Faulty
from layerlr_dsl.plan.matching import Compiled, Decider, Matches, match
from layerlr_dsl.plan.plan import Group, GroupKind
from layerlr_dsl.plan.ruling import Ruling, ruling
from layerlr_dsl.plan.timed import Timed
from layerlr_dsl.plan.timeline import NOMINAL_EPOCHS
from layerlr_dsl.tools.numbers import in_words

# Keys of groups that no behaviour makes; a behaviour's own is its number.
_FROZEN = -1
_BY_MODEL = -2
_KINDS: dict[int, GroupKind] = {_FROZEN: "frozen", _BY_MODEL: "model"}


@dataclass(slots=True)
class Resolution:
    """Everything on the way from rules to a plan, for the findings to look at."""

    rules: CheckedRules
    inventory: Inventory
    nominal: bool
    timed: Timed
    matches: Matches
    decider: Decider
    ruling: Ruling
    groups: list[Group]
    group_of: list[int]
    rows: list[list[int]]
    """The parameters of each group, by their rows."""


def resolution_of(compiled: Compiled, inventory: Inventory, clock: Clock, lenient: bool) -> Resolution:
    """Rules on a model and a clock. `lenient` makes up the length of a run that is not given."""
    nominal = lenient and clock.length is None
    used = Clock(NOMINAL_EPOCHS, clock.steps_per_epoch) if nominal else clock
    timed = Timed(compiled.rules, used, nominal, lenient)
    matches = match(compiled, inventory)
    decider = Decider(compiled, matches)
    ruled = ruling(decider, timed, matches.classes)
    groups, group_of, rows = _groups(inventory, matches, ruled)
    return Resolution(
        compiled.rules, inventory, nominal, timed, matches, decider, ruled, groups, group_of, rows
    )


def _groups(
    inventory: Inventory, matches: Matches, ruled: Ruling
) -> tuple[list[Group], list[int], list[list[int]]]:
    forever = [behaviour.frozen_for_ever for behaviour in ruled.behaviours]
    keys = [_FROZEN if forever[number] else number for number in ruled.behaviour_of_class]
    numbers: dict[int, int] = {}
    of_row: list[int] = []
    rows: list[list[int]] = []
    for row, kind in enumerate(matches.class_of[: len(inventory)]):
        key = keys[kind]
        if ruled.cascades[kind].by_model:
            key = _BY_MODEL
        number = numbers.get(key, -1)
        if number < 0:
            number = numbers[key] = len(rows)
            rows.append([])
        of_row.append(number)
        rows[number].append(row)
    return _named(inventory, matches, ruled, list(numbers), rows), of_row, rows


def _named(
    inventory: Inventory, matches: Matches, ruled: Ruling, keys: list[int], rows: list[list[int]]
) -> list[Group]:
    names = inventory.names
    members = [[names[row] for row in own] for own in rows]
    kinds = [matches.class_of[own[0]] for own in rows]
    behaviours = [ruled.behaviours[ruled.behaviour_of_class[kind]] for kind in kinds]
    starts = [_at_start(behaviour) for behaviour in behaviours]
    called = [
        group_name(own) if key >= 0 else "frozen" if key == _FROZEN else "frozen by the model"
        for key, own in zip(keys, members, strict=True)
    ]
    if len(set(called)) < len(called):
        often = Counter(called)
        details = [
            {**start, **_course(behaviour)} if often[name] > 1 else {}
            for name, start, behaviour in zip(called, starts, behaviours, strict=True)
        ]
        called = told_apart(called, details)
    return [
        Group(
            name,
            tuple(own),
            _numel(inventory, own_rows),
            behaviour.optimizer if key >= 0 else 0,
            behaviour.schedule_at(0) if key >= 0 else None,
            start,
            behaviour.explicit if key >= 0 else frozenset(),
            _KINDS.get(key, "trains"),
            ruled.cascades[kind].planned,
            behaviour,
        )
        for key, name, own, own_rows, kind, start, behaviour in zip(
            keys, called, members, rows, kinds, starts, behaviours, strict=True
        )
    ]


def _at_start(behaviour: Behaviour) -> dict[str, Value]:
    """The options at the start; what has no value there is found with all that is wrong with it."""
    try:
        return behaviour.options(0)
    except (Fault, Faulty, UnknownTime):
        return {option: product.scale for option, product in behaviour.now(0).products.items()}


def _course(behaviour: Behaviour) -> dict[str, str]:
    """When a group first trains, in words, to tell apart groups that differ in nothing else."""
    if not behaviour.freezes:
        return {}
    clock = behaviour.timeline.clock
    for tick in (0, *behaviour.changes()):
        if not behaviour.freeze(tick).frozen:
            return {"trains": f"from {clock.words(tick)}"}
    return {"trains": "when a metric says so"}


def _numel(inventory: Inventory, rows: list[int]) -> int:
    shapes = inventory.shapes
    if inventory.lazy:
        return sum(inventory.numel(row) for row in rows)
    return sum(prod(shapes[row]) for row in rows)


# ---------------------------------------------------------------- names


def group_name(parameters: Sequence[str]) -> str:
    """What some parameters share: `layer4`, `layer4/bias` (all biases there), `conv1-bn1`, `all/bias`."""
    if len(parameters) == 1:
        return _plain(parameters[0])
    first, last = min(parameters).split("."), max(parameters).split(".")
    shared = [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
    leaves = {name.rpartition(".")[2] for name in parameters}
    leaf = f"/{_plain(leaves.pop())}" if len(leaves) == 1 else ""
    if shared:
        return _plain(".".join(shared)) + leaf
    tops = list(dict.fromkeys(_plain(name.partition(".")[0]) for name in parameters))
    if leaf and len(tops) > 2:
        return f"all{leaf}"
    return ("-".join(tops) if len(tops) <= 3 else f"{tops[0]}-to-{tops[-1]}") + leaf


def told_apart(names: list[str], options: Sequence[dict[str, Value]]) -> list[str]:
    """The names made unique: by the options in which like-named groups differ, then by number."""
    out = list(names)
    for name in [name for name, often in Counter(names).items() if often > 1]:
        places = [i for i, n in enumerate(names) if n == name]
        differing = [
            option for option in options[places[0]] if len({repr(options[i].get(option)) for i in places}) > 1
        ]
        for i in places:
            told = "-".join(f"{o}-{_plain(in_words(options[i].get(o)))}" for o in differing[:2])
            out[i] = f"{name}/{told}" if told else name
    # Numbers come last: a name that a rule elsewhere could change is worse than a plain one.
    seen: dict[str, int] = {}
    for i, name in enumerate(out):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            out[i] = f"{name}/{seen[name]}"
    return out


def _plain(text: str) -> str:
    """The text with every run of other signs made into one `-`, and none at its ends.

    Loggers make keys of names (Lightning's LearningRateMonitor, ours), and MLflow for one refuses most signs.
    """
    return re.sub(r"[^\w.-]+", "-", text).strip("-") or "group"
