"""What goes wrong between a plan and the live objects it is put to work on."""

from __future__ import annotations

from collections.abc import Iterable


class TrainingError(RuntimeError):
    """A plan that cannot be carried out as it stands; the text names the parameters and says what to do."""


class ModelMismatch(TrainingError):
    """The model or the optimizer is not the one that the plan was made for."""


class FrozenMoved(TrainingError):
    """Frozen tensors whose bytes changed; `names` lists them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(
            f"frozen, but moved: {listed(self.names)}; something other than this optimizer wrote to them, such as an "
            "average of weights that was copied over them "
            "(after loading weights on purpose, load them through model.load_state_dict)"
        )

    def __reduce__(self) -> tuple[type[FrozenMoved], tuple[tuple[str, ...]]]:
        return (FrozenMoved, (self.names,))


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
