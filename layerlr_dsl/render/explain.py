"""An explanation as text and as plain data: one block an option, parameters that read alike gathered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from layerlr_dsl.plan.explain import Explanation, OptionExplanation, Step
from layerlr_dsl.tools.cells import cells, pad, wrap
from layerlr_dsl.tools.numbers import in_words, plural, spelled
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.screen import Screen
from layerlr_dsl.tools.words import short


@record
class Explained:
    """Parameters that the same rules decide about in the same way, told by the first of them."""

    names: tuple[str, ...]
    ties: Mapping[str, tuple[str, ...]]
    """The other names of those that are tied."""
    numel: int
    told: Explanation


# ---------------------------------------------------------------- text


_STATUS = {
    "wins": "wins",
    "applies": "applies",
    "overridden": "overridden",
    "outside": "not now",
    "lapsed": "lapses",
}
_WIDEST = max(map(len, _STATUS.values()))
_MOST_NAMES = 6


def render(found: Sequence[Explained], moment: str, screen: Screen) -> list[str]:
    """All blocks, those of different parameters apart."""
    lines: list[str] = []
    if len(found) > 1:
        total = sum(len(one.names) for one in found)
        lines += [f"{plural(total, 'parameter')}, treated in {len(found)} ways", ""]
    for place, one in enumerate(found):
        lines += [""] * bool(place) + _one(one, moment, screen)
    return lines


def _one(one: Explained, moment: str, screen: Screen) -> list[str]:
    told = one.told
    names = [escape(name) for name in one.names[:_MOST_NAMES]]
    hidden = len(one.names) - len(names)
    head = ", ".join(names) + (f" and {hidden} more" if hidden else "")
    lines = [screen.paint(line, "bold") for line in wrap(head, screen.width, 0, "  ")]
    for tied, others in list(one.ties.items())[:_MOST_NAMES]:
        which = f"{escape(tied)} is " if len(one.names) > 1 else ""
        lines += wrap(f"tied: {which}also called {', '.join(map(escape, others))}", screen.width, 0, "  ")
    if len(one.ties) > _MOST_NAMES:
        lines.append(f"tied: {len(one.ties) - _MOST_NAMES} more")
    size = (
        f"{short(one.numel)} elements"
        if len(one.names) == 1
        else f"{plural(len(one.names), 'tensor')}, {short(one.numel)} elements"
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
    rows = [*_start(name, option), *(_row(step, name) for step in option.steps)]
    widths = [
        max((cells(row.place) for row in rows), default=0),
        max((cells(row.said) for row in rows), default=0),
    ]
    for row in rows:
        lines += _laid(row, widths, screen)
    return lines


@record
class Row:
    """One line of an option: where, what is said there, what becomes of it, and in which words."""

    place: str
    said: str
    status: str
    text: str
    filled: str | None = None


def _start(name: str, option: OptionExplanation) -> list[Row]:
    """What holds before any rule speaks."""
    if name == "frozen":
        return [Row("", "frozen", "wins", "it came frozen with the model")] if option.default else []
    if option.default is None:
        return []
    counted = [step.operation for step in option.steps if step.status in ("wins", "applies")]
    status = "overridden" if "set" in counted else "applies" if counted else "wins"
    return [Row("", _value(option.default), status, option.default_from)]


def _row(step: Step, name: str) -> Row:
    if name == "frozen":
        said = "frozen" if step.value else "trains"
    else:
        said = ("* " if step.operation == "multiply" else "") + _value(step.value)
    return Row(escape(step.place), said, step.status, escape(step.text), step.filled)


def _laid(row: Row, widths: list[int], screen: Screen) -> list[str]:
    mark = ">" if row.status == "wins" else " "
    left = f"{mark} {pad(row.place, widths[0])}  {pad(row.said, widths[1])}  {pad(_STATUS[row.status], _WIDEST)}  "
    margin = " " * cells(left)
    if screen.width - cells(left) >= 20:
        lines = wrap(left + row.text, screen.width, 0, margin)
    else:
        margin = "    "
        short_form = " ".join(part for part in (row.place, row.said, _STATUS[row.status]) if part)
        lines = wrap(f"{mark} {short_form}", screen.width, 0, margin)
        lines += wrap(margin + row.text, screen.width, 0, margin)
    style = {"wins": "mark", "overridden": "struck", "outside": "dim", "lapsed": "struck"}.get(row.status)
    if style is not None:
        lines = [_painted(line, style, screen) for line in lines]
    if row.filled and _tells_more(row.filled):
        lines += [screen.paint(line, "accent") for line in wrap(margin + row.filled, screen.width, 0, margin)]
    return lines


def _tells_more(filled: str) -> bool:
    """Whether there is something to work out: `0.001 = 0.001` is not."""
    left, _, right = filled.rpartition(" = ")
    return left != right


def _painted(line: str, style: str, screen: Screen) -> str:
    body = line.lstrip()
    return line[: len(line) - len(body)] + screen.paint(body, style)


def _effective(one: Explained, screen: Screen) -> list[str]:
    """The rate that the optimizer gets, where the schedule or a thaw changes it."""
    told = one.told
    if told.lr is None or told.factor == 1.0:
        return []
    base = told.options["lr"].value
    said = f"lr in the optimizer: {spelled(told.lr, 6)} = {_value(base)} * {spelled(told.factor, 6)}"
    causes = [f"schedule {told.schedule}"] if told.schedule is not None else []
    causes += ["the warm-up after the thaw"] if told.thawing else []
    said += f", by {' and '.join(causes)}" if causes else ""
    return ["", *wrap(said, screen.width, 0, "  ")]


def _value(option: object) -> str:
    return escape(in_words(option, 6))


def as_json(found: Sequence[Explained]) -> str:
    """The same as plain data."""
    return json.dumps([_plain(one) for one in found], indent=2, ensure_ascii=False)


def _plain(one: Explained) -> dict[str, Any]:
    told = one.told
    return {
        "parameters": list(one.names),
        "aliases": [other for others in one.ties.values() for other in others],
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
