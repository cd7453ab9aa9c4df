"""Differences between two plans as text: each change once, with the modules that it concerns."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from itertools import groupby

from layerlr_dsl.cli.diff_view import Change, Changes
from layerlr_dsl.cli.terminal import Screen
from layerlr_dsl.tools.cells import cells, wrap
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.words import count, short

_MOST_MODULES = 8
_EXPONENT = re.compile(r"(?<=\de)([+-])0(?=\d)")
_STATE = re.compile(r"\b(true|false)\b")


def render(changes: Changes, every: bool, screen: Screen) -> list[str]:
    """One block an option, then how many parameters differ."""
    if not changes.found:
        return wrap(f"no difference in {count(changes.total, 'parameter')}", screen.width)
    lines: list[str] = []
    for option, group in groupby(changes.found, key=lambda change: change.option):
        lines.append(screen.paint(escape(option), "bold"))
        for change in group:
            lines += _change(change, every, screen)
        lines.append("")
    return [
        *lines,
        *wrap(f"{changes.differing:,} of {count(changes.total, 'parameter')} differ", screen.width),
    ]


def _change(change: Change, every: bool, screen: Screen) -> list[str]:
    lines = _values(change, screen)
    if every:
        names = [f"      {escape(name)}" for name in change.parameters]
        return [*lines, *(line for name in names for line in wrap(name, screen.width, 0, "        "))]
    size = f"({count(len(change.parameters), 'tensor')}, {short(change.numel)})"
    return [*lines, *wrap(f"      {escape(_modules(change))} {size}", screen.width, 0, "      ")]


def _modules(change: Change) -> str:
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
    old, new = _said(change.option, change.old), _said(change.option, change.new)
    if cells(old) + cells(new) + 6 <= screen.width:
        return [f"  {screen.paint(old, 'bad')} {arrow} {screen.paint(new, 'good')}"]
    before = [screen.paint(line, "bad") for line in wrap(f"  - {old}", screen.width, 0, "    ")]
    return [*before, *(screen.paint(line, "good") for line in wrap(f"  + {new}", screen.width, 0, "    "))]


def _said(option: str, text: str) -> str:
    """`frozen, from epoch 6 trains` for `true, from epoch 6 false`."""
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
