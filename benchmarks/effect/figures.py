"""From trials to figures: what each arm came to over the reporting seeds, and differences of two arms in pairs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from effect.design import Claim, Study, Unit
from effect.record import Figures, Found, Key
from effect.tuning import Tuned, tuned
from layerlr_dsl.tuning.outcome import Interval

Measure = Callable[[Figures], "float | None"]


@dataclass(frozen=True, slots=True)
class Reported:
    """An arm on a task at a length: the base rate that tuning chose, and the figures of each reporting seed.

    best is None where every rate diverged; by_seed lacks trials that were not run.
    """

    unit: Unit
    best: Tuned | None
    by_seed: Mapping[int, Figures]
    trials: int

    def mean(self, measure: Measure) -> float | None:
        values = [value for figures in self.by_seed.values() if (value := measure(figures)) is not None]
        return statistics.fmean(values) if values else None


def score(figures: Figures) -> float | None:
    return figures.score


def shift(figures: Figures) -> float | None:
    return figures.shift


def seconds(figures: Figures) -> float | None:
    return figures.seconds


MEASURES: Mapping[str, Measure] = {"test": score, "shift": shift, "seconds": seconds}


class _NotRun(Exception):
    """A trial that the record lacks."""


def reported(study: Study, known: Mapping[Key, Figures]) -> list[Reported]:
    """Every unit of the study whose tuning is complete and that has all of its reporting seeds."""
    by_unit: dict[tuple[str, str, int], dict[Key, Figures]] = {}
    for key, figures in known.items():
        by_unit.setdefault((key.task, key.arm, key.epochs), {})[key] = figures
    found = []
    for unit in study.units(("core", "full")):
        own = _newest(by_unit.get((unit.task.name, unit.arm.name, unit.epochs), {}))
        standing = _standing(study, unit, own)
        if standing is not None:
            found.append(standing)
    return found


def _newest(own: Mapping[Key, Figures]) -> dict[tuple[float, int, str], Figures]:
    """Trials of the rules as they were last, by base rate, seed and part."""
    last = next((key.digest for key in reversed(own)), None)
    return {(key.base, key.seed, key.part): found for key, found in own.items() if key.digest == last}


def _standing(study: Study, unit: Unit, own: Mapping[tuple[float, int, str], Figures]) -> Reported | None:
    def known(base: float, seed: int) -> Figures:
        try:
            return own[base, seed, "tune"]
        except KeyError:
            raise _NotRun from None

    try:
        best = tuned(unit.arm.grid, study.points, study.tuning, known)
    except _NotRun:
        return None
    if best is None:
        return Reported(unit, None, {}, len(own))
    seeds = {
        seed: own[best.base, seed, "report"] for seed in study.reporting if (best.base, seed, "report") in own
    }
    return Reported(unit, best, seeds, len(own)) if len(seeds) == len(study.reporting) else None


def difference(arm: Reported, other: Reported, measure: Measure) -> Interval | None:
    """By how much an arm has more than another, seed by seed; None where they share no seed."""
    found = gains(arm, other, measure)
    return Interval.of(found) if found else None


def baseline(study: Study, standings: Sequence[Reported], arm: Reported) -> Reported | None:
    """What an arm is held against: one rate, on the same task at the same length."""
    place = (arm.unit.task, arm.unit.epochs)
    return next(
        (
            one
            for one in standings
            if one.unit.arm.name == study.baseline and (one.unit.task, one.unit.epochs) == place
        ),
        None,
    )


def points(gain: Interval) -> str:
    """`+1.2 ± 0.4`, in points."""
    return f"{gain.mean * 100:+.1f}" + ("" if gain.half is None else f" ± {gain.half * 100:.1f}")


@dataclass(frozen=True, slots=True)
class Against:
    """The winner of a search beside the grid: what the grid chooses by validation, and what proved best in the test.

    All three with the seeds for comparing.
    """

    found: Found
    winner: Reported
    chosen: Reported
    best: Reported


def compared(study: Study, known: Mapping[Key, Figures], found: Found) -> list[tuple[Unit, float]]:
    """What is held against each other: units with base rates, the search's, the grid's choice and what proved best in it.

    Nothing until the grid is complete.
    """
    standings = [
        one
        for one in reported(study, known)
        if (one.unit.task.name, one.unit.epochs) == (found.task, found.epochs)
        and one.unit.arm.name in found.tried
    ]
    if len(standings) < len(found.tried):
        return []
    chosen = max(standings, key=lambda one: one.best.score if one.best else 0.0)
    best = max(standings, key=lambda one: (one.best is not None, one.mean(score) or 0.0))
    winner = next(one.unit for one in standings if one.unit.arm.name == found.arm)
    return [(winner, found.base), *((one.unit, one.best.base) for one in (chosen, best) if one.best)]


def against(study: Study, known: Mapping[Key, Figures], found: Found) -> Against | None:
    """None until all that is compared was run with all seeds for it."""
    sides = [_with_base(study, known, unit, base) for unit, base in compared(study, known, found)]
    if not sides or any(len(side.by_seed) < len(study.comparing) for side in sides):
        return None
    return Against(found, *sides)


@dataclass(frozen=True, slots=True)
class Searched:
    """All searches of a task at a length, each beside the grid."""

    each: tuple[Against, ...]

    def to_chosen(self) -> Interval:
        """What the files found gain on what the grid chooses: the mean over searches and seeds."""
        return crossed([gains(one.winner, one.chosen) for one in self.each])

    def to_best(self) -> Interval:
        """The same, to what proved best in the test."""
        return crossed([gains(one.winner, one.best) for one in self.each])


def searched(study: Study, known: Mapping[Key, Figures], found: Iterable[Found]) -> list[Searched]:
    """The searches that there are beside the grid, task by task."""
    by_place: dict[tuple[str, int], list[Against]] = {}
    for search in found:
        if (one := against(study, known, search)) is not None:
            by_place.setdefault((search.task, search.epochs), []).append(one)
    return [Searched(tuple(each)) for each in by_place.values()]


def gains(arm: Reported, other: Reported, measure: Measure = score) -> list[float]:
    """What an arm has more than another, of test accuracy as shares of 1 if nothing is said, seed by seed."""
    pairs = [(measure(arm.by_seed[seed]), measure(other.by_seed[seed])) for seed in both(arm, other)]
    return [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]


def crossed(rows: Sequence[Sequence[float]]) -> Interval:
    """The mean of a table of searches by seeds, with an interval for both: their squares are added.

    What is left of each cell when its row and column are known counts in both, so the interval is rather wide.
    """
    columns = list(zip(*rows, strict=True))
    sides = [Interval.of([statistics.fmean(line) for line in lines]) for lines in (rows, columns)]
    halves = [side.half for side in sides if side.half is not None]
    count = sum(map(len, rows))
    return Interval(sides[0].mean, math.hypot(*halves) if halves else None, count)


def _with_base(study: Study, known: Mapping[Key, Figures], unit: Unit, base: float) -> Reported:
    """A unit at a base rate, with what is there of the seeds for comparing."""
    place = (unit.task.name, unit.arm.name, unit.epochs)
    own = _newest({k: f for k, f in known.items() if (k.task, k.arm, k.epochs) == place})
    seeds = {seed: own[key] for seed in study.comparing if (key := (base, seed, "report")) in own}
    return Reported(unit, Tuned(base, (), False), seeds, len(own))


def saved(arm: Reported, other: Reported) -> Interval | None:
    """The part of another arm's processor time that an arm does without, seed by seed."""
    parts = [1 - arm.by_seed[seed].seconds / other.by_seed[seed].seconds for seed in both(arm, other)]
    return Interval.of(parts) if parts else None


