"""`layerlr.tune` over a loop of one's own: what is tried, what ends early, and what survives."""

from __future__ import annotations

import math
import multiprocessing
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState

import layerlr_dsl as layerlr
from layerlr_dsl.runner.errors import RunFailed, RunnerError
from layerlr_dsl.tuning import Report, storage

PEAK = -3.0
EPOCHS = 8


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files of one `let`, and one without."""
    for name, text in {
        "plain": "let base = 1e-3\n** -> lr base\n",
        "other": "let base = 1e-3\n** -> lr base\n*.bias -> lr 2 * base\n",
        "still": "** -> lr 1e-3\n",
    }.items():
        (tmp_path / f"{name}.lr").write_text(text)
    return [tmp_path / f"{name}.lr" for name in ("plain", "other", "still")]


def _rate(rules: layerlr.Rules) -> float:
    return float(rules.checked.lets.worth("base", False)) if "base" in rules.checked.lets else 1e-3  # type: ignore[arg-type]


def _merit(rules: layerlr.Rules, seed: int) -> float:
    """A parabola over the rate, a little noise by seed."""
    return 1 - (math.log10(_rate(rules)) - PEAK) ** 2 / 10 + 0.001 * (seed % 3)


class Loop:
    """Trains nothing and scores as `_merit` says; remembers what it was called with."""

    def __init__(self, merit: Callable[[layerlr.Rules, int], float] = _merit) -> None:
        self.merit = merit
        self.calls: list[tuple[str, float, int]] = []
        self.steps: list[int] = []

    def __call__(self, rules: layerlr.Rules, report: Report) -> None:
        self.calls.append((Path(rules.checked.source.name).stem, _rate(rules), report.seed))
        self.steps.append(0)
        for epoch in range(1, EPOCHS + 1):
            self.steps[-1] = epoch
            report(self.merit(rules, report.seed) * epoch / EPOCHS, epoch)


def _tried(loop: Loop) -> Counter[str]:
    return Counter(name for name, _, seed in loop.calls if seed == 0)


def test_every_file_gets_the_same_number_of_trials_and_one_where_nothing_is_searched(
    files: list[Path],
) -> None:
    """And each finalist every seed, the first file among them."""
    loop = Loop()
    outcome = layerlr.tune(loop, files, lets={"base": "1e-5..1e-1 log"}, trials=6, seeds=3, finalists=2)
    assert _tried(loop) == {"plain": 6, "other": 6, "still": 1}
    finals = Counter((name, seed) for name, _, seed in loop.calls if seed)
    assert {seed for _, seed in finals} == {1, 2, 3}
    assert Counter(name for name, _ in finals)["plain"] == 3
    assert len(finals) == 6
    assert outcome.winner is outcome.baseline
    assert _rate(outcome.baseline.rules) == 1e-3


@pytest.mark.parametrize("value", ['"cosine"', "true", "(0.9, 0.99)"])
def test_a_range_over_what_is_no_number_is_refused(files: list[Path], value: str) -> None:
    """Before anything is trained, with the place of the `let`; one value may still be given."""
    files[1].write_text(f"let base = 1e-3\nlet word = {value}\n** -> lr base\n")
    loop = Loop()
    with pytest.raises(RunnerError, match=r"other\.lr:2: `word` is .* which no number") as refused:
        layerlr.tune(loop, files[:2], lets={"word": "1..2"}, trials=2, seeds=2)
    assert f"word={value}" in str(refused.value.help)
    assert loop.calls == []
    layerlr.tune(loop, files[:2], lets={"word": value}, trials=1, seeds=2)
    assert loop.calls


def test_a_range_over_a_let_that_moves_is_searched(files: list[Path]) -> None:
    """It has no value yet, and a constant may take its place."""
    files[0].write_text("let base = 1e-3 * progress\n** -> lr base\n")
    outcome = layerlr.tune(Loop(), files[:1], lets={"base": "1e-4..1e-2 log"}, trials=2, seeds=2)
    assert len(outcome.baseline.trials) == 2


def test_a_file_may_be_called_as_a_part_of_the_search_is(files: list[Path]) -> None:
    """Its trials are not mixed up with those of the finalists."""
    named = {"finals": files[0], "lengths": files[1]}
    outcome = layerlr.tune(Loop(), named, lets={"base": "1e-4..1e-2 log"}, trials=2, seeds=2)
    assert [(len(one.trials), len(one.finals)) for one in outcome.standings] == [(2, 2), (2, 2)]


def test_a_file_with_a_comma_in_its_name_is_named_where_it_changed(files: list[Path], tmp_path: Path) -> None:
    """As every other is."""
    named = {"mine, v2": files[0], "other": files[1]}
    settings: dict[str, Any] = {"trials": 1, "seeds": 2, "storage": f"sqlite:///{tmp_path}/study.db"}
    layerlr.tune(Loop(), named, **settings)
    files[0].write_text("let base = 1e-2\n** -> lr base\n")
    with pytest.raises(RunnerError, match="the text of mine, v2, or what is searched in it"):
        layerlr.tune(Loop(), named, resume=True, **settings)


def test_a_grid_whose_best_lies_at_its_edge_is_widened(files: list[Path]) -> None:
    """The range was wrong by two powers of ten, and the best is found all the same."""
    loop = Loop()
    outcome = layerlr.tune(loop, files[:1], lets={"base": "1e-7..1e-5 log"}, trials=10, seeds=2)
    assert outcome.baseline.best is not None
    assert 1e-4 <= outcome.baseline.best.values["base"] <= 1e-2
    assert outcome.baseline.at_edge == ()


def test_a_best_at_the_edge_is_told_where_no_trials_are_left(files: list[Path]) -> None:
    """Three trials are the grid and nothing more."""
    outcome = layerlr.tune(Loop(), files[:1], lets={"base": "1e-7..1e-5 log"}, trials=3, seeds=2)
    assert outcome.baseline.at_edge == ("base",)
    assert "the best base lies at the edge of what was tried" in str(outcome)


def test_trials_that_do_worse_are_stopped_early_and_the_best_never(files: list[Path]) -> None:
    """Others are held against the first whole trial from a quarter of its length on."""
    loop = Loop()
    outcome = layerlr.tune(loop, files[:1], lets={"base": "1e-6..1 log"}, trials=5, seeds=2)
    states = [trial.state for trial in outcome.baseline.trials]
    assert states[0] == "complete"
    assert "pruned" in states
    assert all(2 <= steps <= EPOCHS for steps in loop.steps)
    assert outcome.baseline.best is not None
    assert outcome.baseline.best.values == {"base": 1e-3}


def test_a_setting_that_scores_no_number_is_told_and_does_not_end_the_search(files: list[Path]) -> None:
    """As a rate that is too high does."""
    loop = Loop(lambda rules, seed: math.nan if _rate(rules) > 0.05 else _merit(rules, seed))
    outcome = layerlr.tune(loop, files[:1], lets={"base": "1e-5..1e-1 log"}, trials=5, seeds=2)
    failed = [trial for trial in outcome.baseline.trials if trial.state == "failed"]
    assert [trial.values["base"] for trial in failed] == [0.1]
    assert "plain: 1 of 5 trials failed, the first with base 0.1 because the score at 1 is nan" in str(
        outcome
    )


@pytest.fixture
def divided(files: list[Path]) -> list[Path]:
    """The second file has no meaning where its `deep` is 0 or less."""
    files[1].write_text("let deep = 2\nlet base = 1e-3\n** -> lr base / deep\n")
    return files[:2]


def test_a_value_that_makes_the_rules_invalid_ends_that_trial_alone(divided: list[Path]) -> None:
    """It is told with its finding, and the other values and files go on."""
    told: list[str] = []
    lets = {"deep": "0..2"}
    outcome = layerlr.tune(Loop(), divided, lets=lets, trials=3, seeds=2, tell=told.append)
    other = outcome.standings[1]
    assert {t.values["deep"]: t.state for t in other.trials}[0] == "failed"
    assert other.best is not None
    assert any("other, deep 0: failed:" in line and "error[LR108]: division by zero" in line for line in told)
    assert "other: 1 of 3 trials failed, the first with deep 0 because" in str(outcome)


@pytest.mark.parametrize("how", [{"trials": 8}, {"budget": 60.0}])
def test_a_file_whose_first_values_all_fail_is_out(divided: list[Path], how: dict[str, Any]) -> None:
    """With its reason, and without trials for what is sampled among such values, however much time there is."""
    told: list[str] = []
    ranges = {"deep": "-4..0"}
    with pytest.raises(RunFailed, match=r"none of 5 trials came to a score; the first: .*LR107"):
        layerlr.tune(Loop(), divided[1:], lets=ranges, seeds=2, tell=told.append, **how)
    assert told[-1] == "other is out: every one of its trials failed"


def test_the_others_go_on_where_a_file_is_out(divided: list[Path]) -> None:
    """And have as many trials as were asked for."""
    ranges = {"deep": "-4..0", "base": "1e-4..1e-2 log"}
    divided[1].write_text("let deep = 2\n** -> lr 1e-3 / deep\n")
    outcome = layerlr.tune(Loop(), divided, lets=ranges, trials=6, seeds=2)
    assert [len(standing.trials) for standing in outcome.standings] == [6, 5]
    assert outcome.winner is outcome.baseline
    assert "other is out: 5 of 5 trials failed" in str(outcome)


def test_where_no_trial_scores_a_number_the_reason_is_told(files: list[Path]) -> None:
    """Status 1, as of a run that failed."""
    with pytest.raises(RunFailed, match="none of 2 trials came to a score; the first: the score at 1 is inf"):
        layerlr.tune(Loop(lambda rules, seed: math.inf), files[:1], lets={"base": "1..2"}, trials=2)


def test_ctrl_c_loses_nothing_and_the_interrupted_values_are_tried_again(
    files: list[Path], tmp_path: Path
) -> None:
    """What was done before is not done twice."""
    url = f"sqlite:///{tmp_path}/study.db"
    settings: dict[str, Any] = {"lets": {"base": "1e-5..1e-1 log"}, "trials": 5, "seeds": 2, "storage": url}
    loop = Loop()

    def interrupted(rules: layerlr.Rules, report: Report) -> None:
        if len(loop.calls) == 3:
            raise KeyboardInterrupt
        loop(rules, report)

    with pytest.raises(KeyboardInterrupt):
        layerlr.tune(interrupted, files[:2], **settings)
    with pytest.raises(RunnerError, match="holds a study called tune already"):
        layerlr.tune(loop, files[:2], **settings)
    layerlr.tune(loop, files[:2], **settings, resume=True)
    assert _tried(loop) == {"plain": 5, "other": 5}
    grid = {rate for name, rate, seed in loop.calls if name == "other" and not seed}
    assert grid == {1e-5, 1e-4, 1e-3, 1e-2, 1e-1}


def test_what_a_loop_raises_passes_and_the_trials_before_it_stay(files: list[Path], tmp_path: Path) -> None:
    """A fault of the user's own code is no score."""
    url = f"sqlite:///{tmp_path}/study.db"
    loop = Loop()

    def faulty(rules: layerlr.Rules, report: Report) -> None:
        if len(loop.calls) == 2:
            raise ZeroDivisionError
        loop(rules, report)

    settings: dict[str, Any] = {"lets": {"base": "1e-5..1e-1 log"}, "trials": 4, "seeds": 2, "storage": url}
    with pytest.raises(ZeroDivisionError):
        layerlr.tune(faulty, files[:1], **settings)
    outcome = layerlr.tune(loop, files[:1], **settings, resume=True)
    assert len(outcome.baseline.trials) == 4
    assert _tried(loop) == {"plain": 4}


