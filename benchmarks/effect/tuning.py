"""An arm's base rate: tried on a grid with the seeds for tuning, and further out while the best lies at the edge."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from effect.record import Figures
from layerlr_dsl.tuning.ranges import Range

Try = Callable[[float, int], Figures]
"""Trains with a base rate and a seed."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best base rate, all that were tried, whether the best lies at the edge of them, and its mean score."""

    base: float
    tried: tuple[float, ...]
    at_edge: bool
    score: float = math.nan


def tuned(grid: Range, points: int, seeds: Sequence[int], attempt: Try) -> Tuned | None:
    """The base rate of the best mean score; None where every trial diverged."""
    merits: dict[float, tuple[float, float]] = {}

    def look(bases: Iterable[float]) -> None:
        for base in bases:
            merits[base] = _merit([attempt(base, seed) for seed in seeds])

    look(grid.points(points))
    while (wider := grid.beyond(_best(merits), points, merits)) is not None and wider not in merits:
        look([wider])
    best = _best(merits)
    if merits[best][0] == -math.inf:
        return None
    return Tuned(best, tuple(sorted(merits)), best in (min(merits), max(merits)), merits[best][0])


def _best(merits: dict[float, tuple[float, float]]) -> float:
    return max(merits, key=lambda base: merits[base])


def _merit(found: Sequence[Figures]) -> tuple[float, float]:
    """The mean score; where it is the same, the lower loss is better. One seed that diverged rules a rate out."""
    scores = [figures.score for figures in found if figures.score is not None]
    if len(scores) < len(found):
        return -math.inf, -math.inf
    return statistics.fmean(scores), -statistics.fmean(f.loss or 0.0 for f in found)
