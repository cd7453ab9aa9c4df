"""The comparison for a training loop of one's own: `layerlr.tune(train, rules)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from os import PathLike, fspath
from pathlib import Path

from layerlr_dsl.api import Rules
from layerlr_dsl.language.files import RECIPE, recipe_path
from layerlr_dsl.language.lets import literal
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.tuning.arms import Arm, Candidate, arms_of
from layerlr_dsl.tuning.budget import Budget
from layerlr_dsl.tuning.budget import parse as seconds_of
from layerlr_dsl.tuning.outcome import Outcome, Scored
from layerlr_dsl.tuning.ranges import HELP, Range, is_range, parse
from layerlr_dsl.tuning.report import NotFinite, Report
from layerlr_dsl.tuning.results import report_lines, write_best
from layerlr_dsl.tuning.search import Search
from layerlr_dsl.tuning.trials import Settings

File = str | PathLike[str]
OwnTrain = Callable[[Rules, Report], float | None]
"""Trains by some rules with `report.seed`, reports `report(score, step)` as it goes, may return the last score."""


class Comparison(Outcome):
    """What came of it, to be printed and written."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(report_lines(self))

    def write(self, path: str | PathLike[str]) -> None:
        """Write the winner as a rule file with the evidence in its comments. Raises RunnerError."""
        write_best(self, Path(path))


def tune(
    train: OwnTrain,
    rules: Sequence[File] | Mapping[str, File],
    *,
    lets: Mapping[str, object] | None = None,
    trials: int | None = None,
    seeds: int = 5,
    finalists: int = 3,
    budget: float | str | None = None,
    metric: str = "score",
    rising: bool = True,
    seed: int = 0,
    storage: str | None = None,
    name: str = "tune",
    resume: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Which of some rule files, and which values of their `let`s, train best in a loop of your own.

    train: called with the rules of a trial and a `report`; validation scores go into `report(score, step)`,
        step counted from 1, which raises where the trial is not worth going on with: let that pass. The
        score is what `train` returns, or the last one reported. `report.seed` is for splits and all chance.
    rules: paths of files, or `recipe:NAME`; the first is what the others must beat. A mapping names them.
    lets: ranges such as `{"base": "1e-5..1e-2 log"}`, or constants, for the files that have such a `let`.
    trials: for each file that something is searched in; 8, or with a budget as many as fit.
    seeds, finalists: how many of the best files are run with how many further seeds.
    budget: wall time for everything, in seconds or as `"10m"`; kept where `train` reports often.
    rising: whether more of the score is better.
    storage: address of an Optuna storage, in which the trials outlive the process and several processes
        may work; `resume` goes on with the study `name` in it.
    Raises RunnerError for what cannot be used and where no trial came to a score, RuleError for faulty
    files; whatever `train` raises passes, and the trials done stay in the storage.
    """
    seconds = seconds_of(budget) if isinstance(budget, str) else budget
    arms = _arms(rules, lets or {})
    many = trials if trials is not None or seconds is not None else 8
    settings = Settings(
        name, many, seeds, finalists, seed, metric, rising, resume=resume, where=storage or "memory"
    )
    outcome = Search(arms, _Own(train), settings, Budget(seconds), storage, tell).run()
    return Comparison(*(getattr(outcome, field.name) for field in fields(outcome)))


class _Own:
    def __init__(self, train: OwnTrain) -> None:
        self._train = train

    def __call__(self, candidate: Candidate, report: Report) -> Scored:
        clock = Budget(None)
        value = self._train(candidate.arm.load(candidate.values), report)
        last = report.last if value is None else value
        if last is None:
            raise NotFinite("train neither reported nor returned a score")
        return Scored(float(last), None, clock.gone)


def _arms(rules: Sequence[File] | Mapping[str, File], lets: Mapping[str, object]) -> list[Arm]:
    files = dict(rules) if isinstance(rules, Mapping) else {Path(fspath(file)).stem: file for file in rules}
    if not files or len(files) < len(rules):
        raise RunnerError("give one rule file or more, each of a name of its own", "a mapping names them")
    ranges = {name: _range(name, value) for name, value in lets.items() if _searched(value)}
    fixed = {name: _constant(name, value) for name, value in lets.items() if name not in ranges}
    return arms_of({name: _path(file) for name, file in files.items()}, ranges, fixed, None)


def _path(file: File) -> Path:
    name = fspath(file)
    return recipe_path(name.removeprefix(RECIPE)) if name.startswith(RECIPE) else Path(name)


def _searched(value: object) -> bool:
    return isinstance(value, Range) or (isinstance(value, str) and is_range(f"={value}"))


def _range(name: str, value: object) -> Range:
    return value if isinstance(value, Range) else parse(f"{name}={value}")[1]


def _constant(name: str, value: object) -> object:
    """A constant, which may be written as in a file."""
    found = literal(value) if isinstance(value, str) else value
    if found is None:
        raise RunnerError(f"{name}={value} is neither a range nor a constant", HELP)
    return found
