"""The search: trials for each arm in turn, then the finalists over several seeds.

Each arm is a study of Optuna's, so that its values are sampled and its trials pruned among their like:
a file that thaws late must not be judged by how another one starts. All that is decided follows from what
is in the storage, so that any number of processes can work on one search, and any of them may die.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner.errors import RunFailed
from layerlr_dsl.runner.interrupts import Interrupts
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tuning import storage as storages
from layerlr_dsl.tuning.arms import Arm, Candidate, digest
from layerlr_dsl.tuning.budget import SEARCH, Budget
from layerlr_dsl.tuning.lengths import too_small
from layerlr_dsl.tuning.outcome import Outcome, Scored, Standing, Trial, best_of, score_text
from layerlr_dsl.tuning.ranges import GRID
from layerlr_dsl.tuning.report import NotFinite, OutOfTime, Pruned, Report

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

Train = Callable[[Candidate, Report], Scored]
"""Trains a candidate, reporting as it goes. Raises RunFailed where this setting cannot be trained."""

RUNGS = 4
"""A trial is first held against others after this part of its length."""
POLL = 0.5
FEWEST = 2
"""Seeds from which on finalists can be compared at all."""
FINALS, LENGTHS = "finals", "lengths"
EXTRA = "extra"
"""Marks a trial that an arm had beside those of the rounds over all."""


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
        self.interrupts = Interrupts()
        """A signal is noted, and heeded between two steps: the storage must not be left in half a sentence."""
        self._awaited: set[int] = set()
        self._raised: list[Exception] = []
        """What the training itself raised, which is no fault of the storage."""
        self._storage = storages.opened(url)
        facts = {**settings.facts, storages.FILES: ", ".join(f"{arm.name} {digest(arm)}" for arm in arms)}
        facts["seed"] = str(settings.seed)
        with storages.faults(url), storages.quietly():
            storages.claimed(
                self._storage, settings.name, facts, resume=settings.resume, where=settings.where
            )
            self._studies = {name: self._study(name) for name in [*self._arms, FINALS]}

    def lengthen(self, measure: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
        """Give each arm the epochs of a trial that `measure` finds, or found in the process that came first."""
        with storages.faults(self._url), storages.quietly(), self.interrupts:
            lengths = storages.agreed(self._storage, f"{self._settings.name}/{LENGTHS}", measure)
            self._heed()
        self._arms = {name: replace(arm, epochs=lengths.get(name)) for name, arm in self._arms.items()}
        return lengths

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
        quiet = storages.quietly()
        with storages.faults(self._url, self._raised.__contains__), quiet, self.interrupts:
            self._search()
            self._compare_finalists()
        return self.outcome()

    # ------------------------------------------------------------ the search

    def _search(self) -> None:
        while not self._cut_short:
            self._heed()
            self._give_up_the_dead(self._arms)
            arm = self._next_arm()
            if arm is None and self._at_work(self._arms):
                self._wait(self._arms)
            elif arm is not None and self._time_for(arm):
                self._try(arm)
            elif arm is not None and (leader := self._leader()) is not None:
                self._try(leader, extra=True)
            else:
                break
        self._refuse_hopeless()

    def _heed(self) -> None:
        """Raises KeyboardInterrupt where a signal came."""
        if self.interrupts.asked:
            raise KeyboardInterrupt

    def _left(self) -> float:
        self._heed()
        return self._budget.left()

    def _next_arm(self) -> Arm | None:
        """The arm with the fewest trials of those that have some to come."""
        still = [name for name in self._arms if self._has_more(name)]
        return self._arms[min(still, key=self._turns)] if still else None

    def _has_more(self, name: str) -> bool:
        return len(_counted(self._trials(name))) < self._limit(self._arms[name])

    def _turns(self, name: str) -> int:
        """The rounds over all arms in which this one has had its trial."""
        return sum(EXTRA not in t.user_attrs for t in _counted(self._trials(name)))

    def _limit(self, arm: Arm) -> float:
        """How many trials an arm gets: one where there is nothing to search in it."""
        wanted = math.inf if self._settings.trials is None else self._settings.trials
        return wanted if arm.ranges else 1

    def _time_for(self, arm: Arm) -> bool:
        """Whether the time of the search has room for a round that begins with this trial.

        A round that has begun is ended, and each arm trained once, while there is time at all: what the finals compare
        has been tried equally often.
        """
        if self._budget.seconds is None:
            return True
        spans = {name: self._span(name) for name in self._arms}
        known = [span for span in spans.values() if span is not None]
        if not known:
            return True
        usual = median(known)
        searched = [name for name, one in self._arms.items() if one.ranges]
        if not self._turns(arm.name) or len(set(map(self._turns, searched))) > 1:
            return (spans[arm.name] or usual) <= self._budget.left()
        return sum(spans[name] or usual for name in searched) <= self._budget.left(SEARCH)

    def _leader(self) -> Arm | None:
        """The file that does best, where there is time for another trial of it and none for finals.

        What finals compare must have been tried equally often, or the leader may win by that alone.
        """
        finalists = self._finalists()
        missing = self._missing(finalists, self._pairs(finalists))
        if not missing or self._round_fits(missing, finalists):
            return None
        name = next(iter(self._ranked()))
        fits = (self._span(name) or 0.0) <= self._budget.left()
        return self._arms[name] if fits and self._has_more(name) else None

    def _span(self, name: str) -> float | None:
        """How long a trial of an arm takes, by the clock of the budget."""
        seconds = [
            t.user_attrs["seconds"]
            for t in self._trials(name)
            if "seconds" in t.user_attrs and t.state.name in ("COMPLETE", "PRUNED")
        ]
        return max(seconds, default=None)

    def _give_up_the_dead(self, names: Iterable[str]) -> None:
        """Count the trials of processes that show no life as lost."""
        import optuna

        if self._url is not None:
            for name in names:
                optuna.storages.fail_stale_trials(self._studies[name])

    def _at_work(self, names: Iterable[str]) -> bool:
        """Whether another process has a trial in hand."""
        return bool(self._running(names))

    def _running(self, names: Iterable[str]) -> list[FrozenTrial]:
        return [t for name in names for t in self._trials(name) if t.state.name == "RUNNING"]

    def _wait(self, names: Iterable[str]) -> None:
        """For what other processes have in hand, a moment.

        One that died before its first sign of life would never be missed: it is given one here, to be silent after.
        """
        for trial in self._running(names):
            if trial._trial_id not in self._awaited:
                self._awaited.add(trial._trial_id)
                storages.sign_of_life(self._storage, trial)
        time.sleep(POLL)

    def _try(self, arm: Arm, *, extra: bool = False) -> None:
        """One more trial of an arm, in its turn or as an extra one."""
        import optuna

        study, trials = self._studies[arm.name], self._trials(arm.name)
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=self._grid(arm),
            seed=self._settings.seed * 7919 + len(trials),
            multivariate=False,
        )
        study.pruner = _pruner(trials)
        self._optimize(study, lambda trial: self._objective(arm, trial, extra))

    def _optimize(self, study: optuna.Study, objective: Callable[[optuna.Trial], float]) -> None:
        """One trial. One that showed no life for a while, as in a machine's sleep, is left to who took it over."""
        taken_over = False

        def watched(trial: optuna.Trial) -> float:
            nonlocal taken_over
            try:
                return objective(trial)
            finally:
                taken_over = study.get_trials(deepcopy=False)[trial.number].state.is_finished()

        try:
            study.optimize(watched, n_trials=1)
        except _Surplus:
            pass
        except OutOfTime:
            self._cut_short = self._budget.left() <= 0
        except (ValueError, AssertionError):  # by Optuna, of a trial that is over
            if not taken_over:
                raise
            self._tell("this process showed no life for a while: others had its trial meanwhile")

    def _planned(self, arm: Arm, trials: Sequence[FrozenTrial], trial: optuna.Trial) -> dict[str, Any]:
        """The values that are to be tried next, none where the sampler may choose them.

        A trial's number, which no other process gets, decides what it takes of the first values; of what
        follows from other trials two processes may try the same.
        """
        first = _first_values(arm, self._grid(arm))
        if trial.number < len(first):
            return first[trial.number]
        again = {t.user_attrs.get("again") for t in trials}
        for lost in trials:
            if _is_lost(lost) and lost.number not in again:
                trial.set_user_attr("again", lost.number)
                return dict(lost.params) or dict(enumerate(first)).get(lost.number, {})
        wider = self._wider(arm, trials)
        return {} if wider is None or wider in [t.params for t in trials] else wider

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

    def _objective(self, arm: Arm, trial: optuna.Trial, extra: bool) -> float:
        import optuna

        trials = [t for t in self._trials(arm.name) if t.number < trial.number]
        if len(_counted(trials)) >= self._limit(arm):
            raise self._surplus(trial)
        if extra:
            trial.set_user_attr(EXTRA, True)
        planned = self._planned(arm, trials, trial)
        trial.study.sampler = optuna.samplers.PartialFixedSampler(planned, trial.study.sampler)
        values = {
            name: _suggested(trial, name, arm, [planned, *(t.params for t in trials)]) for name in arm.ranges
        }
        label = ", ".join([arm.name, *(f"{name} {spelled(value, 3)}" for name, value in values.items())])
        report = Report(self._settings.seed, self._left, trial)
        return self._score(Candidate(arm, values, self._settings.seed), report, trial, label)

    def _surplus(self, trial: optuna.Trial) -> _Surplus:
        trial.set_user_attr("left_out", "another process had begun the last one")
        return _Surplus()

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
            raise
        except (RunFailed, NotFinite) as fault:
            why = str(getattr(fault, "message", fault))
            trial.set_user_attr("why", why)
            self._tell(f"{label}: failed: {why}")
            return math.nan
        except Exception as fault:
            self._raised.append(fault)
            raise
        finally:
            trial.set_user_attr("seconds", self._budget.gone - began)
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
                f"none of {len(whys)} trials came to a score; the first: {whys[0]}"
                if len(whys) > 1
                else f"the only trial came to no score: {whys[0]}",
                "see by `layerlr train` with one of the files what goes wrong; lower rates may help",
            )
        raise too_small(self._budget)

    # ------------------------------------------------------------ the finalists

    def _compare_finalists(self) -> None:
        finalists = self._finalists()
        pairs = self._pairs(finalists)
        while not self._cut_short:
            self._heed()
            self._give_up_the_dead([FINALS])
            missing = self._missing(finalists, pairs)
            if missing and not self._round_fits(missing, finalists):
                self._cut_short = True
            elif missing:
                self._run_final(pairs, finalists)
            elif self._at_work([FINALS]):
                self._wait([FINALS])
            else:
                return

    def _finalists(self) -> dict[str, Trial]:
        """The best setting of the first arm and of those that did best in the search."""
        ranked, first = self._ranked(), next(iter(self._arms))
        names = sorted(ranked, key=lambda name: name != first)[: self._settings.finalists]
        return {name: ranked[name] for name in names}

    def _ranked(self) -> dict[str, Trial]:
        """The best setting of each arm that has one, the best of all first."""
        merits = {}
        for name in self._arms:
            best = best_of(list(map(_trial, self._trials(name))), self._settings.rising)
            if best is not None and best.scored is not None:
                merits[name] = best, best.scored.value
        names = sorted(merits, key=lambda name: merits[name][1], reverse=self._settings.rising)
        return {name: merits[name][0] for name in names}

    def _pairs(self, finalists: Iterable[str]) -> list[tuple[str, int]]:
        """All that is to be trained of the finalists, seed by seed."""
        seeds = range(self._settings.seed + 1, self._settings.seed + 1 + self._settings.seeds)
        return [(name, seed) for seed in seeds for name in finalists]

    def _missing(
        self, finalists: Mapping[str, Trial], pairs: Sequence[tuple[str, int]]
    ) -> list[tuple[str, int]]:
        """What is to be trained yet, seed by seed, so that whatever is done can be compared in pairs."""
        begun = {
            (t.params["arm"], t.params["seed"])
            for t in _counted(self._trials(FINALS))
            if t.params.keys() >= {"arm", "seed"}
            and t.params["arm"] in finalists
            and t.user_attrs.get("values") == dict(finalists[t.params["arm"]].values)
        }
        return [pair for pair in pairs if pair not in begun]

    def _round_fits(self, missing: Sequence[tuple[str, int]], finalists: Mapping[str, Trial]) -> bool:
        """Whether the time left has room for what is missing of this seed, or of the first ones: one tells nothing of noise."""
        last, needed = max(missing[0][1], self._settings.seed + FEWEST), 0.0
        for name, seed in missing:
            scored = finalists[name].scored
            needed += scored.seconds if scored is not None and seed <= last else 0.0
        return needed <= self._budget.left()

    def _run_final(self, pairs: Sequence[tuple[str, int]], finalists: Mapping[str, Trial]) -> None:
        """One finalist with one seed: the one of the trial's own number where it is still to be had."""
        import optuna

        def objective(trial: optuna.Trial) -> float:
            missing = self._missing(finalists, pairs)
            own = [pair for pair in pairs[trial.number : trial.number + 1] if pair in missing]
            if not missing:
                raise self._surplus(trial)
            name, seed = (own or missing)[0]
            values = dict(finalists[name].values)
            trial.set_user_attr("values", values)
            fixed = {"arm": name, "seed": seed}
            trial.study.sampler = optuna.samplers.PartialFixedSampler(fixed, optuna.samplers.RandomSampler())
            trial.suggest_categorical("arm", list(self._arms))
            trial.suggest_int("seed", 0, 2**31)
            report = Report(seed, self._left)
            candidate = Candidate(self._arms[name], values, seed)
            return self._score(candidate, report, trial, f"{name}, seed {seed}")

        study = self._studies[FINALS]
        study.sampler, study.pruner = optuna.samplers.RandomSampler(), optuna.pruners.NopPruner()
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


def _suggested(trial: optuna.Trial, name: str, arm: Arm, tried: Sequence[Mapping[str, float]]) -> float:
    """A value of a range that has grown to hold all that was tried."""
    found = arm.ranges[name].with_values([values[name] for values in tried if name in values])
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
