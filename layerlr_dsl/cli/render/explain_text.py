"""Explanations as text: one block an option, its steps in order, the winner marked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from layerlr_dsl.cli.explain_view import Explained
from layerlr_dsl.cli.terminal import Screen
from layerlr_dsl.plan.explain import OptionExplanation, Step
from layerlr_dsl.reports.cells import cells, escape, pad, wrap
from layerlr_dsl.reports.words import count, number, short, value

_STATUS = {
    "wins": "wins",
    "applies": "applies",
    "overridden": "overridden",
    "outside": "not now",
    "lapsed": "lapses",
}
_MOST_NAMES = 6


def render(found: Sequence[Explained], moment: str, screen: Screen) -> list[str]:
    """All blocks, those of different parameters apart."""
    lines: list[str] = []
    if len(found) > 1:
        total = sum(len(one.names) for one in found)
        lines += [f"{count(total, 'parameter')}, treated in {len(found)} ways", ""]
    for place, one in enumerate(found):
        lines += [""] * bool(place) + _one(one, moment, screen)
    return lines


def _one(one: Explained, moment: str, screen: Screen) -> list[str]:
    told = one.told
    names = [escape(name) for name in one.names[:_MOST_NAMES]]
    hidden = len(one.names) - len(names)
    head = ", ".join(names) + (f" and {hidden} more" if hidden else "")
    lines = [screen.paint(line, "bold") for line in wrap(head, screen.width, 0, "  ")]
    if told.aliases:
        lines += wrap(f"tied: also called {', '.join(map(escape, told.aliases))}", screen.width, 0, "  ")
    size = (
        f"{short(one.numel)} elements"
        if len(one.names) == 1
        else f"{count(len(one.names), 'tensor')}, {short(one.numel)} elements"
    )
    lines += wrap(
        f"{size}; group `{escape(told.group)}`; optimizer {told.optimizer}; at {moment}",
        screen.width,
        0,
        "  ",
    )
    for name, option in told.options.items():
        if name == "frozen" and not option.steps and not told.frozen_by_model:
            continue
        lines += ["", *_option(name, option, screen)]
    return lines + _effective(one, screen)


def _option(name: str, option: OptionExplanation, screen: Screen) -> list[str]:
    lines = [screen.paint(f"{name} {_value(option.value)}", "bold")]
    rows = [_start(name, option), *(_row(step, name) for step in option.steps)]
    rows = [row for row in rows if row is not None]
    widths = [max((cells(row[k]) for row in rows if row is not None), default=0) for k in range(3)]
    for row in rows:
        assert row is not None
        lines += _laid(row, widths, screen)
    return lines


def _start(name: str, option: OptionExplanation) -> tuple[str, str, str, str, str | None] | None:
    """What holds before any rule speaks."""
    if name == "frozen":
        return ("", "frozen", "wins", "it came frozen with the model", None) if option.default else None
    if option.default is None:
        return None
    statuses = {step.status for step in option.steps}
    multiplied = any(s.status in ("wins", "applies") and s.operation == "multiply" for s in option.steps)
    set_anew = any(s.status in ("wins", "applies") and s.operation == "set" for s in option.steps)
    status = "overridden" if set_anew else "applies" if multiplied else "wins"
    if not statuses & {"wins", "applies"}:
        status = "wins"
    return ("", _value(option.default), status, option.default_from, None)


def _row(step: Step, name: str) -> tuple[str, str, str, str, str | None]:
    if name == "frozen":
        said = "frozen" if step.value else "trains"
    else:
        said = _value(step.value)
    return (
        escape(step.place),
        ("* " if step.operation == "multiply" else "") + said,
        step.status,
        escape(step.text),
        step.filled,
    )


def _laid(row: tuple[str, str, str, str, str | None], widths: list[int], screen: Screen) -> list[str]:
    place, said, status, text, filled = row
    mark = ">" if status == "wins" else " "
    words = max(map(cells, _STATUS.values()))
    left = f"{mark} {pad(place, widths[0])}  {pad(said, widths[1])}  {pad(_STATUS[status], words)}  "
    style = {"wins": "mark", "overridden": "struck", "outside": "dim", "lapsed": "struck"}.get(status)
    if screen.width - cells(left) < 20:
        lines = wrap(
            f"{mark} {' '.join(part for part in (place, said, _STATUS[status]) if part)}",
            screen.width,
            0,
            "    ",
        )
        lines += wrap(f"    {text}", screen.width, 0, "    ")
        margin = "    "
    else:
        margin = " " * cells(left)
        lines = wrap(left + text, screen.width, 0, margin)
    if style is not None:
        lines = [_painted(line, style, screen) for line in lines]
    if filled and filled.split(" = ")[0] != said.removeprefix("* "):
        lines += [screen.paint(line, "accent") for line in wrap(margin + filled, screen.width, 0, margin)]
    return lines


def _painted(line: str, style: str, screen: Screen) -> str:
    body = line.lstrip()
    return line[: len(line) - len(body)] + screen.paint(body, style)


def _effective(one: Explained, screen: Screen) -> list[str]:
    """The rate that the optimizer gets, where the schedule or a thaw changes it."""
    told = one.told
    if told.lr is None or told.factor == 1.0:
        return []
    base = told.options["lr"].value
    said = f"lr in the optimizer: {number(told.lr)} = {_value(base)} * {number(told.factor)}"
    if told.schedule is not None:
        said += f", by schedule {told.schedule}"
    return ["", *wrap(said, screen.width, 0, "  ")]


def _value(option: object) -> str:
    return escape(value(option)) if not isinstance(option, str) else escape(option)


def as_json(found: Sequence[Explained]) -> str:
    """The same as plain data."""
    return json.dumps([_plain(one) for one in found], indent=2, ensure_ascii=False)


def _plain(one: Explained) -> dict[str, Any]:
    told = one.told
    return {
        "parameters": list(one.names),
        "aliases": list(told.aliases),
        "numel": one.numel,
        "group": told.group,
        "optimizer": told.optimizer,
        "schedule": told.schedule,
        "epoch": told.epoch,
        "lr": told.lr,
        "frozen_by_model": told.frozen_by_model,
        "options": {name: _plain_option(option) for name, option in told.options.items()},
    }


def _plain_option(option: OptionExplanation) -> dict[str, Any]:
    steps = []
    for step in option.steps:
        place = step.span.first
        steps.append(
            {
                "file": step.span.source.name,
                "line": place.line,
                "text": step.text,
                "operation": step.operation,
                "value": step.value,
                "filled": step.filled,
                "status": step.status,
            }
        )
    return {
        "value": option.value,
        "default": option.default,
        "default_from": option.default_from,
        "steps": steps,
    }
