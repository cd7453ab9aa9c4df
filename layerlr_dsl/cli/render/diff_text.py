"""Differences between two plans as text: each change once, with the modules that it concerns."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from itertools import groupby

from layerlr_dsl.cli.diff_view import Change, Changes
from layerlr_dsl.cli.terminal import Screen
from layerlr_dsl.reports.cells import cells, escape, wrap
from layerlr_dsl.reports.words import count, short

_MOST_MODULES = 12
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
    names = change.parameters if every else change.modules
    shown = [escape(name) for name in names]
    if not every and len(shown) > _MOST_MODULES:
        shown = [*shown[:_MOST_MODULES], f"{len(shown) - _MOST_MODULES} more (--all lists them)"]
    if every:
        return [
            *lines,
            *(line for name in shown for line in wrap(f"      {name}", screen.width, 0, "        ")),
        ]
    size = f"({count(len(change.parameters), 'tensor')}, {short(change.numel)})"
    return [*lines, *wrap(f"      {', '.join(shown)} {size}", screen.width, 0, "      ")]


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
    return escape(text)


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
