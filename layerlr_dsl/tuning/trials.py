"""The trials of a search: each arm's in a study of Optuna's, all in one storage that any number of processes share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from layerlr_dsl.language.diagnostics import RuleError
from layerlr_dsl.runner.errors import DataFault, Diverged, RunFailed, Unfit
from layerlr_dsl.runner.interrupts import Interrupts
from layerlr_dsl.tools.printable import first_line
from layerlr_dsl.tuning import storage as storages
from layerlr_dsl.tuning.arms import Candidate
from layerlr_dsl.tuning.budget import Budget
from layerlr_dsl.tuning.outcome import Scored, Trial, score_text
from layerlr_dsl.tuning.report import NotFinite, OutOfTime, Pruned, Report

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

Train = Callable[[Candidate, Report], Scored]
"""Trains a candidate, reporting as it goes. Raises RunFailed, Unfit or RuleError where this setting cannot be trained."""
FAILURES = (RunFailed, NotFinite, Unfit, RuleError)
"""What ends one trial and not the search, as other values may do; only of the data they would all say the same."""
LOWER = "lower rates may help: search further down, as by a range of 1e-6..1e-4 log"
POLL = 0.5


class Surplus(Exception):
    """Another process has begun the last trial that was to be had."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is tried. `trials` are for each arm, None for as many as the budget allows.

    `facts` must be the same in every process, and when the search is resumed; `where` names the storage.
    """

    name: str = "tune"
    trials: int | None = 8
    seeds: int = 5
    finalists: int = 3
    seed: int = 0
    metric: str = "score"
    rising: bool = True
    share: bool = False
    resume: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    where: str = "the storage"


class Trials:
    """What was tried under each of `names`, and one trial more.

    All that is decided follows from what is in the storage at `url`, so that any process may die. `cut_short`
    says that the budget ended in mid-trial.
    """

    def __init__(
        self,
        train: Train,
        settings: Settings,
        budget: Budget,
        url: str | None,
        tell: Callable[[str], None],
    ) -> None:
        storages.engine()
        self._train = train
        self._settings = settings
        self._budget = budget
        self._url = url
        self._tell = tell
        self.cut_short = False
        self.interrupts = Interrupts()
        """A signal is noted, and heeded between two steps: the storage must not be left in half a sentence, nor half made."""
        self._awaited: set[int] = set()
        self._raised: list[Exception] = []
        """What the training itself raised, which is no fault of the storage."""
        with self.interrupts:
            self._storage = storages.opened(url)
        self._studies: dict[str, optuna.Study] = {}

    def open(self, names: Iterable[str], facts: Mapping[str, str]) -> None:
        """Make the studies, or join them. Raises RunnerError where those that are there are about something else."""
        settings = self._settings
        with storages.faults(self._url), storages.quietly(), self.interrupts:
            storages.claimed(
                self._storage, settings.name, facts, resume=settings.resume, where=settings.where
            )
            self._studies = {name: self._study(name) for name in names}

    def _study(self, name: str) -> optuna.Study:
        import optuna

        return optuna.create_study(
            storage=self._storage,
            study_name=f"{self._settings.name}/{name}",
            direction="maximize" if self._settings.rising else "minimize",
            load_if_exists=True,
        )

    def agreed(self, name: str, find: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
        """Numbers that all processes go by: as `find` gives them in the one that comes first."""
        with storages.faults(self._url), storages.quietly(), self.interrupts:
            found = storages.agreed(self._storage, f"{self._settings.name}/{name}", find)
            self.heed()
        return found

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Signals wait for the end of a step, and faults of the storage are told in words."""
        with storages.faults(self._url, self._raised.__contains__), storages.quietly(), self.interrupts:
            yield

    # ------------------------------------------------------------ what there is

    def of(self, name: str) -> list[FrozenTrial]:
        return self._studies[name].get_trials(deepcopy=False)

    def running(self, names: Iterable[str]) -> list[FrozenTrial]:
        """What some process has in hand."""
        return [t for name in names for t in self.of(name) if t.state.name == "RUNNING"]

    def give_up_the_dead(self, names: Iterable[str]) -> None:
        """Count the trials of processes that show no life as lost."""
        import optuna

        if self._url is not None:
            for name in names:
                optuna.storages.fail_stale_trials(self._studies[name])

    def wait(self, names: Iterable[str]) -> None:
        """For what other processes have in hand, a moment.

        One that died before its first sign of life would never be missed: it is given one here, to be silent after.
        """
        for trial in self.running(names):
            if trial._trial_id not in self._awaited:
                self._awaited.add(trial._trial_id)
                storages.sign_of_life(self._storage, trial)
        time.sleep(POLL)

    def heed(self) -> None:
        """Raises KeyboardInterrupt where a signal came."""
        if self.interrupts.asked:
            raise KeyboardInterrupt

    # ------------------------------------------------------------ one more

    def add(
        self,
        name: str,
        objective: Callable[[optuna.Trial], float],
        sampler: BaseSampler,
        pruner: optuna.pruners.BasePruner,
    ) -> None:
        """One trial. One that showed no life for a while, as in a machine's sleep, is left to who took it over."""
        study, taken_over = self._studies[name], False
        study.sampler, study.pruner = sampler, pruner

        def watched(trial: optuna.Trial) -> float:
            nonlocal taken_over
            try:
                return objective(trial)
            finally:
                taken_over = study.get_trials(deepcopy=False)[trial.number].state.is_finished()

        try:
            study.optimize(watched, n_trials=1)
        except Surplus:
            pass
        except OutOfTime:
            self.cut_short = self._budget.left() <= 0
        except (ValueError, AssertionError):  # by Optuna, of a trial that is over
            if not taken_over:
                raise
            self._tell("this process showed no life for a while: others had its trial meanwhile")

    def surplus(self, trial: optuna.Trial) -> Surplus:
        """What to raise where the last trial is another process's already."""
        trial.set_user_attr("left_out", "another process had begun the last one")
        return Surplus()

    def report(self, seed: int, trial: optuna.Trial | None = None) -> Report:
        """What the training of a trial tells of itself to; one without `trial` is never pruned."""
        return Report(seed, self._left, trial)

    def _left(self) -> float:
        self.heed()
        return self._budget.left()

    def score(self, candidate: Candidate, report: Report, trial: optuna.Trial, label: str) -> float:
        """Train, and note in the trial what came of it; what cannot be trained scores no number."""
        import optuna

        began = self._budget.gone
        try:
            scored = self._train(candidate, report)
            if not math.isfinite(scored.value):
                raise NotFinite(f"its {self._settings.metric} is {scored.value}")
        except Pruned:
            self._tell(f"{label}: stopped early")
            raise optuna.TrialPruned from None
        except OutOfTime:
            trial.set_user_attr("left_out", "the budget was used up")
            raise
        except Exception as fault:
            return self._failed(fault, trial, label)
        finally:
            trial.set_user_attr("seconds", self._budget.gone - began)
        return self._done(scored, trial, label)

    def _failed(self, fault: Exception, trial: optuna.Trial, label: str) -> float:
        """Note why a trial has no score; what is no fault of its values is raised again."""
        if not isinstance(fault, FAILURES) or isinstance(fault, DataFault):
            self._raised.append(fault)
            raise fault
        trial.set_user_attr("why", _why(fault))
        trial.set_user_attr("help", _help(fault))
        self._tell(f"{label}: failed: {_why(fault)}")
        return math.nan

    def _done(self, scored: Scored, trial: optuna.Trial, label: str) -> float:
        trial.set_user_attr("scored", asdict(scored))
        value = score_text(scored.value, self._settings.share)
        self._tell(f"{label}: {self._settings.metric} {value} in {scored.seconds:.0f} s")
        return scored.value


def _why(fault: Exception) -> str:
    """The reason of a failure in one line; of findings the first error, with its place."""
    return first_line(fault) if isinstance(fault, RuleError) else str(getattr(fault, "message", fault))


def _help(fault: Exception) -> str | None:
    """What may help against a failure."""
    if isinstance(fault, (Diverged, NotFinite)):
        return LOWER
    said = fault.decisive[0] if isinstance(fault, RuleError) else fault
    return getattr(said, "help", None)


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that an arm has had, or has in hand."""
    return [
        t for t in trials if t.state.name != "WAITING" and "left_out" not in t.user_attrs and not is_lost(t)
    ]


def is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial ended with its process, or was interrupted: its values are to be tried again."""
    return trial.state.name == "FAIL" and not trial.user_attrs.keys() & {"why", "left_out"}


def shown(trial: FrozenTrial) -> Trial:
    """A trial of Optuna's as results show it."""
    state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
    scored = trial.user_attrs.get("scored")
    return Trial(
        dict(trial.params),
        state,
        None if scored is None else Scored(**scored),
        dict(trial.intermediate_values),
        trial.user_attrs.get("why"),
    )
