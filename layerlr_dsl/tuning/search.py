"""The search: trials for each arm in turn, then the finalists over several seeds.

Each arm is a study of Optuna's, so that its values are sampled and its trials pruned among their like:
a file that thaws late must not be judged by how another one starts. All that is decided follows from what
is in the storage, so that any number of processes can work on one search, and any of them may die.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner.errors import RunFailed, RunnerError
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tuning import storage as storages
from layerlr_dsl.tuning.arms import Arm, Candidate, digest
from layerlr_dsl.tuning.budget import SEARCH, Budget
from layerlr_dsl.tuning.outcome import Outcome, Scored, Standing, Trial, best_of, score_text
from layerlr_dsl.tuning.report import NotFinite, OutOfTime, Pruned, Report

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

Train = Callable[[Candidate, Report], Scored]
"""Trains a candidate, reporting as it goes. Raises RunFailed where this setting cannot be trained."""

GRID = 5
RUNGS = 4
"""A trial is first held against others after this part of its length."""
POLL = 0.5
FINALS = "finals"


class _Surplus(Exception):
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


class Search:
    """Trials of `arms`, the first of which the others must beat. `tell` hears what is going on."""

    def __init__(
        self,
        arms: Sequence[Arm],
        train: Train,
        settings: Settings,
        budget: Budget,
        url: str | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        storages.engine()
        self._arms = {arm.name: arm for arm in arms}
        self._train = train
        self._settings = settings
        self._budget = budget
        self._url = url
        self._tell = tell
        self._cut_short = False
        self._storage = storages.opened(url)
        facts = {**settings.facts, "files": ", ".join(f"{arm.name} {digest(arm)}" for arm in arms)}
        facts["seed"] = str(settings.seed)
        with storages.faults(url):
            storages.claimed(
                self._storage, settings.name, facts, resume=settings.resume, where=settings.where
            )
            self._studies = {name: self._study(name) for name in [*self._arms, FINALS]}

    def _study(self, name: str) -> optuna.Study:
        import optuna

        return optuna.create_study(
            storage=self._storage,
            study_name=f"{self._settings.name}/{name}",
            direction="maximize" if self._settings.rising else "minimize",
            load_if_exists=True,
        )

    def run(self) -> Outcome:
        """Search, then compare the finalists over seeds. Raises RunnerError; KeyboardInterrupt passes."""
        with storages.faults(self._url), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._search()
            self._compare_finalists()
        return self.outcome()

    # ------------------------------------------------------------ the search

    def _search(self) -> None:
        while not self._cut_short:
            arm = self._next_arm()
            if arm is None:
                if not self._others_at_work(self._arms):
                    break
                time.sleep(POLL)
            elif not self._time_for(arm):
                break
            else:
                self._try(arm)
        self._refuse_hopeless()

    def _next_arm(self) -> Arm | None:
        """The arm with the fewest trials of those that have some to come."""
        counts = {name: len(_counted(self._trials(name))) for name in self._arms}
        still = [name for name in self._arms if counts[name] < self._limit(self._arms[name])]
        return self._arms[min(still, key=lambda name: counts[name])] if still else None

    def _limit(self, arm: Arm) -> float:
        """How many trials an arm gets: one where there is nothing to search in it."""
        wanted = math.inf if self._settings.trials is None else self._settings.trials
        return wanted if arm.ranges else 1

    def _time_for(self, arm: Arm) -> bool:
        """Whether the time of the search has room for this trial, or for a whole round that begins with it."""
        if self._budget.seconds is None:
            return True
        spans = {name: self._span(name) for name in self._arms}
        known = [span for span in spans.values() if span is not None]
        if not known:
            return True
        usual = median(known)
        if spans[arm.name] is None:  # each arm is to be trained once, whatever the share of the search
            return usual <= self._budget.left()
        counts = [len(_counted(self._trials(name))) for name, one in self._arms.items() if one.ranges]
        begins = len(set(counts)) <= 1
        needed = sum(span or usual for name, span in spans.items() if self._arms[name].ranges)
        return (needed if begins else spans[arm.name] or usual) <= self._budget.left(SEARCH)

    def _span(self, name: str) -> float | None:
        """How long a trial of an arm takes."""
        seconds = [
            t.duration.total_seconds()
            for t in self._trials(name)
            if t.duration and t.state.name in ("COMPLETE", "PRUNED")
        ]
        return max(seconds, default=None)

    def _others_at_work(self, names: Mapping[str, object] | Sequence[str]) -> bool:
        """Whether another process has a trial in hand; one that shows no life is given up."""
        import optuna

        if self._url is not None:
            for name in names:
                optuna.storages.fail_stale_trials(self._studies[name])
        return any(t.state.name == "RUNNING" for name in names for t in self._trials(name))

    def _try(self, arm: Arm) -> None:
        """One more trial of an arm."""
        import optuna

        study, trials = self._studies[arm.name], self._trials(arm.name)
        planned = self._planned(arm, trials)
        if planned is not None:
            values, noted = planned
            study.enqueue_trial(values, {**noted, "planned": values})
        startup = min(GRID, self._settings.trials or GRID)
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=startup, seed=self._settings.seed * 7919 + len(trials)
        )
        study.pruner = _pruner(trials)
        with suppress(_Surplus):
            self._optimize(study, lambda trial: self._objective(arm, trial))

    def _optimize(self, study: optuna.Study, objective: Callable[[optuna.Trial], float]) -> None:
        try:
            study.optimize(objective, n_trials=1)
        except OutOfTime:
            self._cut_short = True

    def _planned(
        self, arm: Arm, trials: Sequence[FrozenTrial]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The values to try next, with what is noted of them; None to leave them to the sampler."""
        if any(t.state.name == "WAITING" for t in trials):
            return None
        again = {t.user_attrs.get("again") for t in trials}
        for lost in trials:
            if _is_lost(lost) and lost.number not in again and lost.params:
                return dict(lost.params), {"again": lost.number}
        tried = [t.params for t in trials if t.params]
        for values in _first_values(arm, self._grid(arm)):
            if values not in tried:
                return values, {}
        wider = self._wider(arm, trials)
        return None if wider is None or wider in tried else (wider, {})

    def _grid(self, arm: Arm) -> int:
        return min(GRID, self._settings.trials or GRID) if len(arm.ranges) == 1 else GRID

    def _wider(self, arm: Arm, trials: Sequence[FrozenTrial]) -> dict[str, float] | None:
        """The best values so far with one of them moved beyond the edge at which it lies."""
        best = best_of([_trial(t) for t in trials], self._settings.rising)
        for name in self._at_edge(arm, trials, best) if best is not None else ():
            assert best is not None
            tried = [t.params[name] for t in trials if name in t.params]
            beyond = arm.ranges[name].beyond(best.values[name], self._grid(arm), tried)
            if beyond is not None:
                return {**best.values, name: beyond}
        return None

    def _at_edge(self, arm: Arm, trials: Sequence[FrozenTrial], best: Trial | None) -> tuple[str, ...]:
        if best is None:
            return ()
        tried = {name: [t.params[name] for t in trials if name in t.params] for name in arm.ranges}
        return tuple(
            name
            for name, found in arm.ranges.items()
            if name in best.values
            and found.beyond(best.values[name], self._grid(arm), tried[name]) is not None
        )

    def _objective(self, arm: Arm, trial: optuna.Trial) -> float:
        trials = self._trials(arm.name)
        if len([t for t in _counted(trials) if t.number < trial.number]) >= self._limit(arm):
            trial.set_user_attr("left_out", "another process had begun the last one")
            raise _Surplus
        values = {name: _suggested(trial, name, arm, trials) for name in arm.ranges}
        label = ", ".join([arm.name, *(f"{name} {spelled(value, 3)}" for name, value in values.items())])
        untried = not any(t.state.name == "COMPLETE" for t in trials)
        report = Report(self._settings.seed, lambda: self._budget.left(1.0 if untried else SEARCH), trial)
        return self._score(Candidate(arm, values, self._settings.seed), report, trial, label)

    def _score(self, candidate: Candidate, report: Report, trial: optuna.Trial, label: str) -> float:
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
            trial.set_user_attr("seconds", self._budget.gone - began)
            raise
        except (RunFailed, NotFinite) as fault:
            why = str(getattr(fault, "message", fault))
            trial.set_user_attr("why", why)
            self._tell(f"{label}: failed: {why}")
            return math.nan
        trial.set_user_attr("scored", asdict(scored))
        self._tell(
            f"{label}: {self._settings.metric} {score_text(scored.value, self._settings.share)} in {scored.seconds:.0f} s"
        )
        return scored.value

    def _refuse_hopeless(self) -> None:
        """Raises RunnerError where no trial of any arm came to its end, with the reason."""
        trials = [t for name in self._arms for t in self._trials(name)]
        if any(t.state.name == "COMPLETE" for t in trials):
            return
        whys = [t.user_attrs["why"] for t in trials if "why" in t.user_attrs]
        if whys:
            raise RunFailed(
                f"none of {len(whys)} trials came to a score; the first: {whys[0]}",
                "see by `layerlr train` with one of the files what goes wrong; lower rates may help",
            )
        raise RunnerError(
            f"the budget of {self._budget.seconds or 0:.0f} s is too small for one trial",
            "give a larger --budget, or shorter trials by --epochs or --steps",
        )

    # ------------------------------------------------------------ the finalists

    def _compare_finalists(self) -> None:
        finalists = self._finalists()
        seeds = range(self._settings.seed + 1, self._settings.seed + 1 + self._settings.seeds)
        while not self._cut_short:
            missing = self._missing(finalists, seeds)
            if not missing:
                if not self._others_at_work([FINALS]):
                    return
                time.sleep(POLL)
            elif self._round_fits(missing, finalists):
                self._run_final(*missing[0], finalists)
            else:
                self._cut_short = True

    def _finalists(self) -> dict[str, Trial]:
        """The best setting of the first arm and of those that did best in the search."""
        sign = -1 if self._settings.rising else 1
        best = {
            name: best_of(list(map(_trial, self._trials(name))), self._settings.rising) for name in self._arms
        }
        done = {name: trial for name, trial in best.items() if trial is not None and trial.scored is not None}
        first = next(iter(self._arms))
        others = sorted(
            (name for name in done if name != first),
            key=lambda name: sign * done[name].scored.value,  # type: ignore[union-attr]
        )
        room = self._settings.finalists - (first in done)
        return {name: done[name] for name in [*([first] if first in done else []), *others[:room]]}

    def _missing(self, finalists: Mapping[str, Trial], seeds: Sequence[int]) -> list[tuple[str, int]]:
        """What is to be trained yet, seed by seed, so that whatever is done can be compared in pairs."""
        begun = {
            (t.params["arm"], t.params["seed"])
            for t in self._trials(FINALS)
            if t.params.keys() >= {"arm", "seed"}
            and not _is_lost(t)
            and "left_out" not in t.user_attrs
            and t.user_attrs.get("values") == dict(finalists[t.params["arm"]].values)
            if t.params["arm"] in finalists
        }
        return [(name, seed) for seed in seeds for name in finalists if (name, seed) not in begun]

    def _round_fits(self, missing: Sequence[tuple[str, int]], finalists: Mapping[str, Trial]) -> bool:
        """Whether the time left has room for what is missing of this seed."""
        needed = 0.0
        for name, seed in missing:
            scored = finalists[name].scored
            needed += scored.seconds if scored is not None and seed == missing[0][1] else 0.0
        return needed <= self._budget.left()

    def _run_final(self, name: str, seed: int, finalists: Mapping[str, Trial]) -> None:
        import optuna

        values = dict(finalists[name].values)
        study = self._studies[FINALS]
        study.sampler, study.pruner = optuna.samplers.RandomSampler(seed=0), optuna.pruners.NopPruner()
        study.enqueue_trial({"arm": name, "seed": seed}, {"values": values})

        def objective(trial: optuna.Trial) -> float:
            arm = self._arms[trial.suggest_categorical("arm", list(self._arms))]
            chosen = trial.suggest_int("seed", 0, 2**31)
            trial.set_user_attr("values", values)
            report = Report(chosen, self._budget.left)
            return self._score(Candidate(arm, values, chosen), report, trial, f"{arm.name}, seed {chosen}")

        self._optimize(study, objective)

    # ------------------------------------------------------------ what came of it

    def outcome(self) -> Outcome:
        """What the trials in the storage show, finished or not."""
        finalists = self._finalists()
        return Outcome(
            tuple(self._standing(arm, finalists) for arm in self._arms.values()),
            self._settings.metric,
            self._settings.rising,
            self._settings.share,
            self._budget.gone,
            self._cut_short,
        )

    def _standing(self, arm: Arm, finalists: Mapping[str, Trial]) -> Standing:
        trials = self._trials(arm.name)
        shown = [_trial(t) for t in _counted(trials) if t.state.name != "RUNNING"]
        best = finalists.get(arm.name) or best_of(shown, self._settings.rising)
        return Standing(
            arm,
            tuple(shown),
            best,
            self._finals(arm, best) if arm.name in finalists else {},
            self._at_edge(arm, trials, best),
        )

    def _finals(self, arm: Arm, best: Trial | None) -> dict[int, Scored]:
        return {
            t.params["seed"]: Scored(**t.user_attrs["scored"])
            for t in self._trials(FINALS)
            if t.state.name == "COMPLETE"
            and t.params["arm"] == arm.name
            and best is not None
            and t.user_attrs.get("values") == dict(best.values)
        }

    def _trials(self, name: str) -> list[FrozenTrial]:
        return self._studies[name].get_trials(deepcopy=False)