def test_another_study_of_the_same_name_is_not_gone_on_with(files: list[Path], tmp_path: Path) -> None:
    """Its files were others, and what differs is named."""
    url = f"sqlite:///{tmp_path}/study.db"
    lets = {"base": "1e-5..1e-1 log"}
    layerlr.tune(Loop(), files[:1], lets=lets, trials=1, seeds=2, storage=url)
    files[0].write_text("let base = 1e-3\n** -> lr base / 2\n")
    settings: dict[str, Any] = {"lets": lets, "trials": 1, "seeds": 2, "storage": url, "resume": True}
    with pytest.raises(RunnerError, match="is another one: the text of plain, or what is searched in it"):
        layerlr.tune(Loop(), files[:1], **settings)
    with pytest.raises(RunnerError, match="is another one: it compares plain, not plain, other"):
        layerlr.tune(Loop(), files[:2], **settings)
    optuna.create_study(storage=url, study_name="mine")
    with pytest.raises(RunnerError, match="none of layerlr's"):
        layerlr.tune(Loop(), files[:1], lets=lets, storage=url, name="mine", resume=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_locked_storage_is_told_of(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the trials that are in it stay."""
    monkeypatch.setattr(storage, "LOCK_PATIENCE", 1.0)
    monkeypatch.setattr(storage, "HEARTBEAT", 1)
    monkeypatch.setattr(storage, "GRACE", 2)
    url = f"sqlite:///{tmp_path}/study.db"
    settings: dict[str, Any] = {"lets": {"base": "1e-5..1e-1 log"}, "trials": 3, "seeds": 2, "storage": url}
    holder: list[sqlite3.Connection] = []
    loop = Loop()

    def locking(rules: layerlr.Rules, report: Report) -> None:
        if len(loop.calls) == 1:
            holder.append(sqlite3.connect(tmp_path / "study.db"))
            holder[0].execute("begin exclusive")
        loop(rules, report)

    with pytest.raises(RunnerError, match="database is locked"):
        layerlr.tune(locking, files[:1], **settings)
    holder[0].close()
    outcome = layerlr.tune(loop, files[:1], **settings, resume=True)
    assert {trial.values["base"] for trial in outcome.baseline.trials} == {1e-3, 1e-5, 1e-1}
    assert [rate for _, rate, seed in loop.calls if not seed].count(1e-3) == 1
    assert outcome.baseline.interval is not None


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////no/such/folder/x.db", "postgres://nowhere/x"])
def test_an_address_that_is_none_is_refused(files: list[Path], url: str) -> None:
    """In a sentence, with an address that would do."""
    with pytest.raises(RunnerError, match="cannot be used") as refused:
        layerlr.tune(Loop(), files[:1], storage=url)
    assert refused.value.help is not None


@pytest.mark.parametrize("place", ["tune/plain", "tune/finals/"])
def test_a_process_that_died_before_its_first_sign_of_life_is_not_waited_for(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Optuna gives up only those that it has heard of; its trial is tried again."""
    monkeypatch.setattr(storage, "HEARTBEAT", 1)
    monkeypatch.setattr(storage, "GRACE", 1)
    url = f"sqlite:///{tmp_path}/study.db"
    settings: dict[str, Any] = {"lets": {"base": "1e-5..1e-1 log"}, "seeds": 2, "storage": url}
    layerlr.tune(Loop(), files[:1], **settings, trials=1)
    optuna.load_study(storage=url, study_name=place).ask()
    outcome = layerlr.tune(Loop(), files[:1], **{**settings, "seeds": 3}, trials=3, resume=True)
    assert len(outcome.baseline.trials) == 3
    assert len(outcome.baseline.finals) == 3


@pytest.mark.parametrize("late", [False, True])
def test_a_process_that_slept_goes_on_where_others_had_its_trial(
    files: list[Path], tmp_path: Path, late: bool
) -> None:
    """It is no fault: the trial counts as lost, and whoever is there tries it again."""
    url = f"sqlite:///{tmp_path}/study.db"
    loop, told = Loop(), []

    def sleeping(rules: layerlr.Rules, report: Report) -> None:
        def fails() -> None:
            optuna.load_study(storage=url, study_name="tune/plain").tell(0, state=TrialState.FAIL)

        first = not loop.calls
        if first and not late:
            fails()
        loop(rules, report)
        if first and late:
            fails()

    outcome = layerlr.tune(
        sleeping, files[:1], lets={"base": "1e-5..1e-1 log"}, trials=3, seeds=2, storage=url, tell=told.append
    )
    assert {trial.values["base"] for trial in outcome.baseline.trials} == {1e-3, 1e-5, 1e-1}
    assert any("no life" in line for line in told)


def _work(files: list[Path], url: str, resume: bool, queue: Any) -> None:
    loop = Loop()

    def slow(rules: layerlr.Rules, report: Report) -> None:
        time.sleep(0.02)
        loop(rules, report)

    settings: dict[str, Any] = {"lets": {"base": "1e-5..1e-1 log"}, "trials": 6, "seeds": 3}
    outcome = layerlr.tune(slow, files[:2], **settings, storage=url, resume=resume)
    queue.put((loop.calls, str(outcome.winner and outcome.winner.arm.name)))


def test_several_processes_share_one_search(files: list[Path], tmp_path: Path) -> None:
    """Each file gets its trials and each finalist its seeds once, whoever does them."""
    url = f"sqlite:///{tmp_path}/study.db"
    begun = Loop()
    layerlr.tune(begun, files[:2], lets={"base": "1e-5..1e-1 log"}, trials=1, seeds=0, storage=url)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_work, args=(files, url, True, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    results = [queue.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    calls = [call for done, _ in results for call in done]
    assert all(done for done, _ in results)
    searched = Counter(name for name, _, seed in calls if not seed)
    assert searched == {name: 6 - _tried(begun)[name] for name in ("plain", "other")}
    assert {(name, seed) for name, _, seed in calls if seed} == {
        (name, seed) for name in ("plain", "other") for seed in (1, 2, 3)
    }
    assert len({winner for _, winner in results}) == 1


def test_a_budget_is_kept(files: list[Path]) -> None:
    """Within a tenth; every file has as many trials as the others, and the finalists some seeds."""

    def slow(rules: layerlr.Rules, report: Report) -> None:
        for epoch in range(1, EPOCHS + 1):
            time.sleep(0.01)
            report(_merit(rules, report.seed) * epoch / EPOCHS, epoch)

    began = time.monotonic()
    outcome = layerlr.tune(slow, files[:2], lets={"base": "1e-5..1e-1 log"}, budget="4s", seeds=50)
    assert time.monotonic() - began < 4.4
    assert len({len(standing.trials) for standing in outcome.standings}) == 1
    assert len(outcome.baseline.finals) >= 2
    assert outcome.cut_short


def test_a_budget_too_small_for_one_trial_is_told(files: list[Path]) -> None:
    """Status 2, in about the time of the budget."""

    def slow(rules: layerlr.Rules, report: Report) -> None:
        for epoch in range(1, 1000):
            time.sleep(0.02)
            report(0.0, epoch)

    with pytest.raises(RunnerError, match="is too small for one trial") as refused:
        layerlr.tune(slow, files[:1], lets={"base": "1e-5..1e-1 log"}, budget=0.3)
    assert refused.value.status == 2


@pytest.mark.parametrize(
    ("lets", "message"),
    [
        ({"bose": "1e-5..1e-1 log"}, "no file has a `let` called `bose`"),
        ({"base": "1e-5..x"}, "is not a number"),
        ({"base": "quick"}, "neither a range nor a constant"),
    ],
)
def test_a_let_that_cannot_be_is_refused_before_anything_runs(
    files: list[Path], lets: dict[str, object], message: str
) -> None:
    """Unknown names get the near one."""
    loop = Loop()
    with pytest.raises(RunnerError, match=message):
        layerlr.tune(loop, files, lets=lets)
    assert not loop.calls


def test_the_winner_is_written_with_its_values_and_evidence(files: list[Path], tmp_path: Path) -> None:
    """It is read back as the rules that won."""
    outcome = layerlr.tune(Loop(), files[:2], lets={"base": "1e-4..1e-1 log"}, trials=4, seeds=3)
    outcome.write(tmp_path / "best" / "best.lr")
    text = (tmp_path / "best" / "best.lr").read_text()
    assert text.startswith("# Found by `layerlr tune`:")
    assert "nothing beats plain" in text
    assert outcome.baseline.best is not None
    assert _rate(layerlr.load(tmp_path / "best" / "best.lr")) == pytest.approx(
        outcome.baseline.best.values["base"], rel=1e-3
    )


def test_a_report_counts_its_calls_where_no_step_is_given(files: list[Path]) -> None:
    """As a loop does that reports once an epoch."""
    seen: list[int] = []

    class Counting(Report):
        def _note(self, trial: optuna.Trial, value: float, step: int) -> None:
            seen.append(step)

    report = Counting(0, lambda: 1.0, object())  # type: ignore[arg-type]
    report(0.5)
    report(0.6)
    report(0.7, 10)
    report(0.8)
    assert seen == [1, 2, 10, 11]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("good", 1), "report(score, step) takes numbers; the score is 'good'"),
        ((None,), "report(score, step) takes numbers; the score is None"),
        ((0.5, "first"), "report(score, step) takes numbers; the step is 'first'"),
        ((torch.zeros(2), 1), "the score is tensor([0., 0.])"),
    ],
)
def test_what_is_no_number_is_told_by_what_it_is(
    files: list[Path], given: tuple[Any, ...], told: str
) -> None:
    """A fault of the loop: it ends the search with a sentence."""

    def train(rules: layerlr.Rules, report: Report) -> None:
        report(*given)

    with pytest.raises(TypeError, match=re.escape(told)):
        layerlr.tune(train, files[:1])
