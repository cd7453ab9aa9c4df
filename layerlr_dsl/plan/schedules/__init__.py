"""Schedules: how far each group's rate stands below its peak, as pure functions of time.

The learning rate of a group at a tick is what the rules give, times `factor(tick)`. A factor
lies between 0 and 1, is the same for every group of the schedule (so that their ratios hold),
and needs no history: it can be drawn without training and taken up at any step. `plateau` alone
waits for a metric.
"""

from __future__ import annotations

from layerlr_dsl.plan.schedules.arguments import ScheduleFault
from layerlr_dsl.plan.schedules.easing import Easing
from layerlr_dsl.plan.schedules.plateau import Plateau, PlateauState
from layerlr_dsl.plan.schedules.registry import make
from layerlr_dsl.plan.schedules.shapes import Curve, Schedule, Sequence, parts_of, running

__all__ = [
    "Curve",
    "Easing",
    "Plateau",
    "PlateauState",
    "Schedule",
    "ScheduleFault",
    "Sequence",
    "make",
    "parts_of",
    "running",
]
