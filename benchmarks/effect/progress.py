"""How far a study is, and how long it may take yet."""

from __future__ import annotations

import statistics
from collections import defaultdict

from effect.design import Study, Unit
from effect.record import Figures, Key, Record


class Progress:
    """Counts trials of `units` in the record. A grid that grows adds trials that nobody could foresee."""

    def __init__(self, study: Study, units: list[Unit], record: Record, processes: int = 1) -> None:
        self.study = study
        self.units = {(unit.task.name, unit.arm.name, unit.epochs) for unit in units}
        self.record = record
        self.processes = processes

    @property
    def least(self) -> int:
        """Trials of a unit whose grid does not grow."""
        return self.study.points * len(self.study.tuning) + len(self.study.reporting)

    def line(self, key: Key, figures: Figures) -> str:
        """`letters, 6 epochs, decay: base 1e-3, seed 11: 61.2 %, 4.9 s; trial 34, about 41 min left`."""
        score = "diverged" if figures.score is None else f"{figures.score:.1%}"
        done, left = self.left()
        what = f"{key.task}, {key.epochs} epochs, {key.arm}: base {key.base:g}, {key.part} {key.seed}"
        return f"{what}: {score}, {figures.seconds:.1f} s; {done} done, about {left} left, {self._time()}"

    def left(self) -> tuple[int, int]:
        """Trials done, and the least number of those to come."""
        counts = self._counts()
        missing = sum(self._missing(counts[unit]) for unit in self.units)
        return sum(sum(parts.values()) for parts in counts.values()), missing

    def _missing(self, parts: dict[str, int]) -> int:
        tune = max(0, self.study.points * len(self.study.tuning) - parts["tune"])
        return tune + max(0, len(self.study.reporting) - parts["report"])

    def _counts(self) -> dict[tuple[str, str, int], dict[str, int]]:
        counts: dict[tuple[str, str, int], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for key in self.record.all():
            if (key.task, key.arm, key.epochs) in self.units:
                counts[key.task, key.arm, key.epochs][key.part] += 1
        return counts

    def seconds_left(self) -> float:
        """Wall seconds, by what trials of the same task took, or else of any task, an epoch."""
        known = defaultdict(list)
        for key, figures in self.record.all().items():
            known[key.task].append(figures.wall / key.epochs)
        if not known:
            return 0.0
        usual = statistics.fmean(value for values in known.values() for value in values)
        counts = self._counts()
        total = 0.0
        for unit in self.units:
            an_epoch = statistics.fmean(known[unit[0]]) if known[unit[0]] else usual
            total += self._missing(counts[unit]) * an_epoch * unit[2]
        return total / self.processes

    def _time(self) -> str:
        minutes = self.seconds_left() / 60
        return f"{minutes:.0f} min" if minutes >= 1 else "less than a minute"
