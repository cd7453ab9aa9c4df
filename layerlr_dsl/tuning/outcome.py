"""What the trials showed: figures of each arm, intervals over seeds, and what may be said of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from layerlr_dsl.api import Rules
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tuning.arms import Arm

FEWEST = 2
"""Seeds from which on files can be compared at all."""

# Student's t for a two-sided 95 % interval, by degrees of freedom
_T = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
_NORMAL = 1.96


@dataclass(frozen=True, slots=True)
class Scored:
    """What one training came to: the validation score, its loss, wall seconds, and the mean share that trained."""

    value: float
    loss: float | None = None
    seconds: float = 0.0
    trains: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting tried in the search. `state` is complete, pruned or failed, `why` the reason of a failure."""

    values: Mapping[str, float]
    state: str
    scored: Scored | None = None
    course: Mapping[int, float] = field(default_factory=dict)
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with half the width of its 95 % interval, None where there are too few numbers for one."""

    mean: float
    half: float | None
    count: int

    @staticmethod
    def of(numbers: Sequence[float]) -> Interval:
        count = len(numbers)
        if count < 2:
            return Interval(numbers[0] if numbers else math.nan, None, count)
        t = _T[count - 2] if count - 2 < len(_T) else _NORMAL
        return Interval(statistics.fmean(numbers), t * statistics.stdev(numbers) / math.sqrt(count), count)

    @property
    def sure(self) -> bool:
        """Whether all of it lies on one side of 0."""
        return self.half is not None and abs(self.mean) > self.half


@dataclass(frozen=True, slots=True)
class Standing:
    """An arm when all is over: its trials, the best setting, and that setting's scores by seed."""

    arm: Arm
    trials: tuple[Trial, ...]
    best: Trial | None
    finals: Mapping[int, Scored] = field(default_factory=dict)
    at_edge: tuple[str, ...] = ()
    """The `let`s whose best value still lies at the edge of what was tried."""

    @property
    def rules(self) -> Rules:
        """The file with its best values. Raises ValueError where nothing came to a score."""
        if self.best is None:
            raise ValueError(f"no trial of {self.arm.name} came to a score")
        return self.arm.load(self.best.values)

    @property
    def interval(self) -> Interval | None:
        """The score over seeds; None for an arm that was no finalist."""
        return Interval.of([one.value for one in self.finals.values()]) if self.finals else None

    @property
    def seconds(self) -> float | None:
        """The wall time of one full training."""
        seen = [one.seconds for one in self.finals.values()]
        if not seen and self.best is not None and self.best.scored is not None:
            seen = [self.best.scored.seconds]
        return statistics.median(seen) if seen else None

    @property
    def trains(self) -> float | None:
        """The share of the parameters that trained, over the whole run."""
        return self.best.scored.trains if self.best is not None and self.best.scored is not None else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """All arms, the first one being what the others must beat.

    `metric` names the score, `rising` says that more of it is better, `share` that it is a share of 1.
    `cut_short` says that the budget or the user ended it before all was done.
    """

    standings: tuple[Standing, ...]
    metric: str
    rising: bool
    share: bool = False
    seconds: float = 0.0
    cut_short: bool = False

    @property
    def baseline(self) -> Standing:
        return self.standings[0]

    def difference(self, standing: Standing) -> Interval | None:
        """By how much an arm is better than the baseline, seed by seed; None without seeds in common."""
        ours, theirs = standing.finals, self.baseline.finals
        both = sorted(ours.keys() & theirs.keys())
        sign = 1 if self.rising else -1
        gains = [sign * (ours[seed].value - theirs[seed].value) for seed in both]
        return Interval.of(gains) if gains else None

    @property
    def tested(self) -> bool:
        """Whether files were held against the baseline over seeds: two at least, or as many as were asked for."""
        ours = self.baseline.finals.keys()
        common = [len(ours & standing.finals.keys()) for standing in self.standings[1:]]
        return max(common, default=0) >= FEWEST or (bool(ours) and not self.cut_short)

    @property
    def winner(self) -> Standing | None:
        """The best of those that beat the baseline by more than noise, or else the baseline.

        Where nothing is `tested` (the baseline failed, or time ran out), the best over all trainings: a guess.
        None where nothing was trained to its end.
        """
        if self.tested:
            return max([self.baseline, *self.better()], key=self._merit)
        some = [s for s in self.standings if len(s.finals) >= FEWEST] if not self.cut_short else []
        return max(some or [s for s in self.standings if s.best], key=self._merit, default=None)

    def better(self) -> list[Standing]:
        """The arms that beat the baseline by more than noise."""
        return [s for s in self.standings[1:] if (gain := self.difference(s)) and gain.sure and gain.mean > 0]

    def draws(self) -> list[Standing]:
        """The finalists that neither beat the baseline nor lose to it by more than noise."""
        gains = [(s, self.difference(s)) for s in self.standings[1:]]
        return [s for s, gain in gains if gain is not None and gain.half is not None and not gain.sure]

    def _merit(self, standing: Standing) -> float:
        sign = 1 if self.rising else -1
        if self.tested and standing.interval is not None:
            return sign * standing.interval.mean
        assert standing.best is not None
        return sign * mean_of_looks(standing.best, standing.finals)


def mean_of_looks(best: Trial, finals: Mapping[int, Scored]) -> float:
    """The score of a setting over all its trainings: the one of the search, and those with further seeds."""
    assert best.scored is not None
    return statistics.fmean([best.scored.value, *(one.value for one in finals.values())])


def best_of(trials: Sequence[Trial], rising: bool) -> Trial | None:
    """The complete trial of the best score; where several share it, as with few samples, the loss decides."""

    def merit(trial: Trial) -> tuple[float, float]:
        assert trial.scored is not None
        loss = trial.scored.loss
        return (1 if rising else -1) * trial.scored.value, -math.inf if loss is None else -loss

    return max((trial for trial in trials if trial.state == "complete"), key=merit, default=None)


def score_text(value: float, share: bool) -> str:
    """`97.3%` for a share of 1, else four digits."""
    return f"{value:.1%}" if share else spelled(value, 4)