def both(arm: Reported, other: Reported) -> list[int]:
    return sorted(arm.by_seed.keys() & other.by_seed.keys())


@dataclass(frozen=True, slots=True)
class Tested:
    """A claim on one task at one length. found is a difference in shares of 1, or the share of time saved."""

    claim: Claim
    task: str
    epochs: int
    found: Interval

    @property
    def verdict(self) -> str:
        """What the interval says of the claim."""
        if not self.found.sure:
            return "not contradicted" if self.claim.expects == "not less" else "not seen"
        return "confirmed" if self.found.mean > 0 else "contradicted"


def verdicts(study: Study, standings: list[Reported]) -> list[Tested]:
    """Every claim wherever both of its arms were reported."""
    known = {(s.unit.task.name, s.unit.epochs, s.unit.arm.name): s for s in standings}
    places = dict.fromkeys((task, epochs) for task, epochs, _ in known)
    found = []
    for claim in study.claims:
        for task, epochs in places:
            arm, other = known.get((task, epochs, claim.arm)), known.get((task, epochs, claim.against))
            if arm is None or other is None or task not in (claim.tasks or (task,)):
                continue
            gain = (
                saved(arm, other)
                if claim.measure == "seconds"
                else difference(arm, other, MEASURES[claim.measure])
            )
            if gain is not None:
                found.append(Tested(claim, task, epochs, gain))
    return found
