"""How long everything may take, and what is kept for the end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from layerlr_dsl.runner.errors import RunnerError

SEARCH = 0.6
"""The share of the time that the search may take; the rest is for the finalists' seeds."""
ENDING = 2.0
"""Seconds kept for writing what came of it, a tenth of the time at most."""
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse(text: str) -> float:
    """The seconds in `90s`, `10m`, `1.5h` or a bare number of seconds. Raises RunnerError."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(s|min|m|h|)\s*", text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if seconds <= 0:
        raise RunnerError(f"--budget {text!r} is no time", "write 90s, 10m or 1.5h")
    return seconds


@dataclass(slots=True)
class Budget:
    """Wall time from now on; `seconds` is None where time does not matter."""

    seconds: float | None
    now: Callable[[], float] = time.monotonic
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.now()

    @property
    def gone(self) -> float:
        return self.now() - self.began

    def left(self, share: float = 1.0) -> float:
        """What is left of that share of the time."""
        if self.seconds is None:
            return float("inf")
        return share * (self.seconds - min(ENDING, self.seconds / 10)) - self.gone
