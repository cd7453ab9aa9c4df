"""A still of the network: blocks from top to bottom, and for each its whole run from left to right.

An SVG without a script, for notebooks and documents: coloured by rate, hatched while frozen.
"""

from __future__ import annotations

from collections.abc import Set
from hashlib import sha256
from html import escape
from itertools import pairwise
from math import sqrt

from layerlr_dsl.plots.colours import Scale, scale, viridis
from layerlr_dsl.plots.network import Drawing
from layerlr_dsl.plots.rows import Row, rows
from layerlr_dsl.plots.series import Picture, Series
from layerlr_dsl.tools.cells import shorten
from layerlr_dsl.tools.numbers import plural, spelled
from layerlr_dsl.tools.words import short

WIDTH, LEFT, TOP, GAP = 760, 300, 52, 3
LOW, TALL = 12, 34
STRIPES = 3
"""Groups of one block that are shown one above the other; the smaller ones are left out."""
MOST_STRIPES = 16
"""Groups of blocks that are alike, such as the layers of a transformer."""
MOST_STOPS = 48
_STYLE = (
    "font:12px system-ui,sans-serif;color-scheme:light dark;max-width:100%;height:auto;color:inherit;"
    "background:transparent"
)


def draw(
    drawing: Drawing, marked: Set[int] = frozenset(), mark: str = "changed", colours: Scale | None = None
) -> str:
    """The SVG. Names are text in it, never markup.

    marked: kinds of parameters (numbers of `Told.kinds`); blocks with such in them get a mark, which is called
    `mark`. colours: the scale, where it is that of several pictures.
    """
    body = _Canvas(drawing, marked, mark, colours or scale(drawing)).drawn()
    return body.replace("@id@", "l" + sha256(body.encode()).hexdigest()[:8])


