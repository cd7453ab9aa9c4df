"""What goes wrong between a plan and the live objects it is put to work on."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable

OURS = ("layerlr_dsl", "torch")
"""Packages whose lines no warning is shown at: the caller's line says more."""


class TrainingError(RuntimeError):
    """A plan that cannot be carried out as it stands; the text names the parameters and says what to do."""


class ModelMismatch(TrainingError):
    """The model or the optimizer is not the one that the plan was made for."""


class FrozenMoved(TrainingError):
    """Frozen tensors whose bytes changed; `names` lists them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(
            f"frozen, but moved: {listed(self.names)}; something other than this optimizer wrote to them, such as "
            f"{_writer(self.names)} (after loading weights on purpose, load them through model.load_state_dict)"
        )

    def __reduce__(self) -> tuple[type[FrozenMoved], tuple[tuple[str, ...]]]:
        return (FrozenMoved, (self.names,))


def _writer(names: Iterable[str]) -> str:
    """What most likely wrote to frozen tensors, from their names."""
    if any(".base_layer." in name for name in names):
        return (
            "peft's merge_adapter, whose sum unmerge_adapter takes off again with rounding: merge a copy of the model, or "
            "save the weights before and load them after"
        )
    return "an average of weights that was copied over them"


class RanksDiffer(TrainingError):
    """The processes of a distributed run hold different rules, models or run lengths."""


class StateNotCarried(UserWarning):
    """Optimizer state of a checkpoint that has no place here, or parameters that start without any."""


class ScheduleWarning(UserWarning):
    """The training loop does something that the schedule can live with but probably should not."""


def listed(names: Iterable[str], most: int = 8) -> str:
    """`a, b, c and 12 more`."""
    names = list(names)
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def tell(text: str, category: type[Warning] = ScheduleWarning) -> None:
    """Warn at the line of whoever called in from outside of layerlr and torch."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)
