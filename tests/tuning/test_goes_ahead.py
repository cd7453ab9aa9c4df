"""The first file finds a rate, and those with the same range begin there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path

import pytest

from layerlr_dsl.runner.errors import Diverged
from layerlr_dsl.tuning.arms import Arm, Candidate
from layerlr_dsl.tuning.budget import ENDING, Budget
from layerlr_dsl.tuning.outcome import Scored
from layerlr_dsl.tuning.ranges import Range
from layerlr_dsl.tuning.report import Report
from layerlr_dsl.tuning.search import Search
from layerlr_dsl.tuning.trials import Settings

RATES = Range(1e-4, 1e-2, log=True)
LOWER = Range(3e-5, 3e-3, log=True)
Tried = list[tuple[str, float]]


def _search(
    folder: Path,
    score: Callable[[float], float],
    ranges: Mapping[str, Range],
    *,
    trials: int | None = None,
    seconds: float | None = None,
    stop: int | None = None,
) -> Tried:
    """What is tried in the search's own seed, in order, where a training takes ten seconds; a Ctrl-C in trial `stop`."""
    arms = []
    for name, found in ranges.items():
        (folder / f"{name}.lr").write_text("let base = 1e-3\n** -> lr base\n")
        arms.append(Arm(name, folder / f"{name}.lr", {"base": found}))
    clock, tried = [0.0], []

    def train(candidate: Candidate, report: Report) -> Scored:
        clock[0] += 10.0
        if candidate.seed == 0:
            tried.append((candidate.arm.name, candidate.values["base"]))
            if stop == len(tried):
                raise KeyboardInterrupt
        value = score(candidate.values["base"])
        if math.isnan(value):
            raise Diverged("the loss is nan")
        return Scored(value, None, 10.0, 1.0)

    budget = Budget(None if seconds is None else seconds + ENDING, lambda: clock[0])
    url = None if stop is None else f"sqlite:///{folder}/study.db"
    settings = Settings(trials=trials, seeds=2, resume=(folder / "study.db").exists())
    try:
        Search(arms, train, settings, budget, url).run()
    except KeyboardInterrupt:
        return tried[:-1] + _search(folder, score, ranges, trials=trials, seconds=seconds, stop=-1)
    return tried


def _near(best: float) -> Callable[[float], float]:
    """A score that falls with the distance from the best rate."""
    return lambda base: -abs(math.log(base / best))


def _fewer(limit: float) -> Callable[[float], float]:
    """The higher the better, up to where training diverges."""
    return lambda base: base if base < limit else math.nan


SAME = {"plain": RATES, "other": RATES, "third": RATES}


@pytest.mark.parametrize(
    ("score", "ahead", "start"),
    [
        (_near(3.2e-3), [1e-3, 3.2e-3], 3.2e-3),
        (_near(1e-2), [1e-3, 3.2e-3], 3.2e-3),
        (_near(1e-3), [1e-3, 3.2e-3, 3.2e-4], 1e-3),
        (_near(1e-4), [1e-3, 3.2e-3, 3.2e-4], 3.2e-4),
        (_fewer(2e-3), [1e-3, 3.2e-3, 3.2e-4], 1e-3),
        (_fewer(5e-4), [1e-3, 3.2e-3, 3.2e-4], 3.2e-4),
        (_fewer(2e-4), [1e-3, 3.2e-3, 3.2e-4], 1e-3),
    ],
)
def test_the_others_begin_where_the_first_one_did_best(
    tmp_path: Path, score: Callable[[float], float], ahead: list[float], start: float
) -> None:
    """The middle, above, and below only where above was no better; where none came to a score, in the middle."""
    tried = _search(tmp_path, score, SAME, seconds=80.0)
    expected = [*(("plain", base) for base in ahead), ("other", start), ("third", start)]
    assert tried[: len(expected)] == expected


def test_a_file_with_a_range_of_its_own_begins_in_its_own_middle(tmp_path: Path) -> None:
    """What one rate can bear tells nothing of files for which lower ones are asked."""
    tried = _search(tmp_path, _near(1e-2), {"plain": RATES, "held": LOWER, "other": RATES}, seconds=80.0)
    assert tried[:4] == [("plain", 1e-3), ("plain", 3.2e-3), ("held", 3e-4), ("other", 3.2e-3)]


def test_nothing_goes_ahead_of_files_that_do_not_follow(tmp_path: Path) -> None:
    """Each has its first trial, then its second."""
    tried = _search(tmp_path, _near(1e-2), {"plain": RATES, "held": LOWER}, trials=3)
    assert [name for name, _ in tried] == ["plain", "held"] * 3


