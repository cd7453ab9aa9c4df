"""Who is taken for whom, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from layerlr_dsl.tools.cells import shorten
from layerlr_dsl.tools.printable import escape

MOST_NUMBERS = 26
MOST_NAMES = 60
LONGEST_NAME = 22
CELL = 0.34  # inches


def draw(confusion: Sequence[Sequence[int]], names: Sequence[str], title: str, form: str) -> bytes:
    """The matrix as a file of `form` ("png" or "svg"): a row for each true class, shaded by its shares.

    Raises ImportError without matplotlib.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(names)
    side = 2.6 + CELL * min(max(count, 6), 40)
    with mpl.rc_context(
        {"font.family": "DejaVu Sans", "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "layerlr"}
    ):
        figure = Figure(figsize=(side + 0.6, side), dpi=144, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        shares = [[value / max(1, sum(row)) for value in row] for row in confusion]
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        _name(axes, [shorten(escape(name), LONGEST_NAME).replace("$", r"\$") for name in names])
        if count <= MOST_NUMBERS:
            _number(axes, confusion, shares)
        bar = figure.colorbar(image, ax=axes, shrink=0.7, format=lambda share, _: f"{share:.0%}")
        bar.set_label("share of the true class")
        axes.set_title(escape(title).replace("$", r"\$"), fontsize=10, loc="left")
        out = BytesIO()
        figure.savefig(out, format=form, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def _name(axes: Any, names: Sequence[str]) -> None:
    step = -(-len(names) // MOST_NAMES)
    places = range(0, len(names), step)
    shown = [names[place] for place in places]
    axes.set_xticks(places, shown, rotation=90 if max(map(len, shown)) > 2 else 0)
    axes.set_yticks(places, shown)
    axes.set_xlabel("taken for")
    axes.set_ylabel("true class")


def _number(axes: Any, confusion: Sequence[Sequence[int]], shares: Sequence[Sequence[float]]) -> None:
    """The counts in their cells, but for zeros."""
    for y, row in enumerate(confusion):
        for x, value in enumerate(row):
            if value:
                colour = "white" if shares[y][x] > 0.55 else "#24292f"
                axes.text(x, y, f"{value}", ha="center", va="center", fontsize=7, color=colour)
