"""The results as pictures: differences to one rate with their intervals, and accuracy against time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from effect.design import Study
from effect.figures import Measure, Reported, difference, score, seconds, shift

STYLE = {"font.size": 8, "svg.hashsalt": "layerlr", "svg.fonttype": "none"}
NAMES = {
    "differences.svg": "Points of accuracy to one tuned rate, for each task and arm, with intervals",
    "time.svg": "Test accuracy against processor seconds of a training, for each task and arm",
}
COLOURS = {"test": "#0969da", "under shift": "#bc4c00"}


def write(study: Study, standings: Sequence[Reported], folder: Path) -> None:
    """Draw into `folder`; nothing without matplotlib or anything to show."""
    places = list(dict.fromkeys((one.unit.task.name, one.unit.epochs) for one in standings))
    try:
        import matplotlib
    except ImportError:
        return
    if not places:
        return
    matplotlib.use("svg")
    with matplotlib.rc_context(STYLE):
        _draw(
            folder / "differences.svg", places, lambda axes, here: _differences(axes, study, here), standings
        )
        _draw(folder / "time.svg", places, _times, standings)


def _draw(path: Path, places: Sequence[tuple[str, int]], panel: Any, standings: Sequence[Reported]) -> None:
    from matplotlib import pyplot as plt

    columns = min(2, len(places))
    rows = -(-len(places) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.6 * columns, 2.9 * rows), layout="constrained", squeeze=False
    )
    for place, one in zip(places, axes.flat, strict=False):
        here = [s for s in standings if (s.unit.task.name, s.unit.epochs) == place and s.best is not None]
        panel(one, here)
        one.set_title(f"{place[0]}, {place[1]} epochs", loc="left", fontsize=9)
        one.grid(True, color="#d0d7de", linewidth=0.5)
        one.set_axisbelow(True)
    for one in list(axes.flat)[len(places) :]:
        one.axis("off")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _differences(axes: Any, study: Study, here: Sequence[Reported]) -> None:
    """A row for each arm: points of accuracy to one rate, on the test and under shift."""
    base = next((one for one in here if one.unit.arm.name == study.baseline), None)
    others = [one for one in here if one is not base]
    measures: dict[str, Measure] = {"test": score, "under shift": shift}
    for place, (title, measure) in enumerate(measures.items()):
        gains = [difference(one, base, measure) if base is not None else None for one in others]
        rows = [(row + 0.2 * (place - 0.5), gain) for row, gain in enumerate(gains) if gain is not None]
        axes.errorbar(
            [gain.mean * 100 for _, gain in rows],
            [row for row, _ in rows],
            xerr=[(gain.half or 0.0) * 100 for _, gain in rows],
            fmt="o",
            markersize=4,
            capsize=2.5,
            color=COLOURS[title],
            label=title,
        )
    axes.axvline(0, color="#57606a", linewidth=1)
    axes.set_yticks(range(len(others)), [one.unit.arm.name for one in others])
    axes.set_ylim(max(1, len(others)) - 0.5, -0.5)
    axes.set_xlabel("points to one tuned rate, 95 % interval over seeds")
    axes.legend(frameon=False, fontsize=7)


def _times(axes: Any, here: Sequence[Reported]) -> None:
    """Accuracy of the test against processor seconds of a training."""
    for one in here:
        at = (one.mean(seconds) or 0.0, (one.mean(score) or 0.0) * 100)
        axes.plot(*at, "o", markersize=4, color=COLOURS["test"])
        axes.annotate(one.unit.arm.name, at, xytext=(4, 3), textcoords="offset points", fontsize=7)
    axes.set_xlim(left=0, right=max((one.mean(seconds) or 0.0) for one in here) * 1.25)
    axes.margins(y=0.15)
    axes.set_xlabel("processor seconds of a training")
    axes.set_ylabel("test accuracy (%)")
