"""What a search makes of a budget that holds a few trials: by a clock that trainings move, not by the machine's."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerlr_dsl.tuning.arms import Arm, Candidate
from layerlr_dsl.tuning.budget import ENDING, Budget
from layerlr_dsl.tuning.outcome import Outcome, Scored
from layerlr_dsl.tuning.ranges import Range
from layerlr_dsl.tuning.report import Report
from layerlr_dsl.tuning.search import Search
from layerlr_dsl.tuning.trials import Settings
from layerlr_dsl.tuning.verdict import verdict

RATES = Range(1e-4, 1e-2, log=True)
SECONDS = {"plain": 10.0, "slow": 20.0, "good": 10.0}


class Clock:
    """Stands still but for trainings."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _search(folder: Path, seconds: float, lucky: str | None = None) -> Outcome:
    """`good` does best, at the highest rate; a `lucky` file does better in the search's own seed alone."""
    arms = []
    for name in SECONDS:
        (folder / f"{name}.lr").write_text("let base = 1e-3\n** -> lr base\n")
        arms.append(Arm(name, folder / f"{name}.lr", {"base": RATES}))
    clock = Clock()

    def train(candidate: Candidate, report: Report) -> Scored:
        name, base = candidate.arm.name, candidate.values["base"]
        for epoch in (1, 2):
            clock.seconds += SECONDS[name] / 2
            report(base + (name == "good"), epoch)
        luck = 2.0 if name == lucky and candidate.seed == 0 else 0.0
        return Scored(base + (name == "good") + luck, None, SECONDS[name], 1.0)

    return Search(arms, train, Settings(trials=None), Budget(seconds + ENDING, clock)).run()


def _tried(outcome: Outcome) -> dict[str, tuple[int, int]]:
    """Trials in the search, and seeds after it, of each file."""
    return {one.arm.name: (len(one.trials), len(one.finals)) for one in outcome.standings}


def test_what_is_left_after_each_file_once_goes_to_seeds_of_the_best(tmp_path: Path) -> None:
    """There is no time for seeds of all, and none is thrown away."""
    outcome = _search(tmp_path, 71.0)
    assert _tried(outcome) == {"plain": (2, 0), "slow": (1, 0), "good": (1, 2)}
    assert outcome.cut_short
    assert outcome.winner is outcome.standings[2]
    assert any("is a guess, the best over 3 trainings" in line for line in verdict(outcome))


@pytest.mark.parametrize("lucky", ["plain", "slow"])
def test_a_file_that_was_lucky_once_is_passed_by_the_next(tmp_path: Path, lucky: str) -> None:
    """The best of single trials is often the luckiest; another seed shows it, and the other leads from then on."""
    outcome = _search(tmp_path, 91.0, lucky)
    assert _tried(outcome)[lucky][1] == 2
    winner = outcome.winner
    assert winner is not None
    assert winner.arm.name == "good"


def test_a_file_that_does_not_fit_in_what_is_left_is_not_begun(tmp_path: Path) -> None:
    """Nine seconds hold no trial of ten."""
    outcome = _search(tmp_path, 59.0)
    assert [len(standing.trials) for standing in outcome.standings] == [2, 1, 1]
    assert outcome.seconds == sum(SECONDS.values()) + SECONDS["plain"]


def test_one_seed_of_all_is_not_begun_where_no_second_one_fits(tmp_path: Path) -> None:
    """One tells nothing of noise, and the plain rate would win by it; the time goes to the best file."""
    outcome = _search(tmp_path, 40.0 + 60.0)
    assert [name for name, (_, seeds) in _tried(outcome).items() if seeds] == ["good"]
    assert outcome.winner is outcome.standings[2]


@pytest.mark.parametrize("seconds", [250.0, 300.0, 301.0, 400.0])
def test_where_finals_fit_every_file_is_tried_equally_often(tmp_path: Path, seconds: float) -> None:
    """Or the one that was tried more would win by that; what is left of the search goes to the seeds."""
    outcome = _search(tmp_path, seconds)
    assert len({len(standing.trials) for standing in outcome.standings}) == 1
    assert all(len(standing.finals) >= 2 for standing in outcome.standings)
