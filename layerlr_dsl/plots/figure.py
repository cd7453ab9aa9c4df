"""A chart with matplotlib: what PNG is drawn with, and the figure that Python users get."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any

from layerlr_dsl.plots import chart as c
from layerlr_dsl.plots.chart import Chart, Lane, Strip
from layerlr_dsl.plots.colours import depth, rgb
from layerlr_dsl.plots.labels import Label
from layerlr_dsl.tools.cells import cells, shorten, shorten_name, wrap
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.words import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_WIDTH, _CURVES, _LANE, _TOP, _BOTTOM, _LETTER, _SMALL = 10.0, 3.4, 0.2, 0.62, 0.5, 0.068, 0.056
_MOST_LABEL = 46
_MOST_END = 22
_LEAST_REMARK = 6
_COLUMNS = 600
_FROZEN, _HATCH, _INK, _SOFT, _ASSUMED = "#eef0f3", "#9aa2ac", "#24292f", "#57606a", "#9a3412"
_SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "layerlr",
    "hatch.linewidth": 0.8,
}
_OKABE_ITO = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f", "#000000")


def draw(chart: Chart, form: str = "png") -> bytes:
    """The chart as a file of a form that matplotlib writes. Raises ImportError without matplotlib."""
    with matplotlib().rc_context(_SETTINGS):
        out = BytesIO()
        made(chart).savefig(out, format=form, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def made(chart: Chart) -> Figure:
    """The chart as a figure of matplotlib, which no window shows. Raises ImportError without matplotlib."""
    mpl = matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        sizes = _Sizes(chart)
        figure = Figure(figsize=(_WIDTH, sizes.height), dpi=144)
        FigureCanvasAgg(figure)
        title = plain(escape(chart.picture.title))
        figure.text(0.1 / _WIDTH, 1 - 0.22 / sizes.height, title, fontsize=11, color=_INK, va="center")
        if chart.curves:
            _curves(figure.add_axes(sizes.curves), chart)
        _lanes(figure.add_axes(sizes.lanes), chart, sizes)
        _below(figure, chart, sizes)
    return figure


class _Sizes:
    """Where things stand, in inches and as matplotlib has them: parts of the figure from below."""

    def __init__(self, chart: Chart) -> None:
        written = [_length(lane) for lane in chart.lanes]
        self.letters = min(max(written, default=8), _MOST_LABEL)
        self.left = self.letters * _LETTER + 0.85
        self.right = 1.6 if chart.curves else 0.25
        self.rows = max(sum(lane.tall for lane in chart.lanes), 2.0)
        self.notes = [line for note in chart.notes for line in wrap(escape(note), 130, 0, "  ")]
        self.below = _BOTTOM + 0.28 + 0.16 * len(self.notes)
        self.top = _TOP + (0.1 if chart.picture.stages else 0)
        above = _CURVES + 0.12 if chart.curves else 0.0
        self.height = self.top + above + self.rows * _LANE + self.below
        across = (_WIDTH - self.left - self.right) / _WIDTH
        lanes = self.rows * _LANE
        self.lanes = (self.left / _WIDTH, self.below / self.height, across, lanes / self.height)
        bottom = (self.below + lanes + 0.12) / self.height
        self.curves = (self.left / _WIDTH, bottom, across, _CURVES / self.height)


def shown_by_itself(figure: Figure) -> Figure:
    """The figure, made so that a notebook shows it though it was not asked for `%matplotlib inline`."""

    def png() -> bytes:
        out = BytesIO()
        figure.savefig(out, format="png", dpi=100)
        return out.getvalue()

    figure._repr_png_ = png  # type: ignore[attr-defined]
    return figure


def matplotlib() -> Any:
    """matplotlib, with a backend in the environment or not: none is needed to draw a file.

    A notebook sets MPLBACKEND for itself, and the processes that it starts inherit it; where that backend is
    not installed, matplotlib cannot even be imported.
    """
    try:
        return import_module("matplotlib")
    except ValueError:
        backend = os.environ.pop("MPLBACKEND")
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # what the failed import has left half made
        try:
            return import_module("matplotlib")
        finally:
            os.environ["MPLBACKEND"] = backend


def plain(text: str) -> str:
    """Text that matplotlib takes as it is: a dollar sign would start a formula."""
    return text.replace("$", r"\$")


def palette(count: int) -> list[Any]:
    """Colours for things that have no order, which the colour-blind tell apart; for many a scale."""
    if count <= len(_OKABE_ITO):
        return list(_OKABE_ITO[:count])
    return [depth(k / (count - 1)) for k in range(count)]


# ---------------------------------------------------------------- curves


def _curves(axes: Axes, chart: Chart) -> None:
    picture = chart.picture
    low, high = c.span_of(chart)
    width = 1.8 if len(chart.curves) <= 12 else 1.1
    for curve in reversed(chart.curves):
        one, colour = picture.drawn(curve), depth(curve.place)
        for band in c.fan(picture, one):
            at, lows, highs = zip(*band, strict=True)
            axes.fill_between(at, lows, highs, color=colour, alpha=c.faint(chart), linewidth=0)
            for edge in (lows, highs):
                axes.plot(at, edge, color=colour, linewidth=0.8, linestyle=(0, (4, 2)), alpha=0.8)
        for line in c.line(picture, c.waits(one)):
            axes.plot(*zip(*line, strict=True), color=colour, linewidth=0.9, linestyle=(0, (1, 2)))
        for number, line in enumerate(c.line(picture, c.trains(one))):
            named: dict[str, Any] = {} if number else {"label": plain(escape(curve.label.whole))}
            axes.plot(*zip(*line, strict=True), color=colour, linewidth=width, **named)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_xlim(0, picture.epochs)
    ticks = c.rate_ticks(low, high)
    axes.set_yticks(ticks, [c.said(rate) for rate in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylabel(f"{picture.label} (log scale)")
    axes.grid(True, color="#d0d7de", linewidth=0.5)
    axes.tick_params(axis="x", labelbottom=False, length=0)
    axes.set_xticks(c.time_ticks(picture.epochs, 12))
    _ends(axes, chart)
    _phases(axes, chart, named=True)
    _tidy(axes)


def _ends(axes: Axes, chart: Chart) -> None:
    """The names of curves at their right end, where there is room."""
    for end in c.ends(chart, 0.045):
        style: dict[str, Any] = {"fontsize": 7.5, "color": end.colour, "va": "center"}
        text = plain(escape(shorten_name(end.text, _MOST_END)))
        axes.text(1.008, end.place, text, transform=axes.transAxes, **style)


def _phases(axes: Axes, chart: Chart, named: bool) -> None:
    picture = chart.picture
    for boundary in picture.boundaries:
        axes.axvline(boundary, color="#8c959f", linewidth=0.6, linestyle=":")
    for number, (name, start, end) in enumerate(c.stages(picture)):
        if number % 2:
            axes.axvspan(start, end, color="#57606a", alpha=0.07, linewidth=0, zorder=0)
        if named:
            _above(axes, start, shorten(escape(name), max(int((end - start) / picture.epochs * 90), 2)), _INK)
    waiting = sorted({marker.epoch for marker in picture.markers})
    for at in waiting:
        axes.axvline(at, color=_ASSUMED, linewidth=1, linestyle="--")
    if waiting and named and not picture.stages:
        _above(axes, waiting[0], "assumed from here on", _ASSUMED)


def _above(axes: Axes, at: float, text: str, colour: str) -> None:
    axes.annotate(
        plain(text),
        (at, 1.0),
        (3, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize=8,
        color=colour,
    )


# ---------------------------------------------------------------- lanes


def _lanes(axes: Axes, chart: Chart, sizes: _Sizes) -> None:
    y = 0.0
    for lane in chart.lanes:
        _written(axes, lane, y + lane.tall / 2, sizes)
        top = y + 0.1
        total = sum(strip.share for strip in lane.strips) or 1
        for strip in lane.strips:
            tall = (lane.tall - 0.2) * strip.share / total
            _strip(axes, chart, strip, top, tall)
            top += tall
        y += lane.tall
    axes.set_xlim(0, chart.picture.epochs)
    axes.set_ylim(sizes.rows, 0)
    axes.set_yticks([])
    axes.set_xticks(c.time_ticks(chart.picture.epochs, 12))
    axes.set_xlabel(chart.picture.unit)
    _phases(axes, chart, named=not chart.curves)
    _tidy(axes)


def _strip(axes: Axes, chart: Chart, strip: Strip, top: float, tall: float) -> None:
    picture, one = chart.picture, strip.series
    row = [rgb(chart.colour(strip, one.rates[k])) for k in picture.sampled(_COLUMNS)]
    axes.imshow([row], extent=(0, picture.epochs, top + tall, top), aspect="auto", interpolation="nearest")
    box: dict[str, Any] = {"height": tall, "align": "edge"}
    for start, end in picture.spans(one, frozen=True):
        hatched = {"color": _FROZEN, "hatch": "/////", "edgecolor": _HATCH, "linewidth": 0, **box}
        axes.barh(top, end - start, left=start, **hatched)
    for start, end in picture.where(one.fan.frees) if one.fan is not None else ():
        dashed = {"color": "none", "linestyle": "--", "edgecolor": _ASSUMED, "linewidth": 0.9, **box}
        axes.barh(top + 0.02, end - start, left=start, **dashed)


def _written(axes: Axes, lane: Lane, y: float, sizes: _Sizes) -> None:
    """Name, remark and size, on the left of a lane."""
    from matplotlib.transforms import blended_transform_factory

    figure = axes.figure
    at = blended_transform_factory(figure.transFigure, axes.transData)
    style: dict[str, Any] = {"transform": at, "va": "center", "fontsize": 8, "color": _INK}
    name, remark = _cut(lane.label, sizes.letters - 2 * lane.depth)
    x = (0.32 if lane.curve >= 0 else 0.1) + 2 * _LETTER * lane.depth
    if lane.curve >= 0:
        axes.plot(
            [0.14 / _WIDTH], [y], "s", color=lane.strips[0].colour, markersize=5, transform=at, clip_on=False
        )
    shown = axes.text(x / _WIDTH, y, plain(escape(name)), **style)
    if remark:
        said = {**style, "color": _SOFT, "xycoords": shown, "va": "bottom"}
        said.pop("transform")
        axes.annotate(f"  {plain(escape(remark))}", (1, 0), **said, annotation_clip=False)
    axes.text((sizes.left - 0.08) / _WIDTH, y, short(lane.numel), **{**style, "color": _SOFT, "ha": "right"})


def _length(lane: Lane) -> int:
    """How many letters a lane's name and remark take, cut as far as they must be."""
    name, remark = _cut(lane.label, _MOST_LABEL - 2 * lane.depth)
    return 2 * lane.depth + cells(name) + (2 + max(cells(remark), _LEAST_REMARK) if remark else 0)


