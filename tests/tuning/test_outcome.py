"""What may be said of scores over seeds: intervals, who beats whom, and that a tie is a tie."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from layerlr_dsl.cli.tune import render
from layerlr_dsl.tools.screen import Screen
from layerlr_dsl.tuning.arms import Arm
from layerlr_dsl.tuning.outcome import Interval, Outcome, Scored, Standing, Trial, best_of
from layerlr_dsl.tuning.ranges import Range
from layerlr_dsl.tuning.results import report_lines
from layerlr_dsl.tuning.verdict import verdict


def _standing(name: str, scores: list[float], seconds: float = 10.0) -> Standing:
    best = Trial({"base": 1e-3}, "complete", Scored(scores[0], 0.1, seconds, 1.0))
    finals = {seed: Scored(value, 0.1, seconds, 1.0) for seed, value in enumerate(scores)}
    return Standing(Arm(name, Path(f"{name}.lr")), (best,), best, finals)


PLAIN = [0.90, 0.92, 0.91, 0.89, 0.93]


@pytest.mark.parametrize("count", [2, 3, 5, 12, 16])
def test_an_interval_is_students(count: int) -> None:
    """As scipy has it."""
    numbers = [0.9 + 0.01 * (k % 4) for k in range(count)]
    low, high = stats.t.interval(
        0.95, count - 1, statistics.fmean(numbers), statistics.stdev(numbers) / count**0.5
    )
    found = Interval.of(numbers)
    assert found.half == pytest.approx((high - low) / 2, rel=1e-3)
    assert Interval.of([1.0]).half is None


def test_a_gain_is_judged_in_pairs_of_seeds() -> None:
    """A small gain on every seed is sure, though both spread widely; the same mean gain at random is not."""
    steady = _standing("steady", [x + 0.01 + 0.001 * k for k, x in enumerate(PLAIN)])
    erratic = _standing("erratic", [x + gain for x, gain in zip(PLAIN, [0.1, -0.08, 0.1, -0.1, 0.04])])  # noqa: B905
    outcome = Outcome((_standing("plain", PLAIN), steady, erratic), "accuracy", True, True)
    assert [s.arm.name for s in outcome.better()] == ["steady"]
    assert [s.arm.name for s in outcome.draws()] == ["erratic"]
    assert outcome.winner is steady
    assert "steady (base 1e-3) beats plain (base 1e-3): +1.2 ± 0.2 points (5 seeds, in pairs)" in verdict(
        outcome
    )


def test_where_nothing_is_sure_the_plain_rate_wins_and_that_is_said() -> None:
    """Also where another file has the better mean."""
    lucky = _standing("lucky", [0.99, 0.86, 0.98, 0.87, 0.97])
    outcome = Outcome((_standing("plain", PLAIN), lucky), "accuracy", True, True)
    assert outcome.winner is outcome.baseline
    assert verdict(outcome)[0] == "nothing beats plain (base 1e-3) by more than noise (5 seeds, in pairs)"


def test_a_file_alone_beats_nothing_and_is_not_beaten() -> None:
    """There is nothing that it could be held against."""
    outcome = Outcome((_standing("mine", PLAIN),), "accuracy", True, True)
    assert verdict(outcome) == ["mine (base 1e-3) was compared with nothing else"]


def test_the_table_of_the_built_in_family_fits_eighty_columns() -> None:
    """The one `let` that is searched heads its column; where there are several, each row names its own."""
    one = {"base": Range(1e-4, 1e-2, log=True)}
    standings = [
        replace(found, arm=replace(found.arm, ranges=one))
        for found in (_standing(name, PLAIN, seconds=123.0) for name in ("plain", "head-then-all", "gradual"))
    ]
    outcome = Outcome(tuple(standings), "accuracy", True, True)
    lines = render(outcome, Screen(width=80))
    assert lines[0].split()[:3] == ["file", "base", "tried"]
    assert lines[2].split()[:3] == ["head-then-all", "1e-3", "1"]
    assert "123 s" in lines[2]
    assert max(map(len, lines)) <= 80
    other = replace(standings[1], arm=replace(standings[1].arm, ranges={**one, "decay": Range(0.5, 0.9)}))
    outcome = replace(outcome, standings=(standings[0], other))
    assert [line.split()[1] for line in report_lines(outcome)[:3]] == ["best", "base", "base"]


def test_a_draw_in_much_less_time_is_named() -> None:
    """What the head alone is worth where it is as good."""
    cheap = _standing("head", [0.91, 0.90, 0.92, 0.90, 0.92], seconds=0.625)
    outcome = Outcome((_standing("plain", PLAIN), cheap), "accuracy", True, True)
    assert any(
        "head (base 1e-3) draws with it" in line and "1/16 of the time" in line for line in verdict(outcome)
    )


def test_a_draw_is_not_named_where_noise_hides_all() -> None:
    """`draws with it (+50.0 ± 635.5 points)` would tell nobody anything."""
    wild = _standing("head", [0.2, 0.9, 1.0, 0.4, 0.99], seconds=0.625)
    lines = verdict(Outcome((_standing("plain", PLAIN), wild), "accuracy", True, True))
    assert any("nothing beats plain" in line for line in lines)
    assert not any("draws" in line for line in lines)


def test_a_loss_is_better_where_it_is_smaller() -> None:
    """Gains are counted as what is better, whichever way the score runs."""
    outcome = Outcome((_standing("plain", PLAIN), _standing("low", [x - 0.1 for x in PLAIN])), "loss", False)
    assert outcome.winner is outcome.standings[1]
    gain = outcome.difference(outcome.standings[1])
    assert gain is not None
    assert gain.mean == pytest.approx(0.1)


def test_of_equal_scores_the_smaller_loss_is_the_better_trial() -> None:
    """With few validation samples many trials share an accuracy; a pruned one counts for nothing."""
    first = Trial({}, "complete", Scored(0.9, 0.5))
    second = Trial({}, "complete", Scored(0.9, 0.2))
    pruned = Trial({}, "pruned", Scored(0.99, 0.1))
    assert best_of([first, second, pruned], rising=True) is second
    assert best_of([pruned], rising=True) is None
