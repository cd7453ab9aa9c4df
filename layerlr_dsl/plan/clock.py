"""Time as whole ticks: optimizer steps where the steps of an epoch are known, else epochs.

Marks are exact fractions until the very end, so that `epoch 0.1` of 10 steps is step 1
and not the step after it: step k lies before epoch E when k < E x steps_per_epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal

from layerlr_dsl.language.numbers import plural, spelled

Unit = Literal["epochs", "steps", "percent"]


class UnknownTime(Exception):
    """A time that cannot be placed because `missing` (steps_per_epoch or epochs) is not known."""

    def __init__(self, missing: Literal["steps_per_epoch", "epochs"]) -> None:
        self.missing = missing
        super().__init__(f"{missing} is not known")


class ImpossibleTime(ValueError):
    """A length of a run, or a number of steps, that no run can have."""


@dataclass(frozen=True, slots=True)
class Length:
    """A stretch of time as the file gives it: `5%` is Length(5, "percent")."""

    value: Fraction
    unit: Unit

    def __str__(self) -> str:
        return f"{spelled(self.value, 6)}%" if self.unit == "percent" else plural(self.value, self.unit[:-1])


@dataclass(frozen=True, slots=True)
class Clock:
    """The run's length in epochs and the optimizer steps in an epoch, each None where unknown."""

    epochs: Fraction | None = None
    steps_per_epoch: int | None = None

    @property
    def counts_steps(self) -> bool:
        return self.steps_per_epoch is not None

    @property
    def ticks_per_epoch(self) -> int:
        return 1 if self.steps_per_epoch is None else self.steps_per_epoch

    @property
    def total(self) -> int | None:
        """Ticks in the run, or None where its length is unknown."""
        return None if self.epochs is None else ceil(self.epochs * self.ticks_per_epoch)

    def tick_of_epoch(self, epoch: Fraction) -> int:
        """The first tick that does not lie before `epoch`."""
        # In whole numbers: this is asked for every mark at every tick, and products of fractions are slow.
        return -(-epoch.numerator * self.ticks_per_epoch // epoch.denominator)

    def epoch_of(self, tick: int) -> Fraction:
        return Fraction(tick, self.ticks_per_epoch)

    def epochs_of(self, length: Length) -> Fraction:
        """A stretch of time in epochs, exactly. Raises UnknownTime."""
        if length.unit == "epochs":
            return length.value
        if length.unit == "steps":
            if self.steps_per_epoch is None:
                raise UnknownTime("steps_per_epoch")
            return length.value / self.steps_per_epoch
        if self.epochs is None:
            raise UnknownTime("epochs")
        return length.value / 100 * self.epochs

    def ticks_of(self, length: Length) -> int:
        """A stretch of time in ticks, rounded up. Raises UnknownTime."""
        return ceil(self.epochs_of(length) * self.ticks_per_epoch)
