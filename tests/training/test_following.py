"""The length of a run whose batches are counted through all epochs."""

from __future__ import annotations

import warnings

import pytest

from layerlr_dsl.training.errors import ScheduleWarning
from layerlr_dsl.training.following import length_of


def test_epochs_of_unequal_steps_are_warned_of() -> None:
    """Five batches, two to a step: the rules count three steps where there are two and a half."""
    with pytest.warns(
        ScheduleWarning, match=r"2\.5 optimizer steps .* count 3: their `epoch 1` comes at epoch 1\.2"
    ):
        assert length_of(5, 4, 2) == {"steps_per_epoch": 3, "steps": 10}


def test_whole_steps_are_not() -> None:
    """Six batches, two to a step."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert length_of(6, 4, 2) == {"epochs": 4, "steps_per_epoch": 3}
