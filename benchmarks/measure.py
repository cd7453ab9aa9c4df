"""Timing in one process: the best of several runs, and a table of ratios to a named floor."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: seconds, the seconds it is held against, and the ratio aimed at (None: a peer)."""

    name: str
    seconds: float
    floor: float
    target: float | None = None

    @property
    def ratio(self) -> float:
        return self.seconds / self.floor


def best(run: Callable[[], object], times: int = 3) -> float:
    """The shortest of `times` runs, in seconds; what a run returns is dropped outside the clock."""
    found = []
    for _ in range(times):
        gc.collect()
        start = time.perf_counter()
        kept = run()
        found.append(time.perf_counter() - start)
        del kept
    return min(found)


def print_table(title: str, rows: list[Row]) -> None:
    """A Markdown table, so that it can be kept as it is printed."""
    print(f"### {title}\n")
    print("| what | ms | ratio | target |")
    print("|---|---:|---:|---:|")
    for row in rows:
        target = "" if row.target is None else f"{row.target:g}x"
        print(f"| {row.name} | {1000 * row.seconds:.3g} | {row.ratio:.2f}x | {target} |")
    print()