class _Canvas:
    """What is drawn so far; `@id@` stands for what makes names of this picture its own in a page of several."""

    def __init__(self, drawing: Drawing, marked: Set[int], mark: str, colours: Scale) -> None:
        self.drawing, self.picture = drawing, drawing.picture
        self.marked, self.mark, self.scale = marked, mark, colours
        self.parts: list[str] = []
        self.used: set[int] = set()
        self.y = float(TOP)

    def drawn(self) -> str:
        largest = max((row.numel for row in rows(self.drawing)), default=0) or 1
        for row in rows(self.drawing):
            self._row(row, largest)
        self._times()
        height = self.y + 44
        self._legend(height - 8)
        told = f"{self.picture.title}: {self.picture.label} of each block over {_length(self.picture)}"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" role="img" '
            f'aria-label="{escape(told)}" fill="currentColor" style="{_STYLE}"><title>{escape(told)}</title>'
        )
        title = _text(0, 16, self.picture.title, "font-weight:600;font-size:14px")
        return f"{head}<defs>{self._definitions()}</defs>{title}{''.join(self.parts)}</svg>"

    def _row(self, row: Row, largest: int) -> None:
        height = LOW + 4 if row.open else _height(row, largest)
        middle = self.y + height / 2 + 4
        indent = 12 * row.depth
        name = f"{row.label}{f' × {row.times}' if row.times > 1 else ''}"
        room = max((LEFT - 62 - indent) // 7, 8)
        self.parts.append(_text(indent, middle, shorten(name, room), "font-family:ui-monospace,monospace"))
        beside = room - len(name) - 2
        if row.module and beside >= 6:
            place = indent + 7.3 * (len(name) + 1)
            self.parts.append(_text(place, middle, shorten(row.module, beside), "opacity:.6"))
        self.parts.append(_text(LEFT - 10, middle, short(row.numel), "opacity:.7", "end"))
        if not row.open:
            self._strip(row, height)
            if not row.kinds.isdisjoint(self.marked):
                self._marked(height)
        self.y += height + GAP

    def _strip(self, row: Row, height: float) -> None:
        """The largest groups of a block one above the other, in the order of the model."""
        listed = _listed(row)
        total = sum(row.shares[group] for group in listed) or 1
        parts = [max(row.shares[group] / total, 0.12 if len(listed) <= STRIPES else 0.0) for group in listed]
        y = self.y
        for group, part in zip(listed, parts, strict=True):
            tall = height * part / sum(parts)
            self._group(group, y, tall)
            y += tall

    def _marked(self, height: float) -> None:
        place = f'x="{LEFT - 7}" y="{self.y:.1f}" width="4" height="{height:.1f}"'
        self.parts.append(f'<rect {place} fill="#bc4c00"><title>{escape(self.mark)}</title></rect>')

    def _group(self, group: int, y: float, tall: float) -> None:
        self.used.add(group)
        place = f'x="{LEFT}" y="{y:.1f}" width="{WIDTH - LEFT}" height="{tall:.1f}"'
        self.parts.append(f'<rect {place} fill="url(#@id@g{group})" shape-rendering="crispEdges"/>')
        for start, end in self.picture.spans(self.picture.series[group], frozen=True):
            left, right = self._x(start), self._x(end)
            place = f'x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" height="{tall:.1f}"'
            self.parts.append(
                f'<rect {place} fill="#eef0f3" shape-rendering="crispEdges"/><rect {place} fill="url(#@id@h)"/>'
            )

    def _x(self, at: float) -> float:
        return LEFT + (WIDTH - LEFT) * at / (self.picture.epochs or 1)

    def _times(self) -> None:
        """Lines where something changes, names of stages above, the unit below."""
        bottom = self.y
        for at in self.picture.boundaries[:200]:
            self.parts.append(
                f'<line x1="{self._x(at):.1f}" x2="{self._x(at):.1f}" y1="{TOP - 4}" y2="{bottom:.1f}" '
                'stroke="currentColor" stroke-opacity=".45" stroke-dasharray="2 3"/>'
            )
        ends = [start for _, start in self.picture.stages[1:]] + [self.picture.epochs]
        for (name, start), end in zip(self.picture.stages, ends, strict=False):
            room = max(int((self._x(end) - self._x(start)) / 7), 1)
            self.parts.append(_text(self._x(start) + 2, TOP - 10, shorten(name, room), "font-weight:600"))
        for marker in self.picture.markers:
            self.parts.append(
                f'<line x1="{self._x(marker.epoch):.1f}" x2="{self._x(marker.epoch):.1f}" y1="{TOP - 4}" '
                f'y2="{bottom:.1f}" stroke="#bc4c00" stroke-width="2" stroke-dasharray="5 3">'
                f"<title>{escape('waits for: ' + marker.text)}</title></line>"
            )
        self.parts.append(_text(LEFT, bottom + 14, f"{self.picture.unit} 0", "opacity:.7"))
        self.parts.append(
            _text(WIDTH, bottom + 14, spelled(float(self.picture.epochs), 6), "opacity:.7", "end")
        )

    def _legend(self, y: float) -> None:
        """The scale, and what hatching says."""
        low, high = self.scale.low, self.scale.high
        self.parts.append(_text(0, y, self.picture.label, ""))
        self.parts.append(_text(168, y, spelled(low, 3), "", "end"))
        self.parts.append(f'<rect x="174" y="{y - 10:.0f}" width="100" height="12" fill="url(#@id@s)"/>')
        self.parts.append(_text(280, y, spelled(high, 3), ""))
        key = f'x="340" y="{y - 10:.0f}" width="22" height="12"'
        self.parts.append(f'<rect {key} fill="#eef0f3"/><rect {key} fill="url(#@id@h)"/>')
        order = "a forward pass" if self.drawing.tree.ordered else "registration"
        self.parts.append(_text(368, y, f"frozen; blocks in the order of {order}", ""))

    def _definitions(self) -> str:
        stops = "".join(f'<stop offset="{k / 9:.3f}" stop-color="{viridis(k / 9)}"/>' for k in range(10))
        single = self.scale.low >= self.scale.high
        stops = f'<stop stop-color="{viridis(0.6)}"/>' if single else stops
        hatch = (
            '<pattern id="@id@h" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            '<rect width="3" height="6" fill="#8b949e"/></pattern>'
        )
        gradients = "".join(self._gradient(group) for group in sorted(self.used))
        return f'{hatch}<linearGradient id="@id@s">{stops}</linearGradient>{gradients}'

    def _gradient(self, group: int) -> str:
        stops = course(self.picture, self.picture.series[group], self.scale)
        return f'<linearGradient id="@id@g{group}">{stops}</linearGradient>'


def _height(row: Row, largest: int) -> float:
    """By the square root of the size; blocks that stand for many are tall enough to tell those apart."""
    by_size = TALL * sqrt(row.numel / largest)
    return max(LOW + 4, by_size, min(5 * row.times, 2 * TALL) if row.times > 1 else 0)


def _listed(row: Row) -> list[int]:
    """The groups to show: the largest of one block, and of many an even choice of those that are not small."""
    if row.times == 1:
        largest = sorted(row.shares, key=lambda group: -row.shares[group])[:STRIPES]
        return [group for group in row.shares if group in largest]
    least = max(row.shares.values()) / 20
    weighty = [group for group, numel in row.shares.items() if numel >= least]
    step = max(len(weighty) / MOST_STRIPES, 1.0)
    return [weighty[int(k * step)] for k in range(min(len(weighty), MOST_STRIPES))]


def course(picture: Picture, one: Series, colours: Scale) -> str:
    """The rate of a group over time as the stops of a gradient, with edges where it jumps."""
    step = max(len(picture.times) // MOST_STOPS, 1)
    edges = {0.0, *picture.boundaries}
    places = [k for k, at in enumerate(picture.times) if k % step == 0 or at in edges]
    places = sorted({*places, *(k - 1 for k in places if picture.times[k] in edges and k)})
    found: list[tuple[float, str]] = []
    for k in places:
        found.append((picture.times[k] / picture.epochs, colours.of(one.rates[k])))
        if k + 1 < len(picture.times) and picture.times[k + 1] in edges:
            found.append((picture.times[k + 1] / picture.epochs, colours.of(one.rates[k])))
    found.append((1.0, found[-1][1]))
    kept = [found[0]]
    for before, now in pairwise([*found, (2.0, "")]):
        if now[1] != before[1] or kept[-1][1] != before[1]:
            kept += [one for one in (before, now) if one[0] <= 1 and one != kept[-1]]
    return "".join(f'<stop offset="{at:.4f}" stop-color="{colour}"/>' for at, colour in kept)


def _length(picture: Picture) -> str:
    return plural(picture.epochs, picture.unit)


def _text(x: float, y: float, text: str, style: str, anchor: str = "") -> str:
    end = f' text-anchor="{anchor}"' if anchor else ""
    dressed = f' style="{style}"' if style else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{end}{dressed}>{escape(text)}</text>'
