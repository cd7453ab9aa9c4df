"""Where the value of a `let` is looked for: `base=1e-5..1e-2 log`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from layerlr_dsl.language.lets import literal
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.tools.numbers import spelled

_HIGH = re.compile(r"\s*(\S+)(?:\s+(log))?\s*")
HELP = "write NAME=LOW..HIGH, with `log` after it for rates: base=1e-5..1e-2 log"
GRID = 5
"""How many points of one range are tried before anything is known."""
MOST_WIDER = 3
"""How many steps a range grows on either side: further out the numbers are hardly meant."""


@dataclass(frozen=True, slots=True)
class Range:
    """All numbers from `low` to `high`, spread by their logarithm where `log`, whole ones where `whole`."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def text(self) -> str:
        """As it is written: `1e-5..0.01 log`."""
        return f"{spelled(self.low, 4)}..{spelled(self.high, 4)}{' log' if self.log else ''}"

    def points(self, count: int, start: float | None = None) -> list[float]:
        """`count` values evenly over the range, the nearest to `start` first, which is the middle where it is None.

        What is tried first is likely to be good. Of two that are as near the higher one comes first.
        """
        if count == 1:
            return [self._at(0.5)]
        even = list(dict.fromkeys(self._at(place / (count - 1)) for place in range(count)))
        middle = (len(even) - 1) / 2 if start is None else even.index(min(even, key=lambda v: abs(v - start)))
        return sorted(even, key=lambda value: (abs(even.index(value) - middle), -value))

    def _at(self, share: float) -> float:
        if self.log:
            return self._readable(self.low * (self.high / self.low) ** share)
        return self._readable(self.low + (self.high - self.low) * share)

    def _readable(self, value: float) -> float:
        """In few digits, so that the points of a grid can be read, and are found again."""
        return round(value) if self.whole else float(f"{value:.{2 if self.log else 4}g}")

    def beyond(self, value: float, count: int, tried: Iterable[float]) -> float | None:
        """The next point outside of all that was `tried`, where `value` lies at its edge; None elsewhere.

        Steps are those of a grid of `count` points. Linear ranges are meant as bounds: nothing lies beyond.
        """
        if not self.log or count < 2:
            return None
        ratio = (self.high / self.low) ** (1 / (count - 1))
        grown = self.with_values(tried)
        if value >= grown.high / math.sqrt(ratio) and grown.high < self.high * ratio ** (MOST_WIDER - 0.5):
            return self._readable(grown.high * ratio)
        if value <= grown.low * math.sqrt(ratio) and grown.low > self.low / ratio ** (MOST_WIDER - 0.5):
            return self._readable(grown.low / ratio) or None
        return None

    def with_values(self, values: Iterable[float]) -> Range:
        """The range grown to hold `values`."""
        seen = [self.low, self.high, *values]
        return Range(min(seen), max(seen), self.log, self.whole)


def parse(text: str) -> tuple[str, Range]:
    """The name and the range of `NAME=LOW..HIGH [log]`. Raises RunnerError."""
    name, sign, written = text.partition("=")
    first, dots, rest = written.partition("..")
    # a third dot would begin a number, and 1e-5...1e-2 end at 0.001
    found = None if rest.startswith(".") else _HIGH.fullmatch(rest)
    if not sign or not name.strip().isidentifier() or not dots or found is None:
        raise RunnerError(f"--let {text!r} is no range", HELP)
    ends = (first.strip(), found[1])
    low, high = (_number(end, text) for end in ends)
    whole = all(re.fullmatch(r"[+-]?[0-9]+", end) for end in ends)
    if not low < high:
        raise RunnerError(f"--let {text!r}: {spelled(low)} is not below {spelled(high)}", HELP)
    if found[2] and low <= 0:
        raise RunnerError(f"--let {text!r}: a range by logarithm begins above 0", HELP)
    return name.strip(), Range(low, high, bool(found[2]), whole)


def is_range(text: str) -> bool:
    """Whether a `--let` gives a range and not a value, such as a text with dots in it."""
    written = text.partition("=")[2]
    return ".." in written and literal(written) is None


def _number(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RunnerError(f"--let {whole!r}: {text!r} is not a number", HELP)
    return value
