"""What every follower of another trainer needs: the length of its run, metrics by names of the language, the end."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from layerlr_dsl.training.errors import ScheduleWarning

if TYPE_CHECKING:
    from layerlr_dsl.training.schedule import LayerSchedule


def length_of(batches: int, epochs: int, accumulate: int = 1, *, rest: bool = False) -> dict[str, Any]:
    """The length of a run as `resolve` and `relength` take it, where batches are counted through all epochs.

    accumulate: batches that make one optimizer step. rest: whether fewer that are left at the end make one too.
    """
    per_epoch = Fraction(max(batches, 1), accumulate)
    if per_epoch.denominator == 1:
        return {"epochs": epochs, "steps_per_epoch": per_epoch}
    steps = per_epoch * epochs
    return {"steps_per_epoch": per_epoch, "steps": max(1, ceil(steps) if rest else floor(steps))}


def named(metrics: Mapping[str, Any], waits: Iterable[str]) -> dict[str, Any]:
    """The metrics that rules wait for: what is no letter, digit or `_` in another tool's name is `_` in a rule."""
    wanted = frozenset(waits)
    spelled = {re.sub(r"\W+", "_", name).strip("_"): value for name, value in metrics.items()}
    return {name: value for name, value in (spelled | dict(metrics)).items() if name in wanted}


def finish(schedule: LayerSchedule) -> None:
    """Prove what is frozen, and name conditions that waited for a metric nobody reported. Raises FrozenMoved."""
    schedule.verify()
    if silent := schedule.unreported():
        warnings.warn(f"never reported: {', '.join(silent)}", ScheduleWarning, stacklevel=2)
