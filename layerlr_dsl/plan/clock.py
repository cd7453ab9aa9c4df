"""Time as whole ticks: optimizer steps where they can be counted, else epochs.

Places in time are exact fractions of ticks until the very end, so that `epoch 0.1` of 10 steps is step 1
and not the step after it: step k lies before epoch E when k < E x steps_per_epoch.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Literal

from layerlr_dsl.tools.frameless import Frameless
from layerlr_dsl.tools.numbers import plural, ratio, spelled
from layerlr_dsl.tools.records import record

Unit = Literal["epochs", "steps", "percent"]
Missing = Literal["steps_per_epoch", "epochs"]
Steps = int | Fraction
"""Steps in an epoch: `int` where they are whole."""


class UnknownTime(Exception):
    """A time that cannot be placed because `missing` (steps_per_epoch or the length) is not known."""

    def __init__(self, missing: Missing) -> None:
        self.missing: Missing = missing
        super().__init__(f"{missing} is not known")


class ImpossibleTime(Frameless, ValueError):
    """A length of a run, or a number of steps, that no run can have."""


def steps_in_an_epoch(given: object) -> Steps:
    """How many steps an epoch has, of a number as one gives it: 25 / 3 is 25 thirds. Raises ImpossibleTime."""
    exact = ratio(given)
    if exact is None or exact <= 0:
        raise ImpossibleTime(f"steps_per_epoch is {given}: it must be a positive number")
    return exact


@record
class Length:
    """A stretch of time as the file gives it: `5%` is Length(5, "percent")."""

    value: Fraction
    unit: Unit

    def __str__(self) -> str:
        return f"{spelled(self.value, 6)}%" if self.unit == "percent" else plural(self.value, self.unit[:-1])


@record
class Clock:
    """How long a run, or a stage of one, is and what a tick of it is; None where it is not known.

    epochs: the length in epochs. steps_per_epoch: optimizer steps in an epoch; a fraction where batches are
    accumulated on from one epoch to the next, so that one has 6 steps and another 7. steps: the length in
    optimizer steps, which counts where it is given; with `steps` alone the clock knows no epochs.
    """

    epochs: Fraction | None = None
    steps_per_epoch: Steps | None = None
    steps: int | None = None

    @property
    def counts_steps(self) -> bool:
        return self.steps_per_epoch is not None or self.steps is not None

    @property
    def knows_epochs(self) -> bool:
        """Whether a tick can be placed in an epoch."""
        return self.steps_per_epoch is not None or self.steps is None

    @property
    def ticks_per_epoch(self) -> Steps:
        return 1 if self.steps_per_epoch is None else self.steps_per_epoch

    @property
    def length(self) -> Fraction | None:
        """The length of the run in ticks, exactly."""
        if self.steps is not None:
            return Fraction(self.steps)
        return None if self.epochs is None else self.epochs * self.ticks_per_epoch

    @property
    def total(self) -> int | None:
        """Ticks in the run, or None where its length is unknown."""
        length = self.length
        return None if length is None else ceil(length)

    @property
    def run_epochs(self) -> Fraction | None:
        """The length of the run in epochs, a fraction where it is given in steps."""
        if self.steps is None:
            return self.epochs
        return None if self.steps_per_epoch is None else Fraction(self.steps, self.steps_per_epoch)

    def part(self, ticks: int | None) -> Clock:
        """The clock of a part of the run that lasts so many ticks (None: nobody knows)."""
        if not self.knows_epochs:
            return Clock(None, None, ticks if ticks is not None else None) if ticks is not None else self
        if ticks is None:
            return Clock(None, self.steps_per_epoch)
        return Clock(Fraction(ticks, self.ticks_per_epoch), self.steps_per_epoch)

    def tick_of_epoch(self, epoch: Fraction) -> int:
        """The first tick that does not lie before `epoch`. Raises UnknownTime."""
        self._need_epochs()
        # In whole numbers: this is asked for every mark at every tick, and products of fractions are slow.
        return -(-epoch.numerator * self.ticks_per_epoch // epoch.denominator)

    def end_of_epoch(self, epoch: int) -> int:
        """The tick at which the epoch of that number, from 0, is over: a step that goes on in the next is of that.

        Raises UnknownTime.
        """
        self._need_epochs()
        return int((epoch + 1) * self.ticks_per_epoch)

    def epoch_of(self, tick: int) -> Fraction:
        """Raises UnknownTime."""
        self._need_epochs()
        return Fraction(tick, self.ticks_per_epoch)

    def exact(self, length: Length) -> Fraction:
        """A stretch of time in ticks, exactly. Raises UnknownTime."""
        if not length.value:
            return Fraction(0)  # no time is as long on every clock
        if length.unit == "epochs":
            self._need_epochs()
            return length.value * self.ticks_per_epoch
        if length.unit == "steps":
            if not self.counts_steps:
                raise UnknownTime("steps_per_epoch")
            return length.value
        if self.length is None:
            raise UnknownTime("epochs")
        return length.value / 100 * self.length

    def ticks_of(self, length: Length) -> int:
        """A stretch of time in ticks, rounded up. Raises UnknownTime."""
        return ceil(self.exact(length))

    def words(self, tick: int | Fraction) -> str:
        """A tick in words: `epoch 3`, or `step 40` where no epochs are known."""
        if not self.knows_epochs:
            return f"step {ceil(tick)}"
        return f"epoch {spelled(Fraction(tick) / self.ticks_per_epoch)}"

    def _need_epochs(self) -> None:
        if not self.knows_epochs:
            raise UnknownTime("steps_per_epoch")
