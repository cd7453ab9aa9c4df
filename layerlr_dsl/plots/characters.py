"""A chart in characters: curves on a log scale, then a lane for each on the same time axis. Pure text in, text out."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from itertools import groupby
from math import log10

from layerlr_dsl.plots import chart as c
from layerlr_dsl.plots.chart import Chart, Lane, Strip
from layerlr_dsl.plots.colours import depth
from layerlr_dsl.plots.series import Picture, Series
from layerlr_dsl.tools.cells import cells, clip, pad, pad_left, shorten, shorten_all, shorten_name, wrap
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.screen import Screen
from layerlr_dsl.tools.words import short

KEYS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
LABEL = 9
SIZE = 6
ROOMY = 60
"""So many cells across there is room for sizes and remarks."""
SHADES = (0.25, 0.95)
"""The part of viridis that is seen on black and on white alike."""


@record
class Signs:
    """What lanes and curves are made of. levels: from the lowest rate to the highest."""

    levels: str
    zero: str
    frozen: str
    solid: str
    bar: str
    fan: str
    """Where a metric may take a rate."""
    waits: str
    """The rate that a frozen group would have."""


UNICODE = Signs("▂▃▄▅▆▇█", "▁", "░", "█", "│", "┊", "·")
ASCII = Signs("-=+*#@", "_", "/", "#", "|", ":", "'")
ASSUMED = "?"
"""Stands in a lane where a metric decides whether it is frozen."""


def signs(unicode: bool) -> Signs:
    return UNICODE if unicode else ASCII


def draw(chart: Chart, screen: Screen, height: int = 12) -> list[str]:
    """Lines of at most the screen's width."""
    beside = _beside(chart, screen)
    across = max(screen.width - beside - 1, 8)
    time = f"{pad_left(clip(chart.picture.unit, beside), beside)} {axis(chart.picture, across)}"
    canvas = _canvas(chart, across, height, screen) if chart.curves else []
    lines = [*_curves(chart, canvas, beside, screen), time.rstrip(), *([""] if chart.curves else [])]
    lines += [_lane(chart, lane, label, across, screen) for lane, label in _labelled(chart, beside, screen)]
    told = _notes(chart, screen, {sign for row in canvas for sign, _ in row})
    notes = [line.rstrip() for note in told for line in wrap(note, screen.width, 0, "  ")]
    head = f"{chart.picture.label} (log scale)"
    return [shorten(head, screen.width, screen.ellipsis), *lines, "", *notes]


def key_of(curve: int) -> str:
    """The sign of a curve."""
    return KEYS[curve] if curve < len(KEYS) else "+"


# ---------------------------------------------------------------- curves


Canvas = list[list[tuple[str, int]]]
"""Rows of signs, each with the number of its curve; a blank has -1."""


def _canvas(chart: Chart, across: int, height: int, screen: Screen) -> Canvas:
    low, high = _span(chart)
    canvas: Canvas = [[(" ", -1)] * across for _ in range(height)]
    columns = chart.picture.sampled(across)

    def put(curve: int, column: int, rate: float, sign: str) -> None:
        share = (log10(high) - log10(rate)) / (log10(high) - log10(low)) if rate > 0 else -1.0
        row = round(share * (height - 1))
        if 0 <= row < height and canvas[row][column][0] == " ":
            canvas[row][column] = (sign, curve)

    known = signs(screen.unicode)
    for number, column, rate in _points(chart, c.trains, columns):
        put(number, column, rate, key_of(number))
    for number, column, rate in _points(chart, c.waits, columns):
        put(number, column, rate, known.waits)
    for number, curve in enumerate(chart.curves):
        for column, rate in _fan(chart.picture.drawn(curve), columns, (low, high), height):
            put(number, column, rate, known.fan)
    return canvas


def _curves(chart: Chart, canvas: Canvas, beside: int, screen: Screen) -> list[str]:
    """The canvas beside its scale."""
    (low, high), height, known = _span(chart), len(canvas), signs(screen.unicode)
    named = {round(k * (height - 1) / 2): high * (low / high) ** (k / 2) for k in range(3)}
    return [
        f"{pad_left(spelled(named[row], 2) if row in named else '', beside - 2)} {known.bar} {_inked(chart, drawn, screen)}".rstrip()
        for row, drawn in enumerate(canvas)
    ]


def _span(chart: Chart) -> tuple[float, float]:
    low, high = chart.picture.rate_range
    return (low, high) if high / low > 1.001 else (low / 3, high * 3)


def _points(
    chart: Chart, values: Callable[[Series], list[float]], columns: Sequence[int]
) -> Iterator[tuple[int, int, float]]:
    """Of each curve its number, and its rate in each column."""
    for number, curve in enumerate(chart.curves):
        rates = values(chart.picture.drawn(curve))
        yield from ((number, column, rates[at]) for column, at in enumerate(columns))


def _fan(
    one: Series, columns: Sequence[int], span: tuple[float, float], height: int
) -> Iterator[tuple[int, float]]:
    """By column the rates, from the lowest to the highest, that a metric may lead to."""
    for column, at in enumerate(columns) if one.fan is not None else ():
        low, high = max(one.fan.low[at], span[0]), one.fan.high[at]  # type: ignore[union-attr]
        steps = 2 * height if high > low else 1
        for step in range(steps) if high >= low else ():
            yield column, low * (high / low) ** (step / max(steps - 1, 1))


