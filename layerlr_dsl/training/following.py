"""What every follower of another trainer needs: the length of its run, metrics by names of the language, the end."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.training.errors import ScheduleWarning

if TYPE_CHECKING:
    from layerlr_dsl.training.schedule import LayerSchedule


def length_of(batches: int, epochs: int, accumulate: int = 1, *, rest: bool = False) -> dict[str, int]:
    """The length of a run as `resolve` and `relength` take it, where batches are counted through all epochs.

    accumulate: batches that make one optimizer step. rest: whether fewer that are left at the end make one too.
    Warns where an epoch is no whole number of optimizer steps, since rules count whole ones.
    """
    if batches % accumulate == 0:
        return {"epochs": epochs, "steps_per_epoch": max(1, batches // accumulate)}
    counted, steps = math.ceil(batches / accumulate), batches * epochs / accumulate
    _warn_of_unequal_epochs(batches, accumulate, counted)
    return {
        "steps_per_epoch": counted,
        "steps": max(1, math.ceil(steps) if rest else math.floor(steps)),
    }


def _warn_of_unequal_epochs(batches: int, accumulate: int, counted: int) -> None:
    real = spelled(batches / accumulate, 4)
    later = spelled(counted * accumulate / batches, 4)
    text = (
        f"an epoch of {batches} batches is {real} optimizer steps of {accumulate} batches each, and the rules count "
        f"{counted}: their `epoch 1` comes at epoch {later} of the loop, and so on. Times in steps or % are exact; "
        "or let the batches of an epoch be a multiple of those of a step"
    )
    warnings.warn(text, ScheduleWarning, stacklevel=3)


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
