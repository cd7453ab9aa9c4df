"""The picture in characters: curves on a log scale, then one lane a group. Pure text in, text out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from math import log10

from layerlr_dsl.plots.series import Picture, Series
from layerlr_dsl.tools.cells import cells, clip, pad, pad_left, shorten_all, wrap
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.words import short

KEYS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
LABEL = 9
Paint = Callable[[str, str], str]


def draw(picture: Picture, width: int, height: int = 12, unicode: bool = True) -> list[str]:
    """Lines of at most `width` cells."""
    across = max(width - LABEL, 8)
    lines = [
        *_curves(picture, across, height, unicode),
        f"{picture.unit:>{LABEL - 2}}  {axis(picture, across)}",
        "",
    ]
    notes = [line for note in _notes(picture) for line in wrap(note, width, 0, "  ")]
    return [clip(f"{picture.label} (log scale)", width), *lines, *lanes(picture, width, unicode), "", *notes]


def key_of(course: int) -> str:
    """The sign of a curve; groups that take the same course share it."""
    return KEYS[course] if course < len(KEYS) else "·"


def _curves(picture: Picture, across: int, height: int, unicode: bool) -> list[str]:
    low, high = picture.rate_range
    bottom, top = log10(low), log10(high)
    if top - bottom < 1e-9:
        bottom, top = bottom - 0.5, top + 0.5
    canvas = [[" "] * across for _ in range(height)]
    for course, one in zip(picture.courses, picture.series, strict=True):
        for column in range(across):
            at = _index(picture, column, across)
            rate = one.rates[at]
            if rate <= 0 or one.frozen[at]:
                continue
            row = round((top - log10(rate)) / (top - bottom) * (height - 1))
            if 0 <= row < height and canvas[row][column] == " ":
                canvas[row][column] = key_of(course)
    bar = "│" if unicode else "|"
    labels = {
        0: top,
        height - 1: bottom,
        (height - 1) // 2: top - (top - bottom) * ((height - 1) // 2) / (height - 1),
    }
    lines = []
    for row, drawn in enumerate(canvas):
        label = spelled(10 ** labels[row], 2) if row in labels else ""
        lines.append(f"{label:>{LABEL - 2}} {bar}{''.join(drawn)}".rstrip())
    return lines


def _index(picture: Picture, column: int, across: int) -> int:
    """The interval of time that a column shows: the one at its middle."""
    return bisect_right(picture.times, picture.epochs * (column + 0.5) / across) - 1


def axis(picture: Picture, across: int) -> str:
    """Epoch numbers over `across` cells, as many as fit."""
    line = [" "] * across
    step = next(
        (s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000) if picture.epochs / s * 8 <= across),
        None,
    )
    epoch = 0
    while step is not None and epoch < picture.epochs:
        at = round(epoch / picture.epochs * across)
        for offset, char in enumerate(str(epoch)):
            if at + offset < across:
                line[at + offset] = char
        epoch += step
    return "".join(line).rstrip()


def lanes(picture: Picture, width: int, unicode: bool = True) -> list[str]:
    """One line a group: key, name, size, and where it trains (solid) or is frozen (light)."""

    names = [escape(one.name) for one in picture.series]
    beside = min(max((cells(name) for name in names), default=0), max(width // 3, 4))
    across = max(width - beside - 10, 4)
    labels = shorten_all(names, beside, "…" if unicode else "..")
    lines = []
    for course, one, label in zip(picture.courses, picture.series, labels, strict=True):
        size = pad_left(short(one.numel), 6)
        shown = pad(label, beside)
        lines.append(f"{key_of(course)} {shown} {size} {lane(picture, one, across, unicode)}")
    return lines


def signs(unicode: bool) -> tuple[str, str]:
    """What stands for training and for frozen."""
    return ("█", "░") if unicode else ("#", ".")


def lane(picture: Picture, one: Series, across: int, unicode: bool) -> str:
    trains, frozen = signs(unicode)
    return "".join(
        frozen if one.frozen[_index(picture, column, across)] else trains for column in range(across)
    )


def _notes(picture: Picture) -> list[str]:

    low, high = picture.rate_range
    notes = [f"rates from {spelled(low, 6)} to {spelled(high, 6)}; solid: trains, light: frozen"]
    return [*notes, *(f"waits for: {escape(marker.text)}" for marker in picture.markers)]
