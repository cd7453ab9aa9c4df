"""The finalists over several seeds, in pairs with the first arm: what says whether a gain is more than noise.

Where there is no time for two seeds of each, it goes to further seeds of whoever leads: the best of single
trials is often merely the luckiest, and more rates to choose from would make it more so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from layerlr_dsl.tuning.arms import Arm, Candidate
from layerlr_dsl.tuning.budget import Budget
from layerlr_dsl.tuning.outcome import FEWEST, Scored, Trial, mean_of_looks
from layerlr_dsl.tuning.trials import Settings, Trials, counted

if TYPE_CHECKING:
    import optuna

FINALS = "finals/"
"""No file can be called so."""


class Finals:
    """Trials of the `finalists`, by name with their best setting, for each seed."""

    def __init__(
        self,
        arms: Mapping[str, Arm],
        finalists: Mapping[str, Trial],
        trials: Trials,
        settings: Settings,
        budget: Budget,
    ) -> None:
        self._arms = arms
        self.finalists = finalists
        self._trials = trials
        self._budget = budget
        self._rising = settings.rising
        seeds = range(settings.seed + 1, settings.seed + 1 + settings.seeds)
        self._pairs = [(name, seed) for seed in seeds for name in finalists]
        """All that is to be trained, seed by seed, so that whatever is done can be compared in pairs."""

    def run(self) -> None:
        """Train what is missing, while there is time for another seed of each, and then of the one that leads."""
        while not self._trials.cut_short:
            self._trials.heed()
            self._trials.give_up_the_dead([FINALS])
            missing = self._missing()
            if missing and self._fits(missing):
                self._run_one(self._missing)
            elif missing and self._of_the_leader():
                self._run_one(self._of_the_leader)
            elif self._trials.running([FINALS]):
                self._trials.wait([FINALS])
            else:
                self._trials.cut_short = bool(missing)
                return

    def _of_the_leader(self) -> list[tuple[str, int]]:
        """The next seed of the finalist that is best over all its trainings, where there is time for it."""
        looks = {name: mean_of_looks(best, self.of(name)) for name, best in self.finalists.items()}
        name = (max if self._rising else min)(looks, key=lambda name: looks[name])
        scored = self.finalists[name].scored
        fits = scored is not None and scored.seconds <= self._budget.left()
        return [pair for pair in self._missing() if pair[0] == name][:1] if fits else []

    def of(self, name: str) -> dict[int, Scored]:
        """What a finalist came to with each seed that it was trained with."""
        return {
            t.params["seed"]: Scored(**t.user_attrs["scored"])
            for t in self._trials.of(FINALS)
            if t.state.name == "COMPLETE"
            and t.params["arm"] == name
            and t.user_attrs.get("values") == dict(self.finalists[name].values)
        }

    def _missing(self) -> list[tuple[str, int]]:
        begun = {
            (t.params["arm"], t.params["seed"])
            for t in counted(self._trials.of(FINALS))
            if t.params.keys() >= {"arm", "seed"}
            and t.params["arm"] in self.finalists
            and t.user_attrs.get("values") == dict(self.finalists[t.params["arm"]].values)
        }
        return [pair for pair in self._pairs if pair not in begun]

    def _fits(self, missing: Sequence[tuple[str, int]]) -> bool:
        """Whether the time left has room for what is missing of this seed, or of the first ones: one tells nothing of noise."""
        first = self._pairs[0][1]
        last, needed = max(missing[0][1], first + FEWEST - 1), 0.0
        for name, seed in missing:
            scored = self.finalists[name].scored
            needed += scored.seconds if scored is not None and seed <= last else 0.0
        return needed <= self._budget.left()

    def _run_one(self, wanted: Callable[[], list[tuple[str, int]]]) -> None:
        """One finalist with one seed of those `wanted`: the one of the trial's own number where it is still to be had."""
        import optuna

        def objective(trial: optuna.Trial) -> float:
            missing = wanted()
            own = [pair for pair in self._pairs[trial.number : trial.number + 1] if pair in missing]
            if not missing:
                raise self._trials.surplus(trial)
            name, seed = (own or missing)[0]
            values = dict(self.finalists[name].values)
            trial.set_user_attr("values", values)
            fixed = {"arm": name, "seed": seed}
            trial.study.sampler = optuna.samplers.PartialFixedSampler(fixed, optuna.samplers.RandomSampler())
            trial.suggest_categorical("arm", list(self._arms))
            trial.suggest_int("seed", 0, 2**31)
            candidate = Candidate(self._arms[name], values, seed)
            return self._trials.score(candidate, self._trials.report(seed), trial, f"{name}, seed {seed}")

        self._trials.add(FINALS, objective, optuna.samplers.RandomSampler(), optuna.pruners.NopPruner())
