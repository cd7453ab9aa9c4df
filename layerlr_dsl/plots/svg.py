"""A chart as SVG that needs no library and no script: for files, documents and notebooks.

Coloured by rate, hatched while frozen; curves above the lanes where the chart has any.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from html import escape
from itertools import pairwise
from math import log10

from layerlr_dsl.plots import chart as c
from layerlr_dsl.plots.chart import Chart, Lane, Strip
from layerlr_dsl.plots.colours import depth
from layerlr_dsl.plots.series import Series
from layerlr_dsl.tools.cells import cells, shorten, shorten_name, wrap
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import escape as printable
from layerlr_dsl.tools.words import short

WIDTH, NAMES, NAMES_OF_CURVES, ENDS, LINE, GAP, CURVES = 760, 300, 230, 140, 16.0, 3.0, 250.0
MOST_STOPS = 48
INK, PAPER, MARK, FROZEN = "#24292f", "#ffffff", "#bc4c00", "#eef0f3"
_STYLE = (
    "font:12px system-ui,sans-serif;color-scheme:light dark;max-width:100%;height:auto;color:inherit;"
    "background:transparent"
)
_FILE_STYLE = "font:12px system-ui,sans-serif"


def draw(chart: Chart, paper: bool = False) -> str:
    """The SVG. Names are text in it, never markup.

    paper: on white, as a file of its own; else it takes the colours of what it stands in.
    """
    body = _Canvas(chart, paper).drawn()
    return body.replace("@id@", "l" + sha256(body.encode()).hexdigest()[:8])


class _Canvas:
    """What is drawn so far; `@id@` stands for what makes names of this picture its own in a page of several."""

    def __init__(self, chart: Chart, paper: bool) -> None:
        self.chart, self.picture, self.paper = chart, chart.picture, paper
        self.margin = 16 if paper else 0
        self.width = WIDTH + (ENDS if chart.curves else 0)
        self.left = NAMES_OF_CURVES if chart.curves else NAMES
        self.faint = c.faint(chart)
        self.parts: list[str] = []
        self.gradients: dict[str, str] = {}
        self.top = 52.0
        self.y = self.top

    def drawn(self) -> str:
        if self.chart.curves:
            self._curves()
        for lane in self.chart.lanes:
            self._lane(lane)
        self._times()
        self._legend()
        told = printable(self.chart.told)
        room = self.margin
        wide, tall = self.width + 2 * room, self.y + 2 * room
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-room} {-room} {wide} {tall:.0f}" width="{wide}" '
            f'role="img" aria-label="{escape(told)}" fill="{INK if self.paper else "currentColor"}" '
            f'style="{_FILE_STYLE if self.paper else _STYLE}"><title>{escape(told)}</title>'
        )
        back = (
            f'<rect x="{-room}" y="{-room}" width="{wide}" height="{tall:.0f}" fill="{PAPER}"/>'
            if self.paper
            else ""
        )
        title = _text(
            0, 16, shorten(printable(self.picture.title), self.width // 8), "font-weight:600;font-size:14px"
        )
        definitions = _HATCH + "".join(self.gradients.values())
        return f"{head}<defs>{definitions}</defs>{back}{title}{''.join(self.parts)}</svg>"

    # ------------------------------------------------------------ curves

    def _curves(self) -> None:
        low, high = c.span_of(self.chart)
        bottom = self.top + CURVES
        for rate in c.rate_ticks(low, high):
            y = self._height(rate)
            self.parts.append(_line(self.left, y, WIDTH, y, 'stroke-opacity=".18"'))
            self.parts.append(_text(self.left - 8, y + 4, c.said(rate), "opacity:.75", "end"))
        self.parts.append(_text(0, self.top + 10, f"{self.picture.label} (log scale)", "opacity:.75"))
        clip = f'<rect x="{self.left}" y="{self.top - 2}" width="{WIDTH - self.left}" height="{CURVES + 4}"/>'
        self.gradients["clip"] = f'<clipPath id="@id@c">{clip}</clipPath>'
        self.parts.append('<g clip-path="url(#@id@c)" fill="none" stroke-linejoin="round">')
        for curve in reversed(self.chart.curves):
            self._curve(self.picture.drawn(curve), depth(curve.place))
        self.parts.append("</g>")
        for end in c.ends(self.chart, 13 / CURVES):
            text = shorten_name(printable(end.text), ENDS // 7)
            self.parts.append(_text(WIDTH + 6, bottom - end.place * CURVES + 4, text, f"fill:{end.colour}"))
        self.y = bottom + 12

    def _curve(self, one: Series, colour: str) -> None:
        for band in c.fan(self.picture, one):
            there = [(at, high) for at, _, high in band]
            back = [(at, low) for at, low, _ in reversed(band)]
            self.parts.append(
                f'<path d="{self._path([*there, *back])}Z" fill="{colour}" fill-opacity="{self.faint:.2f}"/>'
            )
            for edge in (there, back):
                self.parts.append(_drawn(self._path(edge), colour, 0.8, "4 2"))
        for line in c.line(self.picture, c.waits(one)):
            self.parts.append(_drawn(self._path(line), colour, 1.0, "1 3"))
        thick = 1.8 if len(self.chart.curves) <= 12 else 1.2
        for line in c.line(self.picture, c.trains(one)):
            self.parts.append(_drawn(self._path(line), colour, thick))

    def _path(self, points: Sequence[tuple[float, float]]) -> str:
        return "M" + "L".join(f"{self._x(at):.1f} {self._height(rate):.1f}" for at, rate in points)

    def _height(self, rate: float) -> float:
        low, high = c.span_of(self.chart)
        return self.top + CURVES * (log10(high) - log10(rate)) / (log10(high) - log10(low))

    # ------------------------------------------------------------ lanes

    def _lane(self, lane: Lane) -> None:
        height = LINE * lane.tall
        middle = self.y + height / 2 + 4
        indent = 12 * lane.depth
        if lane.curve >= 0:
            square = f'x="0" y="{middle - 9:.1f}" width="9" height="9"'
            self.parts.append(f'<rect {square} fill="{lane.strips[0].colour}"/>')
            indent += 16
        room = max((self.left - 62 - indent) // 7, 8)
        name = shorten_name(printable(lane.label.name), room)
        self.parts.append(_text(indent, middle, name, "font-family:ui-monospace,monospace"))
        beside = room - cells(name) - 2
        if lane.label.remark and beside >= 6:
            right = indent + 7.3 * (cells(name) + 1)
            self.parts.append(
                _text(right, middle, shorten(printable(lane.label.remark), beside), "opacity:.7")
            )
        self.parts.append(_text(self.left - 10, middle, short(lane.numel), "opacity:.75", "end"))
        self._strips(lane, height)
        if lane.marked:
            place = f'x="{self.left - 7}" y="{self.y:.1f}" width="4" height="{height:.1f}"'
            self.parts.append(f'<rect {place} fill="{MARK}"><title>{escape(self.chart.mark)}</title></rect>')
        self.y += height + GAP

    def _strips(self, lane: Lane, height: float) -> None:
        """The groups of a block one above the other, in the order of the model."""
        total = sum(strip.share for strip in lane.strips) or 1
        y = self.y
        for strip in lane.strips:
            tall = height * strip.share / total
            self._strip(strip, y, tall)
            y += tall

    def _strip(self, strip: Strip, y: float, tall: float) -> None:
        one = strip.series
        stops = course(self.chart, strip)
        name = f"@id@g{len(self.gradients)}"
        made = self.gradients.setdefault(stops, f'<linearGradient id="{name}">{stops}</linearGradient>')
        name = made.split('"')[1]
        self.parts.append(
            f'<rect {self._box(0, self.picture.epochs, y, tall)} fill="url(#{name})" {_CRISP}/>'
        )
        for start, end in self.picture.spans(one, frozen=True):
            box = self._box(start, end, y, tall)
            self.parts.append(f'<rect {box} fill="{FROZEN}" {_CRISP}/><rect {box} fill="url(#@id@h)"/>')
        for start, end in self.picture.where(one.fan.frees) if one.fan is not None else ():
            box = self._box(start, end, y + 0.7, tall - 1.4)
            said = "<title>assumed: a metric decides whether it is frozen here</title>"
            self.parts.append(f'<rect {box} fill="none" stroke="{MARK}" stroke-dasharray="4 2">{said}</rect>')

    def _box(self, start: float, end: float, y: float, tall: float) -> str:
        left, right = self._x(start), self._x(end)
        return f'x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" height="{max(tall, 0.5):.1f}"'

    def _x(self, at: float) -> float:
        return self.left + (WIDTH - self.left) * at / (self.picture.epochs or 1)

    # ------------------------------------------------------------ time

    def _times(self) -> None:
        """Lines where something changes, names of stages above, times below."""
        for at in self.picture.boundaries[:200]:
            style = 'stroke-opacity=".45" stroke-dasharray="2 3"'
            self.parts.append(_line(self._x(at), self.top - 4, self._x(at), self.y, style))
        for name, start, end in c.stages(self.picture):
            room = max(int((self._x(end) - self._x(start)) / 7), 1)
            self.parts.append(
                _text(self._x(start) + 2, self.top - 10, shorten(printable(name), room), "font-weight:600")
            )
        for marker in self.picture.markers:
            line = _line(self._x(marker.epoch), self.top - 4, self._x(marker.epoch), self.y, "", MARK, 2)
            said = f"<title>{escape(printable(marker.assumed))}</title>"
            self.parts.append(line.replace("/>", f' stroke-dasharray="5 3">{said}</line>'))
        if self.picture.markers and not self.picture.stages:
            first = self._x(min(marker.epoch for marker in self.picture.markers))
            self.parts.append(
                _text(min(first, WIDTH - 130) + 3, self.top - 10, "assumed from here on", f"fill:{MARK}")
            )
        self.y += 13
        for at in c.time_ticks(self.picture.epochs, 9):
            anchor = "end" if self._x(at) > WIDTH - 8 else "middle" if at else "start"
            self.parts.append(_text(self._x(at), self.y, spelled(at, 6), "opacity:.75", anchor))
        self.parts.append(_text(self.left - 10, self.y, self.picture.unit, "opacity:.75", "end"))

    def _legend(self) -> None:
        """What colours and hatching say, and what was taken for granted."""
        self.y += 26
        x = 0.0
        for number, (before, colours, after) in enumerate(c.keys(self.chart)):
            x = self._key(x, number, before, colours, after)
        for note in self.chart.notes:
            style = f"fill:{MARK}" if note.startswith("assumed") else ""
            for text in wrap(printable(note), self.width // 7, 0, "  "):
                self.y += 17
                self.parts.append(_text(0, self.y, text, style))
        self.y += 8

    def _key(self, x: float, number: int, before: str, colours: tuple[str, ...], after: str) -> float:
        self.parts.append(_text(x, self.y, before, "") if before else "")
        x += 6.8 * len(before) + (6 if before else 0)
        wide = 100 if len(colours) > 1 else 22
        box = f'x="{x:.0f}" y="{self.y - 10:.0f}" width="{wide}" height="12"'
        if colours:
            stops = "".join(
                f'<stop offset="{k / max(len(colours) - 1, 1):.3f}" stop-color="{one}"/>'
                for k, one in enumerate(colours)
            )
            self.gradients[f"key {number}"] = f'<linearGradient id="@id@k{number}">{stops}</linearGradient>'
            self.parts.append(f'<rect {box} fill="url(#@id@k{number})"/>')
        else:
            self.parts.append(f'<rect {box} fill="{FROZEN}"/><rect {box} fill="url(#@id@h)"/>')
        self.parts.append(_text(x + wide + 6, self.y, after, ""))
        return x + wide + 6 + 6.6 * len(after) + 18


_CRISP = 'shape-rendering="crispEdges"'
_HATCH = (
    '<pattern id="@id@h" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="3" height="6" fill="#8b949e"/></pattern>'
)


def course(chart: Chart, strip: Strip) -> str:
    """The rate of a group over time as the stops of a gradient, with edges where it jumps."""
    picture, rates = chart.picture, strip.series.rates
    step = max(len(picture.times) // MOST_STOPS, 1)
    edges = {0.0, *picture.boundaries}
    if len(picture.times) <= MOST_STOPS:
        edges |= set(picture.times)
    places = [k for k, at in enumerate(picture.times) if k % step == 0 or at in edges]
    places = sorted({*places, *(k - 1 for k in places if picture.times[k] in edges and k)})
    found: list[tuple[float, str]] = []
    for k in places:
        found.append((picture.times[k] / picture.epochs, chart.colour(strip, rates[k])))
        if k + 1 < len(picture.times) and picture.times[k + 1] in edges:
            found.append((picture.times[k + 1] / picture.epochs, chart.colour(strip, rates[k])))
    found.append((1.0, found[-1][1]))
    kept = [found[0]]
    for before, now in pairwise([*found, (2.0, "")]):
        if now[1] != before[1] or kept[-1][1] != before[1]:
            kept += [one for one in (before, now) if one[0] <= 1 and one != kept[-1]]
    return "".join(f'<stop offset="{at:.4f}" stop-color="{colour}"/>' for at, colour in kept)


def _line(
    x1: float, y1: float, x2: float, y2: float, style: str, colour: str = "currentColor", width: float = 1
) -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{colour}" stroke-width="{spelled(width)}" {style}/>'


def _drawn(path: str, colour: str, width: float, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="{path}" stroke="{colour}" stroke-width="{spelled(width)}"{dashed}/>'


def _text(x: float, y: float, text: str, style: str, anchor: str = "") -> str:
    end = f' text-anchor="{anchor}"' if anchor else ""
    dressed = f' style="{style}"' if style else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{end}{dressed}>{escape(text)}</text>'
