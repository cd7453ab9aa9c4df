"""How a value goes from one place to the next: the shapes of ramps, warm-ups and decays."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sqrt

from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.records import record

NAMES = ("linear", "cosine", "exponential", "sqrt", "power", "constant")


@record
class Easing:
    """A shape by name; `power` counts for `power(n)` alone."""

    name: str = "linear"
    power: float = 1.0

    def share(self, p: float) -> float:
        """s(p): the share of the way that is done where a share `p` of the time is gone."""
        return _SHARES[self.name](p, self.power)

    def between(self, first: float, last: float, p: float) -> float:
        """The value on the way; `exponential` goes straight in the logarithm, and to 0 at once."""
        if self.name == "exponential":
            return float(first ** (1.0 - p) * last**p)
        return first + (last - first) * _SHARES[self.name](p, self.power)

    def text(self) -> str:
        return f"power({spelled(self.power)})" if self.name == "power" else self.name


_SHARES: dict[str, Callable[[float, float], float]] = {
    "linear": lambda p, _: p,
    "cosine": lambda p, _: 0.5 * (1.0 - cos(pi * p)),
    "exponential": lambda p, _: p,
    "sqrt": lambda p, _: sqrt(p),
    "power": lambda p, n: float(p**n),
    "constant": lambda p, _: 0.0,
}

LINEAR = Easing()
