"""Going through a study: units one after the other, by as many processes as there are, each trial once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from effect import data, files, networks, searching
from effect.data import Data, draw
from effect.design import Study, Task, Unit
from effect.figures import compared, reported
from effect.networks import Network
from effect.packages import Missing
from effect.progress import Progress
from effect.record import TRIALS, Figures, Found, Key, Record, about, digest, keep_search, searches
from effect.trial import Setting, scored, train
from effect.tuning import tuned
from layerlr_dsl.runner.errors import RunnerError

SKIPPED, ABOUT = "skipped", "about.json"


@dataclass
class Bench:
    """Data and network of the task at hand."""

    cache: Path
    _task: Task | None = None
    _made: tuple[Data, Network] | None = None

    def of(self, task: Task) -> tuple[Data, Network]:
        """Made when first asked for, and kept until another task is. Raises Missing."""
        if self._task != task or self._made is None:
            found = data.load(task, self.cache)
            self._task, self._made = task, (found, networks.network(task.network, found.classes, self.cache))
        return self._made


@dataclass
class Worker:
    """Runs what is left of a study, in this process."""

    study: Study
    units: list[Unit]
    cache: Path
    tell: Callable[[str], None]
    processes: int = 1
    progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self.record = Record(self.cache / TRIALS)
        self.bench = Bench(self.cache)
        self.progress = Progress(self.study, self.units, self.record, self.processes)

    def run(self) -> None:
        """All units that no other process has in hand."""
        self.cache.mkdir(parents=True, exist_ok=True)
        (self.cache / ABOUT).write_text(json.dumps(about()) + "\n", "utf-8")
        for unit in self.units:
            try:
                with FileLock(self._lock(unit), timeout=0):
                    self._unit(unit)
            except Timeout:
                continue
            except Missing as fault:
                self._skip(unit.task, str(fault))

        for name, epochs in self.study.searched:
            for task in self.study.tasks:
                if task.name == name and task in {unit.task for unit in self.units}:
                    for seed in self.study.searching:
                        self.search(task, epochs, seed)

    def search(self, task: Task, epochs: int, seed: int) -> None:
        """What `layerlr tune` finds here, once the grid is complete, unless it is known or another process has it in hand."""
        names = searching.family_of(self.study, task.network)
        units = [
            u
            for u in self.study.units(("core", "full"))
            if (u.task, u.epochs) == (task, epochs) and u.arm.name in names
        ]
        done = [one.unit for one in reported(self.study, self.record.all())]
        if not units or any(unit not in done for unit in units):
            return
        place = (task.name, epochs, seed)
        with suppress(Timeout), FileLock(self._locked(f"{task.name}-{epochs}-search-{seed}"), timeout=0):
            known = [f for f in searches(self.cache) if (f.task, f.epochs, f.seed) == place]
            try:
                self._compare(known[0] if known else self._found(task, epochs, seed))
            except RunnerError as fault:
                self.tell(f"{task.name}, {epochs} epochs: tune found nothing: {fault}")

    def _found(self, task: Task, epochs: int, seed: int) -> Found:
        pace, made = self._pace(task, epochs), self.bench.of(task)
        validation = searching.validation_seconds(task, made, seed) / pace
        costs = searching.costs(self.study, task, epochs, self.record.all(), validation)
        return keep_search(searching.search(self.study, task, epochs, made, costs, seed), self.cache)

    def _pace(self, task: Task, epochs: int) -> float:
        """How long training takes here, now, for a second of the grid's, which may have been run elsewhere.

        By the grid's first trial of the baseline, which is run again.
        """
        arm = next(arm for arm in self.study.arms if arm.name == self.study.baseline)
        known = self.record.all().items()
        key, before = next(
            (key, figures)
            for key, figures in known
            if (key.task, key.epochs, key.arm, key.part) == (task.name, epochs, arm.name, "tune")
        )
        return self._attempt(Unit(task, arm, epochs)).run(key).seconds / before.seconds

    def _compare(self, found: Found) -> None:
        """The winner of a search, and the grid's, on all seeds for comparing."""
        self.tell(f"{found.task}, {found.epochs} epochs: tune found {found.arm}, base {found.base:g}")
        for unit, base in compared(self.study, self.record.all(), found):
            attempt = self._attempt(unit)
            with FileLock(self._lock(unit)):  # another search may have found the same
                for seed in self.study.comparing:
                    attempt.report(base, seed)

    def _lock(self, unit: Unit) -> Path:
        return self._locked(f"{unit.task.name}-{unit.epochs}-{unit.arm.name}")

    def _locked(self, name: str) -> Path:
        folder = self.cache / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.lock"

    def _attempt(self, unit: Unit) -> Attempt:
        found, network = self.bench.of(unit.task)
        rules = files.text(unit.arm, unit.task.network, network, unit.epochs)
        return Attempt(self, unit, found, network, rules)

    def _skip(self, task: Task, why: str) -> None:
        path = self.cache / SKIPPED / task.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            self.tell(f"{task.name} is skipped: {why}")
        path.write_text(why + "\n", "utf-8")

    def _unit(self, unit: Unit) -> None:
        attempt = self._attempt(unit)
        (self.cache / SKIPPED / unit.task.name).unlink(missing_ok=True)
        attempt.keep_rules()
        best = tuned(unit.arm.grid, self.study.points, self.study.tuning, attempt.tune)
        if best is None:
            self.tell(f"{unit.task.name}, {unit.arm.name}: every base rate diverged")
            return
        for seed in self.study.reporting:
            attempt.report(best.base, seed)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Trials of one unit."""

    worker: Worker
    unit: Unit
    found: Data
    network: Network
    rules: str

    def keep_rules(self) -> None:
        """The rule file, for whoever wants to see what was run."""
        path = (
            self.worker.cache / "rules" / f"{self.unit.task.name}-{self.unit.epochs}-{self.unit.arm.name}.lr"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.rules, "utf-8")

    def tune(self, base: float, seed: int) -> Figures:
        return self._trial(base, seed, "tune")

    def report(self, base: float, seed: int) -> Figures:
        return self._trial(base, seed, "report")

    def _trial(self, base: float, seed: int, part: str) -> Figures:
        task, arm = self.unit.task, self.unit.arm
        sizes = (task.network, task.side, task.train, task.validation, task.batch)
        told = digest(files.bare(self.rules), sorted(arm.lets.items()), arm.head, *sizes)
        key = Key(task.name, arm.name, self.unit.epochs, base, seed, part, told)
        known = self.worker.record.get(key)
        if known is not None:
            return known
        figures = self.run(key)
        self.worker.record.add(key, figures)
        self.worker.tell(self.worker.progress.line(key, figures))
        return figures

    def run(self, key: Key) -> Figures:
        """Train, and note nothing."""
        base, seed, part, began = key.base, key.seed, key.part, time.monotonic()
        training, validation = draw(self.found, self.unit.task, seed)
        lets: Mapping[str, float] = {**self.unit.arm.lets, "base": base}
        task, arm = self.unit.task, self.unit.arm
        setting = Setting(self.rules, lets, self.unit.epochs, task.batch, seed, arm.head)
        done = train(self.network, training, setting)
        score = loss = shift = None
        if done.finite:
            seen = validation if part == "tune" else self.found.test
            score, loss = scored(self.network, done.model, seen)
            if part == "report" and self.found.shift is not None:
                shift, _ = scored(self.network, done.model, self.found.shift)
        wall = time.monotonic() - began
        return Figures(score, loss, shift, done.seconds, done.memory, done.trains, wall)