@pytest.mark.parametrize(("seconds", "times"), [(39.0, 1), (40.0, 2), (44.0, 2), (45.0, 3)])
def test_it_goes_ahead_within_a_part_of_the_time(tmp_path: Path, seconds: float, times: int) -> None:
    """Half of all, then two thirds: or nothing else would be tried where there is little."""
    tried = _search(tmp_path, _near(1e-4), SAME, seconds=seconds)
    (first, ahead), *_ = [(name, len(list(some))) for name, some in groupby(tried, lambda one: one[0])]
    assert (first, ahead) == ("plain", times)
    assert {"plain", "other"} <= {name for name, _ in tried}


@pytest.mark.parametrize("trials", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("best", [1e-4, 1e-3, 3.2e-3])
def test_every_file_has_the_same_number_of_trials_and_none_twice(
    tmp_path: Path, trials: int, best: float
) -> None:
    """Wherever they begin, and however they end."""
    tried = _search(tmp_path, _near(best), SAME, trials=trials)
    assert [len({base for name, base in tried if name == file}) for file in SAME] == [trials] * 3
    assert len(tried) == 3 * trials


@pytest.mark.parametrize("stop", range(1, 16))
def test_an_interrupted_search_tries_the_same(tmp_path: Path, stop: int) -> None:
    """The trial that was lost is the next one, and nothing is tried twice or left out."""
    (tmp_path / "whole").mkdir()
    whole = _search(tmp_path / "whole", _near(3.2e-3), SAME, trials=5)
    assert _search(tmp_path, _near(3.2e-3), SAME, trials=5, stop=stop) == whole


def test_a_value_that_is_behind_the_first_is_stopped_at_a_quarter(tmp_path: Path) -> None:
    """Otherwise a rate at which nothing is learned takes as long as the one before, and there is no time for a lower one."""
    seen: dict[float, int] = {}

    def train(candidate: Candidate, report: Report) -> Scored:
        base = candidate.values["base"]
        for step in range(1, 9):
            seen[base] = step
            report(_near(3.2e-4)(base) * (9 - step), step)
        return Scored(_near(3.2e-4)(base), None, 1.0, 1.0)

    (tmp_path / "plain.lr").write_text("let base = 1e-3\n** -> lr base\n")
    arms = [Arm("plain", tmp_path / "plain.lr", {"base": RATES})]
    Search(arms, train, Settings(trials=3, seeds=2), Budget(None)).run()
    assert seen == {1e-3: 8, 1e-2: 2, 1e-4: 2}


@pytest.mark.parametrize("files", [1, 2])
def test_what_goes_ahead_is_trained_whole(tmp_path: Path, files: int) -> None:
    """A rate that is behind at first may be ahead at the end; where nothing follows, it is stopped as any other."""
    seen: list[tuple[str, float, int]] = []

    def train(candidate: Candidate, report: Report) -> Scored:
        base = candidate.values["base"]
        for step in range(1, 9):
            seen.append((candidate.arm.name, base, step))
            report(-base if step == 8 else base, step)
        return Scored(-base, None, 1.0, 1.0)

    arms = []
    for name in ("plain", "other")[:files]:
        (tmp_path / f"{name}.lr").write_text("let base = 1e-3\n** -> lr base\n")
        arms.append(Arm(name, tmp_path / f"{name}.lr", {"base": RATES}))
    Search(arms, train, Settings(trials=2, seeds=2), Budget(None)).run()
    tried = {base: step for name, base, step in seen if name == "plain"}
    assert list(tried.values())[:2] == ([8, 8] if files == 2 else [8, 2])


def test_it_is_told_who_goes_ahead_and_who_follows(tmp_path: Path) -> None:
    """Or the order of the trials, and files that time leaves out, would be a riddle; with nobody to follow nothing is said."""
    for name in ("plain", "other", "third"):
        (tmp_path / f"{name}.lr").write_text("let base = 1e-3\n** -> lr base\n")

    def told(ranges: Mapping[str, Range]) -> list[str]:
        lines: list[str] = []
        arms = [Arm(name, tmp_path / f"{name}.lr", {"base": found}) for name, found in ranges.items()]
        settings = Settings(trials=1, seeds=2)
        Search(arms, lambda *given: Scored(0.5), settings, Budget(None), tell=lines.append).run()
        return [line for line in lines if "ahead" in line]

    assert told(SAME) == ["plain goes ahead: other, third begin where it does best"]
    assert told({"plain": RATES, "other": RATES}) == ["plain goes ahead: other begins where it does best"]
    assert told({"plain": RATES, "other": LOWER}) == []
