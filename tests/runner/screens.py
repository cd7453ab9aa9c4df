"""A moment of a run, and what the live display makes of it."""

from __future__ import annotations

import io

from rich.console import Console

from layerlr_dsl.runner.classification import ACCURACY
from layerlr_dsl.runner.display import GroupRow, Live, Now

GROUPS = [GroupRow(f"blocks.{i}.**.weight", 1e-3 / (i + 1), i < 3, 1234 * i) for i in range(20)]


def console(terminal: bool, width: int = 80) -> Console:
    """A screen that only remembers."""
    return Console(file=io.StringIO(), width=width, height=24, force_terminal=terminal, color_system=None)


def now(**more: object) -> Now:
    """A moment in the middle of a run."""
    facts = {"epoch": 3, "epochs": 8, "step": 20, "steps": 45, "loss": 0.5, "value": 0.9}
    return Now(**{**facts, "samples_per_second": 400.0, "groups": GROUPS, **more})


def picture(moment: Now, width: int = 80) -> list[str]:
    """The lines of the live display at a moment."""
    screen = console(True, width)
    live = Live(screen)
    live.metric = ACCURACY
    live.update(moment)
    screen.print(live._picture())
    return screen.file.getvalue().splitlines()
