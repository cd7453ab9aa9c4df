"""The picture of a search shows what was done, and no frame for what was not."""

from __future__ import annotations

from pathlib import Path

from layerlr_dsl.tuning.arms import Arm
from layerlr_dsl.tuning.outcome import Outcome, Scored, Standing, Trial
from layerlr_dsl.tuning.picture import draw
from layerlr_dsl.tuning.ranges import Range

RANGES = {"base": Range(1e-4, 1e-2, log=True)}
WHOLE = Trial({"base": 1e-3}, "complete", Scored(0.9, 0.1, 1.0, 1.0))
EARLY = Trial({"base": 1e-2}, "pruned", course={1: 0.2})


def _drawn(*standings: Standing) -> str:
    return draw(Outcome(standings, "accuracy", True, True), "a title", "svg").decode()


def _standing(name: str, *trials: Trial, seeds: int = 0) -> Standing:
    finals = {seed: Scored(0.9 + 0.01 * seed) for seed in range(seeds)}
    return Standing(
        Arm(name, Path(f"{name}.lr"), RANGES), trials, next((t for t in trials if t.scored), None), finals
    )


def test_a_search_that_time_ended_has_no_frame_for_seeds_and_no_name_for_what_was_not_tried() -> None:
    """Nothing that would have to be explained."""
    found = _drawn(_standing("plain", WHOLE), _standing("never"))
    assert ">plain<" in found
    assert ">never<" not in found
    assert "over seeds" not in found
    assert "rings" not in found


def test_what_was_done_is_shown() -> None:
    """Seeds beside trials, and what a ring is."""
    found = _drawn(_standing("plain", WHOLE, EARLY, seeds=3), _standing("other", WHOLE, seeds=3))
    assert "over seeds, 95 % interval" in found
    assert "rings: stopped early" in found
    assert found.count(">other<") == 2
