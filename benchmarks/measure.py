"""Timing side by side, and the rows of the one table that all benchmarks make."""

from __future__ import annotations

import gc
import json
import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: ours beside a peer's, both in seconds; `target` is the most that ours / peer may be.

    Without a target the row stands for comparison only.
    """

    what: str
    ours: float
    peer: float
    against: str
    target: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return "met" if self.ratio <= self.target else "**missed**"


def best(run: Callable[[], object], times: int = 3) -> float:
    """The shortest of `times` runs, in seconds; what a run returns is dropped outside the clock."""
    return in_turns({"": run}, times)[""]


def in_turns(
    sides: dict[str, Callable[[], object]],
    rounds: int,
    calls: int = 1,
    clock: Clock = time.process_time,
) -> dict[str, float]:
    """Seconds of one call of each side, the least of `rounds`; the sides take turns on a busy machine.

    Processor seconds, unless another clock is given: what others do on the machine counts less then.
    """
    least = dict.fromkeys(sides, math.inf)
    for _ in range(rounds):
        for name, call in sides.items():
            gc.collect()
            kept: object = None
            start = clock()
            for _ in range(calls):
                kept = call()
            least[name] = min(least[name], (clock() - start) / calls)
            del kept
    return least


def median_of_builds(
    make: Callable[[], dict[str, Callable[[], object]]], builds: int, rounds: int, calls: int = 1
) -> dict[str, float]:
    """As `in_turns` for two sides, made anew several times: the build whose ratio is the median.

    Where memory happens to lie moves a step by more than what is looked for, a few in a hundred; the
    sides change places from build to build.
    """
    found = []
    for build in range(builds):
        sides = make()
        names = list(sides)
        ordered = {name: sides[name] for name in (names if build % 2 else reversed(names))}
        seconds = in_turns(ordered, rounds, calls)
        found.append({name: seconds[name] for name in names})
    ours, theirs = list(found[0])[:2]
    return sorted(found, key=lambda seconds: seconds[ours] / seconds[theirs])[builds // 2]


def duration(seconds: float) -> str:
    """`12.3 us`, `4.56 ms`, `7.89 s`."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} us"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def markdown(rows: Iterable[Row]) -> str:
    """A table that can be kept as it is printed."""
    lines = ["| what | ours | against | theirs | ratio | target | |", "|---|---:|---|---:|---:|---:|---|"]
    for row in rows:
        target = "" if row.target is None else f"≤ {row.target:.3g}x"
        cells = (row.what, duration(row.ours), row.against, duration(row.peer), f"{row.ratio:.3g}x", target)
        lines.append(f"| {' | '.join(cells)} | {row.verdict} |")
    return "\n".join(lines)


def report(rows: Iterable[Row]) -> None:
    """The rows as a table, or with `--json` as `run.py` reads them."""
    if "--json" in sys.argv:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        print(markdown(rows))