def _cut(label: Label, letters: int) -> tuple[str, str]:
    name = shorten_name(label.name, letters)
    room = letters - cells(name) - 2
    return name, shorten(label.remark, room) if label.remark and room >= _LEAST_REMARK else ""


def _below(figure: Figure, chart: Chart, sizes: _Sizes) -> None:
    """What colours mean, and what was taken for granted."""
    y = 0.16 + 0.16 * len(sizes.notes)
    axes = figure.add_axes((0, 0, 1, sizes.below / sizes.height), label="legend")
    axes.set_axis_off()
    axes.set_xlim(0, _WIDTH)
    axes.set_ylim(0, sizes.below)
    style: dict[str, Any] = {"fontsize": 8, "color": _SOFT, "va": "center"}
    x = 0.1
    for before, colours, after in c.keys(chart):
        x = _key(axes, x, y, before, colours, after, style)
    for number, note in enumerate(sizes.notes):
        colour = _ASSUMED if note.startswith(("assumed", "  ")) else _SOFT
        axes.text(0.1, y - 0.18 - 0.16 * number, plain(note), **{**style, "color": colour})


def _key(
    axes: Axes, x: float, y: float, before: str, colours: tuple[str, ...], after: str, style: dict[str, Any]
) -> float:
    """A part of the legend from x on; returns where it ends."""
    axes.text(x, y, before, **style)
    x += _SMALL * len(before) + 0.06
    wide = 0.9 if len(colours) > 1 else 0.3
    hatched: dict[str, Any] = {"color": _FROZEN, "hatch": "/////", "edgecolor": _HATCH} if not colours else {}
    for number, colour in enumerate(colours or ("",)):
        part = wide / max(len(colours), 1)
        axes.barh(y, part, left=x + part * number, height=0.12, linewidth=0, **(hatched or {"color": colour}))
    axes.text(x + wide + 0.06, y, after, **style)
    return x + wide + 0.06 + _SMALL * len(after) + 0.3


def _tidy(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#8c959f")
    axes.tick_params(colors=_INK)
