"""Which values of an arm's `let`s are tried next: a grid first, then beyond its edge, then what the sampler says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerlr_dsl.tuning.arms import Arm
from layerlr_dsl.tuning.outcome import Trial, best_of
from layerlr_dsl.tuning.ranges import GRID
from layerlr_dsl.tuning.trials import is_lost, shown

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, slots=True)
class Values:
    """What is tried of one arm, of which `most` trials are planned, None for as many as there is time for."""

    arm: Arm
    most: int | None
    rising: bool
    start: float | None = None
    """Near which value of its only range an arm is tried first, as another one did well there."""

    @property
    def grid(self) -> int:
        """How many points of one range are tried before anything is known."""
        return min(GRID, self.most or GRID) if len(self.arm.ranges) == 1 else GRID

    def planned(self, trials: Sequence[FrozenTrial], trial: optuna.Trial) -> dict[str, Any]:
        """The values that are to be tried next, none where the sampler may choose them.

        What was lost with its process comes first. Else a trial's number, which no other process gets, decides
        what it takes of the first values; of what follows from other trials two processes may try the same.
        """
        first = self._first(trials)
        again = {t.user_attrs["again"] for t in trials if "again" in t.user_attrs}
        for lost in trials:
            if is_lost(lost) and lost.number not in again:
                trial.set_user_attr("again", lost.number)
                return dict(lost.params) or dict(enumerate(first)).get(_place(lost, trials), {})
        place = _place(trial, trials)
        if place < len(first):
            return first[place]
        wider = self._wider(trials)
        return {} if wider is None or wider in [t.params for t in trials] else wider

    @property
    def nearest(self) -> list[float]:
        """The values of the only range that are tried first: the start, and those next to it; none of several ranges."""
        return (
            [v for values in self._first([])[:3] for v in values.values()]
            if len(self.arm.ranges) == 1
            else []
        )

    def _first(self, trials: Sequence[FrozenTrial]) -> list[dict[str, float]]:
        """What is tried before anything is known: a grid over one range, the middle of several.

        Where the first trial was, the grid goes on from there: `start` may have changed since.
        """
        ranges = self.arm.ranges
        if len(ranges) > 1:
            return [{name: found.points(1)[0] for name, found in ranges.items()}]
        began = {name: value for t in trials[:1] for name, value in t.params.items()}
        return [
            {name: point}
            for name, found in ranges.items()
            for point in found.points(self.grid, began.get(name, self.start))
        ]

    def _wider(self, trials: Sequence[FrozenTrial]) -> dict[str, float] | None:
        """The best values so far with one of them moved beyond the edge at which it lies."""
        best = best_of(list(map(shown, trials)), self.rising)
        beyond = self._beyond(trials, best)
        name = next(iter(beyond), None)
        return None if best is None or name is None else {**best.values, name: beyond[name]}

    def at_edge(self, trials: Sequence[FrozenTrial], best: Trial | None) -> tuple[str, ...]:
        """The `let`s whose best value lies at the edge of what was tried."""
        return tuple(self._beyond(trials, best))

    def _beyond(self, trials: Sequence[FrozenTrial], best: Trial | None) -> dict[str, float]:
        """For each `let` whose best value lies at an edge the next one outside."""
        found: dict[str, float] = {}
        for name, one in self.arm.ranges.items() if best is not None else ():
            assert best is not None
            tried = [t.params[name] for t in trials if name in t.params]
            if name in best.values:
                beyond = one.beyond(best.values[name], self.grid, tried)
                found |= {} if beyond is None else {name: beyond}
        return found

    def suggested(self, trial: optuna.Trial, name: str, tried: Sequence[Mapping[str, float]]) -> float:
        """A value of a range that has grown to hold all that was tried."""
        found = self.arm.ranges[name].with_values([values[name] for values in tried if name in values])
        if found.whole:
            return trial.suggest_int(name, int(found.low), int(found.high), log=found.log)
        return trial.suggest_float(name, found.low, found.high, log=found.log)


def _place(trial: optuna.Trial | FrozenTrial, trials: Sequence[FrozenTrial]) -> int:
    """Which of the first values a trial takes: its number, less the trials before that took what was lost."""
    return trial.number - sum("again" in t.user_attrs for t in trials if t.number < trial.number)
