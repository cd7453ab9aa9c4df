"""The search: trials for each arm in turn, then the finalists over several seeds.

Each arm is a study of Optuna's, so that its values are sampled and its trials pruned among their like:
a file that thaws late must not be judged by how another one starts. The first arm goes ahead: the middle of its range
and the values next to it are tried before any other's, and arms with the same range begin where it did best. How
high a rate may be follows from the network and the length of a run more than from the file, and a little time holds
one training of each file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from layerlr_dsl.runner.errors import RunFailed
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tuning import storage as storages
from layerlr_dsl.tuning.arms import Arm, Candidate, digest
from layerlr_dsl.tuning.budget import SEARCH, Budget
from layerlr_dsl.tuning.finals import FINALS, Finals
from layerlr_dsl.tuning.lengths import too_small
from layerlr_dsl.tuning.outcome import Outcome, Standing, Trial, best_of
from layerlr_dsl.tuning.trials import Settings, Train, Trials, counted, shown
from layerlr_dsl.tuning.values import Values

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

AHEAD = 1 / 2, 2 / 3
"""The shares of the time by which the second and the third training of the first arm must end to go ahead of the others."""
FIRST_LOOK = 4
"""A trial is first held against others after this part of its length."""
LENGTHS = "lengths/"


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
        self._arms = {arm.name: arm for arm in arms}
        self._first = next(iter(self._arms))
        self._settings = settings
        self._budget = budget
        self._tell = tell
        self._trials = Trials(train, settings, budget, url, tell)
        facts = {**settings.facts, storages.FILES: "\n".join(f"{arm.name} {digest(arm)}" for arm in arms)}
        facts["seed"] = str(settings.seed)
        self._trials.open([*self._arms, FINALS], facts)
        self.interrupts, self.heed = self._trials.interrupts, self._trials.heed

    def lengthen(self, measure: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
        """Give each arm the epochs of a trial that `measure` finds, or found in the process that came first."""
        lengths = self._trials.agreed(LENGTHS, measure)
        self._arms = {name: replace(arm, epochs=lengths.get(name)) for name, arm in self._arms.items()}
        return lengths

    def run(self) -> Outcome:
        """Search, then compare the finalists over seeds. Raises RunnerError; KeyboardInterrupt passes."""
        with self._trials.at_work():
            if self._goes_ahead():
                followers = [name for name in self._arms if self._follows(name)]
                begin = "begins" if len(followers) == 1 else "begin"
                self._tell(f"{self._first} goes ahead: {', '.join(followers)} {begin} where it does best")
            self._search()
            self._finals().run()
        return self.outcome()

    def _search(self) -> None:
        trials = self._trials
        while not trials.cut_short:
            trials.heed()
            trials.give_up_the_dead(self._arms)
            arm = self._next_arm()
            if arm is None and trials.running(self._arms):
                trials.wait(self._arms)
            elif arm is not None and (self._goes_ahead() or self._time_for(arm)):
                self._try(arm)
            else:
                break
        self._refuse_hopeless()

    def _next_arm(self) -> Arm | None:
        """The arm with the fewest trials of those that have some to come, but for the one that goes ahead.

        None, too, where nothing can be begun before something that is running has ended.
        """
        if self._goes_ahead():
            return self._arms[self._first]
        still = [name for name in self._arms if self._has_more(name)]
        new = [name for name in still if not self._turns(name)]
        if any(map(self._follows, new)) and any(t.state.name == "RUNNING" for t in self._ahead()):
            still = [name for name in new if not self._follows(name)]
        return self._arms[min(still, key=self._turns)] if still else None

    def _goes_ahead(self) -> bool:
        """Whether the first arm is to be tried once more before others: at the middle, above, and, if no better, below."""
        if not self._has_more(self._first) or not any(map(self._follows, self._arms)):
            return False
        done = self._ahead()
        if len(done) >= len(self._nearest) or (len(done) == 2 and not self._below(done)):
            return False
        span = self._span(self._first)
        return not done or span is None or span <= self._budget.left(AHEAD[len(done) - 1])

    def _below(self, done: Sequence[FrozenTrial]) -> bool:
        """Whether the value above has been tried, and did no better than the middle."""
        running = any(t.state.name == "RUNNING" for t in done)
        return not running and self._start() in (None, self._nearest[0])

    @property
    def _nearest(self) -> list[float]:
        return self._values(self._arms[self._first]).nearest

    def _ahead(self) -> list[FrozenTrial]:
        """The trials of the first arm at the values that are tried before anything of those that follow it."""
        trials, nearest = counted(self._trials.of(self._first)), self._nearest
        return [t for t in trials if not t.params or set(t.params.values()) & set(nearest)]

    def _follows(self, name: str) -> bool:
        """Whether an arm begins where the first one did best: one range, and the same."""
        arm, first = self._arms[name], self._arms[self._first]
        return arm is not first and len(arm.ranges) == 1 and arm.ranges == first.ranges

    def _start(self) -> float | None:
        """The value at which the first arm did best as it went ahead; None before one came to a score."""
        best = best_of(list(map(shown, self._ahead())), self._settings.rising)
        return None if best is None else next(iter(best.values.values()), None)

    def _has_more(self, name: str) -> bool:
        return self._turns(name) < self._limit(self._arms[name]) and not self._is_out(name)

    def _is_out(self, name: str) -> bool:
        """Whether every one of the first values of an arm has failed: what is sampled among them would too."""
        trials = counted(self._trials.of(name))
        return len(trials) >= self._values(self._arms[name]).grid and all(
            "why" in t.user_attrs for t in trials
        )

    def _turns(self, name: str) -> int:
        """The rounds over all arms in which this one has had its trial, or has it in hand."""
        return len(counted(self._trials.of(name)))

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
        usual, turns = median(known), self._turns(arm.name)
        searched = [name for name, one in self._arms.items() if one.ranges and not self._is_out(name)]
        others = [self._turns(name) for name in searched if name != self._first]
        if not turns or turns < max(others, default=0):
            return (spans[arm.name] or usual) <= self._budget.left()
        coming = [name for name in searched if self._turns(name) == turns]
        return sum(spans[name] or usual for name in coming) <= self._budget.left(SEARCH)

    def _span(self, name: str) -> float | None:
        """How long a trial of an arm takes, by the clock of the budget."""
        seconds = [
            t.user_attrs["seconds"]
            for t in self._trials.of(name)
            if "seconds" in t.user_attrs and t.state.name in ("COMPLETE", "PRUNED")
        ]
        return max(seconds, default=None)

    def _try(self, arm: Arm) -> None:
        """One more trial of an arm."""
        import optuna

        trials, values = self._trials.of(arm.name), self._values(arm)
        # a high rate is often behind at first: what others begin with is not to hang on that
        whole = arm.name == self._first and self._goes_ahead()
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=values.grid,
            seed=self._settings.seed * 7919 + len(trials),
            multivariate=False,
        )
        self._trials.add(
            arm.name,
            lambda trial: self._objective(arm, values, trial),
            sampler,
            optuna.pruners.NopPruner() if whole else _pruner(trials),
        )
        if arm.ranges and self._is_out(arm.name):
            self._tell(f"{arm.name} is out: every one of its trials failed")

    def _values(self, arm: Arm) -> Values:
        start = self._start() if self._follows(arm.name) else None
        return Values(arm, self._settings.trials, self._settings.rising, start)

    def _objective(self, arm: Arm, values: Values, trial: optuna.Trial) -> float:
        import optuna

        trials = [t for t in self._trials.of(arm.name) if t.number < trial.number]
        if len(counted(trials)) >= self._limit(arm):
            raise self._trials.surplus(trial)
        planned = values.planned(trials, trial)
        trial.study.sampler = optuna.samplers.PartialFixedSampler(planned, trial.study.sampler)
        tried = [planned, *(t.params for t in trials)]
        chosen = {name: values.suggested(trial, name, tried) for name in arm.ranges}
        label = ", ".join([arm.name, *(f"{name} {spelled(value, 3)}" for name, value in chosen.items())])
        seed = self._settings.seed
        return self._trials.score(
            Candidate(arm, chosen, seed), self._trials.report(seed, trial), trial, label
        )

    def _refuse_hopeless(self) -> None:
        """Raises RunnerError where no trial of any arm came to its end, with the reason."""
        trials = [t for name in self._arms for t in self._trials.of(name)]
        if any(t.state.name == "COMPLETE" for t in trials):
            return
        failed = [t.user_attrs for t in trials if "why" in t.user_attrs]
        if failed:
            why, help = failed[0]["why"], failed[0].get("help")
            raise RunFailed(
                f"none of {len(failed)} trials came to a score; the first: {why}"
                if len(failed) > 1
                else f"the only trial came to no score: {why}",
                help or "train once with one of the files, without the search, to see what goes wrong",
            )
        raise too_small(self._budget)

    # ------------------------------------------------------------ what came of it

    def _finals(self) -> Finals:
        """Those of the first arm and of the ones that did best in the search."""
        ranked = self._ranked()
        names = sorted(ranked, key=lambda name: name != self._first)[: self._settings.finalists]
        finalists = {name: ranked[name] for name in names}
        return Finals(self._arms, finalists, self._trials, self._settings, self._budget)

    def _ranked(self) -> dict[str, Trial]:
        """The best setting of each arm that has one, the best of all first."""
        merits = {}
        for name in self._arms:
            best = best_of(list(map(shown, self._trials.of(name))), self._settings.rising)
            if best is not None and best.scored is not None:
                merits[name] = best, best.scored.value
        names = sorted(merits, key=lambda name: merits[name][1], reverse=self._settings.rising)
        return {name: merits[name][0] for name in names}

    def outcome(self) -> Outcome:
        """What the trials in the storage show, finished or not."""
        finals = self._finals()
        return Outcome(
            tuple(self._standing(arm, finals) for arm in self._arms.values()),
            self._settings.metric,
            self._settings.rising,
            self._settings.share,
            self._budget.gone,
            self._trials.cut_short,
        )

    def _standing(self, arm: Arm, finals: Finals) -> Standing:
        trials = self._trials.of(arm.name)
        seen = [shown(t) for t in counted(trials) if t.state.name != "RUNNING"]
        best = finals.finalists.get(arm.name) or best_of(seen, self._settings.rising)
        scores = finals.of(arm.name) if arm.name in finals.finalists else {}
        return Standing(arm, tuple(seen), best, scores, self._values(arm).at_edge(trials, best))


def _pruner(trials: Sequence[FrozenTrial]) -> optuna.pruners.BasePruner:
    """Stops what is behind the median of the whole ones, from a part of the length of the first of them on.

    Successive halving would hold trials only against those that it has seen itself: the second never against the first.
    """
    import optuna

    lengths = [
        max(t.intermediate_values) for t in trials if t.state.name == "COMPLETE" and t.intermediate_values
    ]
    if not lengths:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=max(1, lengths[0] // FIRST_LOOK))
