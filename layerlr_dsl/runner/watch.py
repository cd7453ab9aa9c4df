"""Someone who looks on while a run trains, and may end it."""

from __future__ import annotations

from layerlr_dsl.runner.display import EpochRow


class Watch:
    """Hears of a run's progress and does nothing; derive from it. Its methods may raise `errors.Enough`."""

    def step(self, steps: int, total: int) -> None:
        """Of `total` optimizer steps, `steps` are taken."""

    def epoch(self, row: EpochRow, of: float) -> None:
        """An epoch is over, validation included; `of` is how many epochs the run has."""

    def busy(self) -> None:
        """Something else goes on: a batch of validation, or of what is remembered, is done."""
