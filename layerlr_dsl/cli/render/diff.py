"""What `layerlr diff` shows: equal changes gathered, each told once with the modules that it concerns."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from itertools import groupby

from layerlr_dsl.cli.terminal import Screen
from layerlr_dsl.model.cover import Covers
from layerlr_dsl.plan.diff import diff, option_in_words
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.tools.cells import cells, wrap
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.words import short

# ---------------------------------------------------------------- what differs


@record
class Change:
    """One option that goes from one value to another for some parameters.

    `modules` are the fewest names whose subtrees hold exactly these parameters.
    """

    option: str
    old: str
    new: str
    parameters: tuple[str, ...]
    modules: tuple[str, ...]
    numel: int


@record
class Changes:
    """All changes, and how many parameters the model has."""

    found: tuple[Change, ...]
    differing: int
    total: int


def changes(old: Plan, new: Plan) -> Changes:
    """Every difference between two plans for one model."""
    gathered: dict[tuple[str, str, str], list[str]] = {}
    for one in diff(old, new):
        gathered.setdefault((one.option, one.old, one.new), []).append(one.parameter)
    differing = {name for names in gathered.values() for name in names}
    covers = Covers(new.inventory)
    found = [_change(new, covers, *key, names) for key, names in gathered.items()]
    rank = {option: place for place, option in enumerate(dict.fromkeys(change.option for change in found))}
    found.sort(key=lambda change: (change.option != "lr", rank[change.option]))
    return Changes(tuple(found), len(differing), len(new.inventory))


def _change(plan: Plan, covers: Covers, option: str, old: str, new: str, names: list[str]) -> Change:
    inventory = plan.inventory
    rows = [inventory.index_of[name] for name in names if name in inventory.index_of]
    modules = ["**"] if len(rows) == len(inventory) else covers.of(rows)
    return Change(option, old, new, tuple(names), tuple(modules), sum(map(inventory.numel, rows)))


# ---------------------------------------------------------------- text


_MOST_MODULES = 8
_EXPONENT = re.compile(r"(?<=\de)([+-])0(?=\d)")
_STATE = re.compile(r"\b(true|false)\b")


def render(changes: Changes, every: bool, screen: Screen) -> list[str]:
    """One block an option, then how many parameters differ."""
    if not changes.found:
        return wrap(f"no difference in {plural(changes.total, 'parameter')}", screen.width)
    lines: list[str] = []
    for option, group in groupby(changes.found, key=lambda change: change.option):
        lines.append(screen.paint(escape(option_in_words(option)), "bold"))
        for change in group:
            lines += _told(change, every, screen)
        lines.append("")
    return [
        *lines,
        *wrap(f"{changes.differing:,} of {plural(changes.total, 'parameter')} differ", screen.width),
    ]


def _told(change: Change, every: bool, screen: Screen) -> list[str]:
    lines = _values(change, screen)
    if every:
        names = [f"      {escape(name)}" for name in change.parameters]
        return [*lines, *(line for name in names for line in wrap(name, screen.width, 0, "        "))]
    size = f"({plural(len(change.parameters), 'tensor')}, {short(change.numel)})"
    return [*lines, *wrap(f"      {escape(modules_of(change))} {size}", screen.width, 0, "      ")]


def modules_of(change: Change) -> str:
    """The modules that hold exactly these parameters; where they are many, those around them."""
    if len(change.modules) <= _MOST_MODULES:
        return ", ".join(change.modules)
    split = [name.split(".") for name in change.modules]
    around = list(dict.fromkeys(segments[0] for segments in split))
    for depth in range(2, max(map(len, split))):
        deeper = list(dict.fromkeys(".".join(segments[:depth]) for segments in split))
        if len(deeper) > _MOST_MODULES:
            break
        around = deeper
    shown = around[:_MOST_MODULES]
    more = f" and {len(around) - len(shown)} more" if len(around) > len(shown) else ""
    return f"parts of {', '.join(shown)}{more}"


def _values(change: Change, screen: Screen) -> list[str]:
    arrow = "→" if screen.unicode else "->"
    old, new = said(change.option, change.old), said(change.option, change.new)
    if cells(old) + cells(new) + 6 <= screen.width:
        return [f"  {screen.paint(old, 'bad')} {arrow} {screen.paint(new, 'good')}"]
    before = [screen.paint(line, "bad") for line in wrap(f"  - {old}", screen.width, 0, "    ")]
    return [*before, *(screen.paint(line, "good") for line in wrap(f"  + {new}", screen.width, 0, "    "))]


def said(option: str, text: str) -> str:
    """A side in words: `frozen, from epoch 6 trains` for `true, from epoch 6 false`."""
    if option == "frozen":
        text = _STATE.sub(lambda found: "frozen" if found[0] == "true" else "trains", text)
    return escape(_EXPONENT.sub(r"\1", text))


def as_json(changes: Changes) -> str:
    """The same as plain data."""
    return json.dumps(
        {
            "version": 1,
            "parameters": changes.total,
            "differing": changes.differing,
            "changes": [asdict(change) for change in changes.found],
        },
        indent=2,
        ensure_ascii=False,
    )
