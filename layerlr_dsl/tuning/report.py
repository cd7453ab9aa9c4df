"""What a training under trial tells while it runs, and what ends it early."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from layerlr_dsl.runner.errors import Enough

if TYPE_CHECKING:
    from optuna import Trial

N = TypeVar("N", int, float)


class Pruned(Enough):
    """The trial does worse than others did by then: its time is better spent on another."""


class OutOfTime(Enough):
    """The budget is used up."""


class TakenOver(Enough):
    """Another process gave the trial up, having seen no sign of life for a while, and tries it again."""


class NotFinite(Exception):
    """The score is no finite number; the text says where."""


class Report:
    """Called with a validation score and how far the training is, in any unit that grows; may end the trial.

    Without the second the calls are counted, from 1. `seed` is for everything that is random in the training.
    """

    def __init__(self, seed: int, left: Callable[[], float], trial: Trial | None = None) -> None:
        self.seed = seed
        self.last: float | None = None
        self._left = left
        self._trial = trial
        self._step = 0

    def __call__(self, value: float, step: int | None = None) -> None:
        """Raises Pruned, OutOfTime, TakenOver, NotFinite for a value that is none, TypeError for no number."""
        self._step = step = self._step + 1 if step is None else _number(step, "step", int)
        self.last = value = _number(value, "score", float)
        if not math.isfinite(value):
            raise NotFinite(f"the score at {step} is {value}")
        self.alive()
        if self._trial is not None:
            self._note(self._trial, value, step)

    def _note(self, trial: Trial, value: float, step: int) -> None:
        from optuna.exceptions import UpdateFinishedTrialError

        try:
            trial.report(value, step)
        except UpdateFinishedTrialError:
            raise TakenOver from None
        if trial.should_prune():
            raise Pruned

    def alive(self) -> None:
        """To be called often, between reports. Raises OutOfTime."""
        if self._left() <= 0:
            raise OutOfTime


def _number(value: Any, name: str, kind: type[N]) -> N:
    """A number of any library's, such as a tensor of one."""
    try:
        return kind(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"report(score, step) takes numbers; the {name} is {value!r:.60}") from None