def _inked(chart: Chart, drawn: Sequence[tuple[str, int]], screen: Screen) -> str:
    """The signs of a row, each in the colour of its curve."""
    out = ""
    for number, run in groupby(drawn, lambda cell: cell[1]):
        text = "".join(sign for sign, _ in run)
        out += text if number < 0 else screen.tinted(text, depth(chart.curves[number].place, SHADES))
    return out if screen.colour else out.rstrip()


def axis(picture: Picture, across: int) -> str:
    """Epoch numbers over `across` cells, as many as fit."""
    line = [" "] * across
    for at in c.time_ticks(picture.epochs, across // 7):
        text, place = spelled(at), round(at / picture.epochs * across) if picture.epochs else 0
        if place + len(text) <= across:
            line[place : place + len(text)] = text
    return "".join(line).rstrip()


# ---------------------------------------------------------------- lanes


def _beside(chart: Chart, screen: Screen) -> int:
    """Cells on the left of lanes and curves: a key, a name, and its size."""
    longest = max((cells(_name(lane, screen)) for lane in chart.lanes), default=0)
    room = max(min(longest, screen.width * 2 // 5 - (SIZE + 3 if screen.width >= ROOMY else 2)), 4)
    return max(2 * bool(chart.curves) + room + (SIZE + 1 if screen.width >= ROOMY else 0), LABEL)


def _name(lane: Lane, screen: Screen) -> str:
    label = lane.label.whole if screen.width >= ROOMY else lane.label.name
    return "  " * lane.depth + escape(label)


def _labelled(chart: Chart, beside: int, screen: Screen) -> list[tuple[Lane, str]]:
    """Each lane with all that stands on its left."""
    room = beside - 2 * bool(chart.curves) - (SIZE + 1 if screen.width >= ROOMY else 0)
    names = [_name(lane, screen) for lane in chart.lanes]
    cut = [_cut(name, room, screen) for name in names]
    if chart.curves and len(set(cut)) < len(set(names)):
        cut = shorten_all(names, room, screen.ellipsis)
    found = []
    for lane, name in zip(chart.lanes, cut, strict=True):
        key = f"{key_of(lane.curve)} " if chart.curves else ""
        if key and lane.curve >= 0:
            key = screen.tinted(key, depth(chart.curves[lane.curve].place, SHADES))
        size = f" {screen.paint(pad_left(short(lane.numel), SIZE), 'dim')}" if screen.width >= ROOMY else ""
        found.append((lane, f"{key}{pad(name, room)}{size}"))
    return found


def _cut(name: str, room: int, screen: Screen) -> str:
    """An indented name, cut without its indent."""
    indent = clip(name, min(len(name) - len(name.lstrip()), max(room - 6, 0)))
    return indent + shorten_name(name.lstrip(), room - len(indent), screen.ellipsis)


def _lane(chart: Chart, lane: Lane, label: str, across: int, screen: Screen) -> str:
    if not lane.strips:
        return label.rstrip()
    strip = max(lane.strips, key=lambda one: one.share)
    place = chart.curves[lane.curve].place if lane.curve >= 0 else None
    out = ""
    for (sign, rate), run in groupby(_cells(chart, strip, across, screen)):
        text = sign * len(list(run))
        if sign in (signs(screen.unicode).frozen, ASSUMED):
            out += screen.paint(text, "dim" if sign != ASSUMED else "warning")
        else:
            out += screen.tinted(text, depth(place, SHADES) if place is not None else chart.scale.of(rate))
    return f"{label} {out}"


def _cells(chart: Chart, strip: Strip, across: int, screen: Screen) -> list[tuple[str, float]]:
    """A lane cell by cell: what stands there, and the rate (0 where the colour does not hang on it)."""
    one, known = strip.series, signs(screen.unicode)
    found = []
    for column, at in enumerate(chart.picture.sampled(across)):
        rate = one.rates[at]
        if one.fan is not None and one.fan.frees[at] and column % 4 == 1:
            found.append((ASSUMED, 0.0))
        elif one.frozen[at]:
            found.append((known.frozen, 0.0))
        elif rate <= 0:
            found.append((known.zero, 0.0))
        else:
            level = known.levels[round(chart.scale.part(rate) * (len(known.levels) - 1))]
            found.append((level, 0.0 if chart.curves else rate))
    return found


def lane(picture: Picture, one: Series, across: int, unicode: bool) -> str:
    """When a group trains and when it is frozen, without its rates."""
    known = signs(unicode)
    return "".join(known.frozen if one.frozen[at] else known.solid for at in picture.sampled(across))


def _notes(chart: Chart, screen: Screen, drawn: Container[str]) -> list[str]:
    """What the signs mean, those of curves where they are `drawn` and not hidden behind others."""
    low, high = chart.scale.low, chart.scale.high
    known = signs(screen.unicode)
    strips = [strip.series for lane in chart.lanes for strip in lane.strips]
    zero = any(
        rate == 0 and not still for one in strips for rate, still in zip(one.rates, one.frozen, strict=True)
    )
    rates = f"{known.levels[-1]} {spelled(high, 3)}"
    notes = [f"{known.levels[0]} {spelled(low, 3)} to {rates}" if low < high else rates]
    if zero:
        notes[0] += f"  {known.zero} 0"
    if any(any(one.frozen) for one in strips):
        notes[0] += f"  {known.frozen} frozen"
    if any(one.fan is not None and any(one.fan.frees) for one in strips):
        notes[0] += f"  {ASSUMED} a metric decides"
    if known.waits in drawn:
        notes[0] += f"  {known.waits} the rate that it would have"
    if known.fan in drawn:
        notes[0] += f"  {known.fan} where a metric may take it"
    return [*notes, *map(escape, chart.notes)]
