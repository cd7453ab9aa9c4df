"""PNG and SVG: learning rates on a log scale above, one lane a group below, with matplotlib."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from layerlr_dsl.plots.series import Picture, Series
from layerlr_dsl.tools.cells import shorten_all
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.words import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LANES = 120
_LANE = 0.19  # inches
_CURVES = 3.4
_MARGIN = 1.5
_FROZEN = "#e4e6ea"
_INK = "#24292f"
_SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "layerlr",
}


def draw(picture: Picture, form: str) -> bytes:
    """The picture as a file of `form` ("png" or "svg"). Raises ImportError without matplotlib."""
    with matplotlib().rc_context(_SETTINGS):
        out = BytesIO()
        made(picture).savefig(out, format=form, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def made(picture: Picture) -> Figure:
    """The picture as a figure of matplotlib, which no window shows. Raises ImportError without matplotlib."""
    mpl = matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lanes = picture.series[:MOST_LANES]
    height = _MARGIN + _CURVES + _LANE * max(len(lanes), 3)
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(10, height), dpi=144, layout="constrained")
        FigureCanvasAgg(figure)
        heights = [_CURVES, _LANE * max(len(lanes), 3)]
        curves, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": heights})
        figure.suptitle(plain(escape(picture.title)), fontsize=11, x=0.01, ha="left", color=_INK)
        courses = picture.courses
        distinct = palette(max(courses, default=0) + 1)
        colours = [distinct[course] for course in courses]
        _curves(curves, picture, colours)
        _lanes(below, picture, lanes, colours)
    return figure


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
    """A colour for each group: distinct ones for few, a scale from early to late for many."""
    mpl = matplotlib()
    if count <= 10:
        return list(mpl.colormaps["tab10"].colors[:count])
    scale = mpl.colormaps["turbo"]
    return [scale(0.05 + 0.9 * k / (count - 1)) for k in range(count)]


def _curves(axes: Axes, picture: Picture, colours: list[Any]) -> None:
    low, high = picture.rate_range
    times = [*picture.times, picture.epochs]
    width = 1.8 if len(picture.series) <= 12 else 1.1
    for one, colour in zip(picture.series, colours, strict=True):
        training = _masked(one, frozen=False)
        waiting = _masked(one, frozen=True)
        axes.step(times, training, where="post", color=colour, linewidth=width)
        if one.ever_trains:
            axes.step(
                times, waiting, where="post", color=colour, linewidth=0.8, linestyle=(0, (1, 2)), alpha=0.6
            )
    axes.set_yscale("log")
    axes.set_ylim(low / 1.6, high * 1.6)
    axes.set_ylabel(picture.label)
    axes.grid(True, which="major", axis="both", color="#d0d7de", linewidth=0.5)
    _phases(axes, picture)
    for name, start in picture.stages:
        axes.annotate(
            plain(escape(name)),
            (start, 1.0),
            (3, 2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=8,
            color=_INK,
        )
    for marker in picture.markers:
        axes.axvline(marker.epoch, color="#bc4c00", linewidth=1, linestyle="--")
    if picture.markers:
        texts = list(dict.fromkeys(f"waits for: {marker.text}" for marker in picture.markers))
        axes.set_title(plain("\n".join(texts[:3])), fontsize=8, color="#bc4c00", loc="right")
    _tidy(axes)


def _masked(one: Series, frozen: bool) -> list[float]:
    """Rates where the group is in that state; nothing can be drawn at 0 on a log scale."""
    shown = [
        rate if state is frozen and rate > 0 else float("nan")
        for rate, state in zip(one.rates, one.frozen, strict=True)
    ]
    return [*shown, shown[-1]]


def _phases(axes: Axes, picture: Picture) -> None:
    for boundary in picture.boundaries:
        axes.axvline(boundary, color="#8c959f", linewidth=0.6, linestyle=":")
    starts = [start for _, start in picture.stages]
    for number, (start, end) in enumerate(pairwise([*starts, picture.epochs])):
        if number % 2:
            axes.axvspan(start, end, color="#57606a", alpha=0.07, linewidth=0, zorder=0)


def _lanes(axes: Axes, picture: Picture, lanes: tuple[Series, ...], colours: list[Any]) -> None:
    for row, (one, colour) in enumerate(zip(lanes, colours, strict=False)):
        for start, end in picture.spans(one, frozen=True):
            axes.barh(
                row,
                end - start,
                left=start,
                height=0.72,
                color=_FROZEN,
                hatch="////",
                edgecolor="#b7bcc4",
                linewidth=0,
            )
        for start, end in picture.spans(one, frozen=False):
            axes.barh(row, end - start, left=start, height=0.72, color=colour, linewidth=0)
    axes.set_yticks(range(len(lanes)), _labels(lanes), fontsize=7.5 if len(lanes) > 12 else 8.5)
    axes.set_ylim(max(len(lanes), 3) - 0.4, -0.6)
    axes.set_xlim(0, picture.epochs)
    hidden = len(picture.series) - len(lanes)
    more = f"; {hidden} more groups are not listed" if hidden else ""
    axes.set_xlabel(f"{picture.unit}   (coloured: trains, hatched: frozen{more})")
    _phases(axes, picture)
    axes.tick_params(axis="y", length=0)
    _tidy(axes)


def _labels(lanes: tuple[Series, ...]) -> list[str]:
    names = shorten_all([escape(one.name) for one in lanes], 44)
    return [plain(f"{name}  {short(one.numel)}") for name, one in zip(names, lanes, strict=True)]


def _tidy(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#8c959f")
    axes.tick_params(colors=_INK)
