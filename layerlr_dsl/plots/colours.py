"""The colours of pictures: one perceptual scale, viridis, which the colour-blind and a grey printer tell apart too.

In the network it says how high a rate is, on a log scale. Curves have theirs by how deep in the model they are, and
the lane below a curve is as intense as the rate is high.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from layerlr_dsl.plots.network import Drawing
from layerlr_dsl.tools.records import record

VIRIDIS = (
    (68, 1, 84),
    (72, 40, 120),
    (62, 74, 137),
    (49, 104, 142),
    (38, 130, 142),
    (31, 158, 137),
    (53, 183, 121),
    (110, 206, 88),
    (181, 222, 43),
    (253, 231, 37),
)
ZERO = "#c9cfd6"
DEEPEST = 30
"""How far the scale goes below the lowest peak: what decays to nothing would take up all of it."""


@record
class Scale:
    """Colours from `low` (dark) to `high` (light); lower values are as dark as `low`, 0 is grey."""

    low: float
    high: float

    def of(self, value: float) -> str:
        """The colour of a value, as `#440154`."""
        if value <= 0:
            return ZERO
        return viridis(0.6 if self.low >= self.high else self.part(value))

    def part(self, value: float) -> float:
        """Where a value stands between `low`, 0, and `high`, 1."""
        if self.low >= self.high or value >= self.high:
            return 1.0
        return log(max(value, self.low) / self.low) / log(self.high / self.low)


LIGHT = (0.0, 0.59)
"""The part of viridis that is dark enough to be seen on white."""
DARK = (0.35, 1.0)
"""The part that is light enough to be seen on black."""
PALEST = 0.22
"""How much of its colour the lowest rate keeps."""


def depth(place: float, part: tuple[float, float] = LIGHT) -> str:
    """The colour of a curve, by its place in the model from 0 to 1."""
    return viridis(part[0] + (part[1] - part[0]) * place)


def intensity(colour: str, part: float, paper: str = "#ffffff") -> str:
    """A colour that is the paler the lower a part from 0 to 1 is."""
    strong = PALEST + (1 - PALEST) * min(max(part, 0.0), 1.0)
    return _hex([a * strong + b * (1 - strong) for a, b in zip(rgb(colour), rgb(paper), strict=True)])


def written(colour: str) -> str:
    """The colour of a curve as that of text, which needs more contrast: 4.5 on white (WCAG 2, AA)."""
    return _hex([0.7 * part for part in rgb(colour)])


def rgb(colour: str) -> tuple[int, int, int]:
    """`#440154` as numbers from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def scale(drawing: Drawing) -> Scale:
    """The scale of the first measure of a drawing: what groups have while they train."""
    lowest, peaks = [], []
    for one in drawing.picture.series:
        live = [rate for rate, still in zip(one.rates, one.frozen, strict=True) if rate > 0 and not still]
        if live and one.ever_trains:
            lowest.append(min(live))
            peaks.append(max(live))
    if not peaks:
        return Scale(1.0, 1.0)
    return Scale(max(min(lowest), min(peaks) / DEEPEST), max(peaks))


def viridis(part: float) -> str:
    """The colour at a part of the scale, from 0 to 1."""
    at = min(max(part, 0.0), 1.0) * (len(VIRIDIS) - 1)
    k = min(int(at), len(VIRIDIS) - 2)
    return _hex([a + (b - a) * (at - k) for a, b in zip(VIRIDIS[k], VIRIDIS[k + 1], strict=True)])


def _hex(parts: Sequence[float]) -> str:
    return "#" + "".join(f"{round(part):02x}" for part in parts)
