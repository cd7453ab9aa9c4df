"""Tables that fit the screen: one column gives way, and narrow screens get a list instead."""

from __future__ import annotations

from collections.abc import Sequence

from layerlr_dsl.tools.cells import cells, pad, pad_left, shorten_all, wrap
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.screen import Screen

GAP = 2
NARROWEST_ELASTIC = 12


@record
class Column:
    title: str
    right: bool = False
    elastic: bool = False
    """Gives way where the table is wider than the screen."""


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], screen: Screen, margin: str = ""
) -> list[str]:
    """Lines of at most the screen's width. Cells must be printable and without colours."""
    widths = _widths(columns, rows, screen.width - cells(margin))
    if widths is None:
        return _cards(columns, rows, screen, margin)
    cut = [
        shorten_all([row[k] for row in rows], width, screen.ellipsis)
        if column.elastic
        else [row[k] for row in rows]
        for k, (column, width) in enumerate(zip(columns, widths, strict=True))
    ]
    lines = [margin + screen.paint(_line([c.title for c in columns], columns, widths), "bold")]
    return lines + [margin + _line(row, columns, widths) for row in zip(*cut, strict=True)]


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """The width of each column; None where they do not fit side by side."""
    widths = [max([cells(c.title), *(cells(row[k]) for row in rows)]) for k, c in enumerate(columns)]
    excess = sum(widths) + GAP * (len(columns) - 1) - room
    elastic = sorted((k for k, c in enumerate(columns) if c.elastic), key=lambda k: -widths[k])
    for k in elastic:
        if excess > 0:
            given = min(excess, max(widths[k] - NARROWEST_ELASTIC, 0))
            widths[k] -= given
            excess -= given
    return widths if excess <= 0 else None


def _line(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    shown = [
        pad_left(text, width) if column.right else pad(text, width)
        for text, column, width in zip(row, columns, widths, strict=True)
    ]
    return (" " * GAP).join(shown).rstrip()


def _cards(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], screen: Screen, margin: str
) -> list[str]:
    lines: list[str] = []
    for row in rows:
        lines.extend(wrap(margin + row[0], screen.width, 0, margin + " "))
        said = [f"{column.title} {text}" for column, text in zip(columns[1:], row[1:], strict=True) if text]
        if said:
            lines.extend(wrap(f"{margin}  {', '.join(said)}", screen.width, 0, margin + "  "))
    return lines
