"""A picture of a plan as it is to be drawn: curves, below them lanes on the same time axis, and what is written where.

All that draws makes its picture of this and decides nothing but how: `figure` with matplotlib, `svg` as text,
`characters` in the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import pairwise
from math import ceil, floor, log10, sqrt
from typing import TYPE_CHECKING, TypeAlias

from layerlr_dsl.plots.colours import ZERO, Scale, depth, intensity, scale, viridis, written
from layerlr_dsl.plots.labels import Label
from layerlr_dsl.plots.network import Drawing, drawing
from layerlr_dsl.plots.rows import Row, rows
from layerlr_dsl.plots.series import Curve, Picture, Series, picture
from layerlr_dsl.tools.numbers import plural, spelled
from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan

MOST_LANES = 120
STRIPES = 3
"""Groups of one block that are shown one above the other; the smaller ones are left out."""
MOST_STRIPES = 16
"""Groups of blocks that are alike, such as the layers of a transformer."""
MOST_STEPS = 150
"""With more points than that, steps that are small are drawn as a line."""
SMOOTH = 0.1
LEAST = 1e-9
"""What is left of a rate that falls to nothing, for a log scale."""


@record
class Strip:
    """A group over time, as a part of a lane. colour: its own, in which a rate is an intensity; "" to colour by rate."""

    series: Series
    share: float
    colour: str = ""


@record
class Lane:
    """A row: what it is called, how large it is, and its course; one without strips is a heading.

    curve: the number of its curve, -1 for none. tall: as a multiple of a line. marked: it gets a mark.
    """

    label: Label
    numel: int
    strips: tuple[Strip, ...]
    depth: int = 0
    curve: int = -1
    tall: float = 1.0
    marked: bool = False


@record
class Chart:
    """What is drawn. Without `curves` it is lanes alone, coloured by rate on `scale`."""

    picture: Picture
    curves: tuple[Curve, ...]
    lanes: tuple[Lane, ...]
    scale: Scale
    notes: tuple[str, ...]
    mark: str = ""
    """What a mark at a lane says."""

    @property
    def told(self) -> str:
        """The picture in a sentence."""
        picture = self.picture
        what = f"{plural(len(self.lanes), 'curve')}" if self.curves else "each block"
        return f"{picture.title}: {picture.label} of {what} over {plural(picture.epochs, picture.unit)}"

    def colour(self, strip: Strip, rate: float) -> str:
        """The colour of a rate in a strip."""
        if not strip.colour:
            return self.scale.of(rate)
        return intensity(strip.colour, self.scale.part(rate)) if rate > 0 else ZERO


def of_plan(plan: Plan, title: str, fired: Mapping[int, int], option: str | None, network: bool) -> Chart:
    """The chart of a plan: of its network, or else of its groups. Raises UnknownLength and UnknownOption."""
    if network:
        return of_network(drawing(plan, title, fired, option))
    return of_groups(picture(plan, title, fired, option=option))


def of_groups(shown: Picture) -> Chart:
    """Curves, and a lane for each of them, in its colour."""
    listed = shown.curves[:MOST_LANES]
    lanes = tuple(
        Lane(curve.label, curve.numel, (Strip(shown.drawn(curve), 1.0, depth(curve.place)),), curve=number)
        for number, curve in enumerate(listed)
    )
    hidden = len(shown.curves) - len(listed)
    more = (f"{plural(hidden, 'more curve')} {'is' if hidden == 1 else 'are'} not listed",) if hidden else ()
    low, high = shown.rate_range
    return Chart(shown, shown.curves, lanes, Scale(low, high), (*more, *assumed(shown)))


def of_network(
    drawing: Drawing, marked: Set[int] = frozenset(), mark: str = "changed", colours: Scale | None = None
) -> Chart:
    """A lane for each block of the network, in the order of a forward pass, coloured by rate.

    marked: kinds of parameters (numbers of `Told.kinds`); blocks with such in them get a mark, which is called
    `mark`. colours: the scale, where it is that of several pictures.
    """
    found = rows(drawing)
    largest = max((row.numel for row in found), default=0) or 1
    lanes = tuple(_block(drawing.picture, row, largest, not row.kinds.isdisjoint(marked)) for row in found)
    order = "a forward pass" if drawing.tree.ordered else "registration"
    notes = (f"blocks in the order of {order}", *assumed(drawing.picture))
    return Chart(drawing.picture, (), lanes, colours or scale(drawing), notes, mark)


def assumed(picture: Picture) -> tuple[str, ...]:
    """What is drawn as if it came when somebody said, or never."""
    return tuple(dict.fromkeys((*picture.supposed, *(marker.assumed for marker in picture.markers))))


def _block(picture: Picture, row: Row, largest: int, marked: bool) -> Lane:
    name = f"{row.label} × {row.times}" if row.times > 1 else row.label
    if row.open:
        return Lane(Label(name, row.module), row.numel, (), row.depth)
    listed = _listed(row)
    total = sum(row.shares[group] for group in listed) or 1
    least = 0.12 if len(listed) <= STRIPES else 0.0
    strips = tuple(Strip(picture.series[g], max(row.shares[g] / total, least)) for g in listed)
    return Lane(
        Label(name, row.module), row.numel, strips, row.depth, tall=_tall(row, largest), marked=marked
    )


def _tall(row: Row, largest: int) -> float:
    """By the square root of the size; blocks that stand for many are tall enough to tell those apart."""
    return max(1.0, 2.1 * sqrt(row.numel / largest), min(0.3 * row.times, 4.2) if row.times > 1 else 0)


def _listed(row: Row) -> list[int]:
    """The groups to show: the largest of one block, and of many an even choice of those that are not small."""
    if row.times == 1:
        largest = sorted(row.shares, key=lambda group: -row.shares[group])[:STRIPES]
        return [group for group in row.shares if group in largest]
    least = max(row.shares.values()) / 20
    weighty = [group for group, numel in row.shares.items() if numel >= least]
    step = max(len(weighty) / MOST_STRIPES, 1.0)
    return [weighty[int(k * step)] for k in range(min(len(weighty), MOST_STRIPES))]


def keys(chart: Chart) -> list[tuple[str, tuple[str, ...], str]]:
    """The legend: words before, colours from low to high (none: hatched), words behind."""
    steps = [k / 15 for k in range(16)]
    low, high = chart.scale.low, chart.scale.high
    found: list[tuple[str, tuple[str, ...], str]] = []
    if chart.curves:
        if len(chart.curves) > 1:
            found.append(("first layers", tuple(depth(k) for k in steps), "last layers"))
        scaled = tuple(intensity(depth(0.5), k) for k in steps)
    else:
        scaled = tuple(viridis(k) for k in steps)
    if low < high:
        found.append((f"{chart.picture.label} {spelled(low, 3)}", scaled, spelled(high, 3)))
    else:
        found.append(
            (
                chart.picture.label,
                (chart.scale.of(high) if not chart.curves else depth(0.5),),
                spelled(high, 3),
            )
        )
    strips = [strip for lane in chart.lanes for strip in lane.strips]
    if any(
        rate == 0 and not still
        for s in strips
        for rate, still in zip(s.series.rates, s.series.frozen, strict=True)
    ):
        found.append(("", (ZERO,), "0"))
    if any(any(strip.series.frozen) for strip in strips):
        found.append(("", (), "frozen"))
    return found


# ---------------------------------------------------------------- axes


def span_of(chart: Chart) -> tuple[float, float]:
    """The rates at the bottom and the top of the curves."""
    low, high = chart.picture.rate_range
    if high / low < 1.001:
        return low / 3, high * 3
    room = max((high / low) ** 0.06, 1.15)
    return low / room, high * room


def rate_ticks(low: float, high: float) -> list[float]:
    """Round rates between two, three or so: powers of ten, or steps of 1, 2 and 5 between."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    for heads in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        found = [head * 10.0**power for power in powers for head in heads]
        found = [rate for rate in found if low <= rate <= high]
        if len(found) >= 3:
            break
    step = -(-len(found) // 8)
    return found[::step]


def time_ticks(end: float, most: int) -> list[float]:
    """Round times from 0 on, not more than `most`; whole ones are ints, which are spelled out."""
    for step in (10**power * head for power in range(-3, 12) for head in (1, 2, 5)):
        if (step >= 1 or end < 2) and end / step + 1 <= max(most, 2):
            return [k * step for k in range(int(end / step + 1e-9) + 1)]
    return [0.0]


@record
class End:
    """What stands at the end of curves that end in one place, as a share of the height."""

    place: float
    text: str
    colour: str


def ends(chart: Chart, gap: float) -> list[End]:
    """The names of curves where they end, as far as there is room: no two closer than `gap`, a share of the height.

    Of curves that end in one place the first is drawn last, and what is seen has its colour.
    """
    low, high = span_of(chart)
    found: dict[float, list[Curve]] = {}
    for curve in chart.curves:
        one = chart.picture.drawn(curve)
        rate = next((r for r in (trains(one)[-1], waits(one)[-1]) if r > 0), 0.0)
        if low <= rate <= high:
            found.setdefault(round(log10(rate / low) / log10(high / low), 4), []).append(curve)
    return [
        End(
            place,
            ", ".join(dict.fromkeys(curve.label.whole for curve in found[place])),
            written(depth(found[place][0].place)),
        )
        for place in _apart(sorted(found), gap)
    ]


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """As many of some places, ascending, as are apart by `gap`: the lowest, and the highest before those between."""
    kept: list[float] = []
    top = places[-1] if places else 0.0
    for place in places:
        if not kept or (place - kept[-1] >= gap and (place == top or top - place >= gap)):
            kept.append(place)
    return kept


def stages(picture: Picture) -> list[tuple[str, float, float]]:
    """Each stage with where it begins and ends."""
    starts = [start for _, start in picture.stages]
    ends = [end for _, end in pairwise([*starts, picture.epochs])]
    return [(name, start, end) for (name, start), end in zip(picture.stages, ends, strict=True)]


def said(rate: float) -> str:
    """A rate beside an axis."""
    return spelled(rate, 2)


# ---------------------------------------------------------------- lines

Line: TypeAlias = "list[tuple[float, float]]"
Band: TypeAlias = "list[tuple[float, float, float]]"


def line(picture: Picture, values: Sequence[float]) -> list[Line]:
    """A course as lines over time, with a step where it jumps; 0 interrupts it."""
    return [[(at, value) for at, value, _ in band] for band in _steps(picture, values, values)]


def trains(one: Series) -> list[float]:
    """The rates while it trains, else 0."""
    return [0.0 if still else rate for rate, still in zip(one.rates, one.frozen, strict=True)]


def faint(chart: Chart) -> float:
    """How opaque a fan is: with many they lie one above the other."""
    fans = sum(chart.picture.drawn(curve).fan is not None for curve in chart.curves)
    return min(max(0.3 / max(fans, 1), 0.04), 0.13)


def waits(one: Series) -> list[float]:
    """The rates that it would have while it is frozen, if it ever trains, else 0."""
    return [
        rate if still and one.ever_trains else 0.0 for rate, still in zip(one.rates, one.frozen, strict=True)
    ]


def fan(picture: Picture, one: Series) -> list[Band]:
    """Where a metric may take the rate: lowest and highest over time, where these are not what is drawn."""
    if one.fan is None:
        return []
    drawn = trains(one)
    both = [
        (0.0, 0.0) if low == high == now else (low, high)
        for low, high, now in zip(one.fan.low, one.fan.high, drawn, strict=True)
    ]
    return list(_steps(picture, [low for low, _ in both], [high for _, high in both]))


def _steps(picture: Picture, lows: Sequence[float], highs: Sequence[float]) -> Iterator[Band]:
    """Points of two courses at once, those between left out where both go on evenly."""
    ends = (*picture.times[1:], picture.epochs)
    run: Band = []
    for start, end, low, high in zip(picture.times, ends, lows, highs, strict=True):
        if high <= 0:
            if run:
                yield run
            run = []
            continue
        low = max(low, high * LEAST)
        if run and len(picture.times) > MOST_STEPS and _close(run[-1], low, high):
            run[-1] = (start, low, high)
        elif not run or run[-1][1:] != (low, high):
            run.append((start, low, high))
        else:
            run.pop()
        run.append((end, low, high))
    if run:
        yield run


def _close(last: tuple[float, float, float], low: float, high: float) -> bool:
    return abs(log10(last[1] / low)) < SMOOTH and abs(log10(last[2] / high)) < SMOOTH
