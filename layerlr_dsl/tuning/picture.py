"""The search as a picture: scores by base rate on the left, finalists with their intervals on the right."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from layerlr_dsl.plots.figure import matplotlib, palette, plain
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tuning.outcome import Outcome, Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(outcome: Outcome, title: str, form: str = "png") -> bytes:
    """The picture as a file of `form` ("png" or "svg"). Raises ImportError without matplotlib."""
    mpl = matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(10, 4.2), dpi=144, layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(plain(escape(title)), fontsize=11, x=0.01, ha="left")
        colours = palette(len(outcome.standings))
        if any(standing.finals for standing in outcome.standings):
            tried, finals = figure.subplots(1, 2, gridspec_kw={"width_ratios": [3, 2]})
            _finals(finals, outcome, colours)
        else:  # the time ended before
            tried = figure.subplots()
        _tried(tried, outcome, colours)
        out = BytesIO()
        figure.savefig(out, format=form)
    return out.getvalue()


def _tried(axes: Axes, outcome: Outcome, colours: Sequence[Any]) -> None:
    """Every trial by the value of the arm's first `let`; those that were stopped early as rings."""
    factor = 100 if outcome.share else 1
    names, rings = set(), False
    for standing, colour in zip(outcome.standings, colours, strict=True):
        name = next(iter(standing.arm.ranges), None)
        if name is None or not standing.trials:
            continue
        names.add(name)
        whole = sorted(
            (t.values[name], t.scored.value * factor) for t in standing.trials if t.scored is not None
        )
        axes.plot(*_columns(whole), "o-", color=colour, markersize=4, linewidth=1.3, label=standing.arm.name)
        early = [
            (t.values[name], t.course[max(t.course)] * factor)
            for t in standing.trials
            if t.state == "pruned" and t.course
        ]
        axes.plot(*_columns(early), "o", color=colour, markersize=5, fillstyle="none")
        rings = rings or bool(early)
    if any(found.log for s in outcome.standings for found in s.arm.ranges.values()):
        axes.set_xscale("log")
    axes.set_xlabel(plain(f"{', '.join(sorted(names))}{'   (rings: stopped early)' if rings else ''}"))
    axes.set_ylabel(plain(_label(outcome)))
    axes.grid(True, color="#d0d7de", linewidth=0.5)
    if names:
        axes.legend(fontsize=8, frameon=False)


def _finals(axes: Axes, outcome: Outcome, colours: Sequence[Any]) -> None:
    """A dot for each seed, and the mean with its interval."""
    factor = 100 if outcome.share else 1
    rows = [(s, c) for s, c in zip(outcome.standings, colours, strict=True) if s.finals]
    for row, (standing, colour) in enumerate(rows):
        values = [one.value * factor for one in standing.finals.values()]
        axes.plot(values, [row] * len(values), "o", color=colour, markersize=3.5, alpha=0.5)
        interval = standing.interval
        if interval is not None and interval.half is not None:
            axes.errorbar(
                interval.mean * factor, row, xerr=interval.half * factor, fmt="D", color=colour, capsize=4
            )
    axes.set_yticks(range(len(rows)), [_named(standing) for standing, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(plain(f"{_label(outcome)} over seeds, 95 % interval"))
    axes.grid(True, axis="x", color="#d0d7de", linewidth=0.5)


def _label(outcome: Outcome) -> str:
    return f"validation {outcome.metric}{' (%)' if outcome.share else ''}"


def _named(standing: Standing) -> str:
    return plain(escape(standing.arm.name))


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in pairs], [y for _, y in pairs]