def _counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that an arm has had, or has in hand."""
    return [
        t for t in trials if t.state.name != "WAITING" and "left_out" not in t.user_attrs and not _is_lost(t)
    ]


def _is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial ended with its process, or was interrupted: its values are to be tried again."""
    return trial.state.name == "FAIL" and not trial.user_attrs.keys() & {"why", "left_out"}


def _trial(trial: FrozenTrial) -> Trial:
    state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
    scored = trial.user_attrs.get("scored")
    return Trial(
        dict(trial.params),
        state,
        None if scored is None else Scored(**scored),
        dict(trial.intermediate_values),
        trial.user_attrs.get("why"),
    )


def _first_values(arm: Arm, count: int) -> list[dict[str, float]]:
    """What is tried before anything is known: a grid over one range, the middle of several."""
    if not arm.ranges:
        return []
    if len(arm.ranges) > 1:
        return [{name: found.points(1)[0] for name, found in arm.ranges.items()}]
    ((name, found),) = arm.ranges.items()
    return [{name: point} for point in found.points(count)]


def _suggested(trial: optuna.Trial, name: str, arm: Arm, trials: Sequence[FrozenTrial]) -> float:
    """The value that the trial was planned with, or one that the sampler draws from all that was tried."""
    planned = trial.user_attrs.get("planned", {})
    seen = [t.params[name] for t in trials if name in t.params]
    found = arm.ranges[name].with_values([*seen, *([planned[name]] if name in planned else [])])
    if found.whole:
        return trial.suggest_int(name, int(found.low), int(found.high), log=found.log)
    return trial.suggest_float(name, found.low, found.high, log=found.log)


def _pruner(trials: Sequence[FrozenTrial]) -> optuna.pruners.BasePruner:
    """Successive halving from a part of a trial's length on, as the first whole one shows it."""
    import optuna

    lengths = [
        max(t.intermediate_values) for t in trials if t.state.name == "COMPLETE" and t.intermediate_values
    ]
    if not lengths:
        return optuna.pruners.NopPruner()
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=max(1, lengths[0] // RUNGS), reduction_factor=2
    )
