"""A judgement in lines, and as data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from layerlr_dsl.cli.terminal import Screen
from layerlr_dsl.tools.cells import cells, pad, pad_left, shorten, wrap
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import escape

if TYPE_CHECKING:
    from layerlr_dsl.runner.judging import ClassScore, Judgement
    from layerlr_dsl.runner.trained import Trained

WORST = 10
LONGEST_NAME = 30


def as_text(trained: Trained, found: Judgement, screen: Screen) -> list[str]:
    """What was judged by what, the figures, the classes, and who is taken for whom."""
    lines = wrap(
        escape(f"{trained.path}: {trained.about.model}, weights of epoch {trained.epoch}"),
        screen.width,
        0,
        "  ",
    )
    lines += wrap(escape(f"{found.data}, {found.part}: {found.samples:,} samples"), screen.width, 0, "  ")
    lines.append("")
    lines.append(screen.paint(", ".join(_figures(found)), "bold"))
    if found.classes:
        lines += ["", *_classes(found.classes, screen), "", *_confusion(found, screen)]
    return lines


def _figures(found: Judgement) -> list[str]:
    shown = [
        f"{name} {value:.2%}" if name == "accuracy" else f"{name} {spelled(value, 4)}"
        for name, value in found.metrics.items()
    ]
    return [*map(escape, shown), f"loss {found.loss:.4f}"]


def _names(classes: Sequence[ClassScore], screen: Screen, width: int) -> list[str]:
    return [shorten(escape(one.name), width, screen.ellipsis) for one in classes]


def _classes(classes: Sequence[ClassScore], screen: Screen) -> list[str]:
    names = _names(classes, screen, LONGEST_NAME)
    width = max(5, *map(cells, names))
    lines = [
        screen.paint(
            f"{pad('class', width)}  {'samples':>8} {'precision':>10} {'recall':>8} {'F1':>6}", "bold"
        )
    ]
    for name, one in zip(names, classes, strict=True):
        f1 = "-" if one.f1 is None else f"{one.f1:.2f}"
        figures = f"{one.samples:>8,} {_share(one.precision):>10} {_share(one.recall):>8} {f1:>6}"
        lines.append(f"{pad(name, width)}  {figures}")
    return lines


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _confusion(found: Judgement, screen: Screen) -> list[str]:
    """The matrix where the screen has room for it, else the pairs that are taken for each other most."""
    table = _matrix(found, screen)
    return table if max(map(cells, table)) <= screen.width else _worst(found, screen)


def _matrix(found: Judgement, screen: Screen) -> list[str]:
    digits = max(len(f"{value}") for row in found.confusion for value in row)
    names = _names(found.classes, screen, 16)
    left = max(map(cells, names))
    room = (screen.width - left) // len(names) - 2
    width = max(digits, min(max(room, 4), left))
    heads = _names(found.classes, screen, width)
    lines = [
        screen.paint("true classes down, what they were taken for across", "bold"),
        " " * left + "".join(f"  {pad_left(head, width)}" for head in heads),
    ]
    for at, (name, row) in enumerate(zip(names, found.confusion, strict=True)):
        line = pad(name, left)
        for place, value in enumerate(row):
            cell = pad_left(str(value) if value else ".", width)
            line += "  " + (screen.paint(cell, "good") if place == at and value else cell)
        lines.append(line)
    return lines


def _worst(found: Judgement, screen: Screen) -> list[str]:
    names = [one.name for one in found.classes]
    pairs = sorted(
        (-value, at, place)
        for at, row in enumerate(found.confusion)
        for place, value in enumerate(row)
        if at != place and value
    )
    if not pairs:
        return ["no class is taken for another"]
    lines = [screen.paint("taken for another most often", "bold")]
    for value, at, place in pairs[:WORST]:
        who, whom = (shorten(escape(names[i]), LONGEST_NAME, screen.ellipsis) for i in (at, place))
        lines.append(f"{-value:>6,}  {who} taken for {whom}")
    if len(pairs) > WORST:
        lines.append(f"        and {len(pairs) - WORST:,} other pairs")
    return lines


def as_json(trained: Trained, found: Judgement, picture: str | None) -> str:
    """All of it as plain data."""
    told: dict[str, Any] = {
        "version": 1,
        "checkpoint": str(trained.path),
        "epoch": trained.epoch,
        "model": trained.about.model,
        "task": trained.about.task,
        "data": found.data,
        "part": found.part,
        "samples": found.samples,
        "loss": found.loss,
        "metrics": found.metrics,
        "classes": [asdict(one) for one in found.classes],
        "confusion": found.confusion,
        "picture": picture,
    }
    return json.dumps(told, indent=2, ensure_ascii=False)
