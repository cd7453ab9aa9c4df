"""What `layerlr tune` finds in a tenth of the grid's time: the built-in family on a task, and the winner on the study's seeds.

Both sides are counted in the grid's processor seconds of training and validation, so that it does not matter where, and
beside what, a search is run: the grid's over all trials of the family's arms that the study ran, the search's by a
clock that a training of an arm moves by what it took in the grid on average.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from torch import nn

from effect import files
from effect.data import Data, draw
from effect.design import Study, Task
from effect.figures import reported
from effect.networks import Network
from effect.record import Figures, Found, Key
from effect.trial import Setting, begun, scored, train
from layerlr_dsl.tuning import family
from layerlr_dsl.tuning.arms import Arm, Candidate
from layerlr_dsl.tuning.budget import ENDING, Budget
from layerlr_dsl.tuning.outcome import Scored
from layerlr_dsl.tuning.report import Report
from layerlr_dsl.tuning.search import Search
from layerlr_dsl.tuning.trials import Settings

PART = 0.1
"""Of the grid's time."""


def family_of(study: Study, network: str) -> list[str]:
    """The arms that `layerlr tune` compares where it is given no files, in its order."""
    named = {arm.name: arm for arm in study.arms}
    return [style for style in family.STYLES if style in named and network in named[style].networks]


def search(
    study: Study, task: Task, epochs: int, made: tuple[Data, Network], costs: Costs, seed: int
) -> Found:
    """Let the search have a tenth of what the grid spent, and what the grid's validation would take.

    Raises RunnerError where it comes to nothing.
    """
    data, network = made
    names = family_of(study, task.network)
    with tempfile.TemporaryDirectory() as folder:
        arms = _arms(study, names, task, network, epochs, Path(folder))
        trainer = Trainer(task, data, network, epochs, costs)
        whole = costs.grid + costs.validation * len(names) * study.points * len(study.tuning)
        part = PART * whole
        # a budget keeps seconds for what is written at the end, which is nothing here
        budget = Budget(part + min(ENDING, part / 9), trainer.clock)
        settings = Settings(trials=None, seed=seed, metric="accuracy", share=True)
        outcome = Search(arms, trainer, settings, budget).run()
    winner = outcome.winner
    assert winner is not None
    assert winner.best is not None
    assert winner.best.scored is not None
    tried = {one.arm.name: len(one.trials) + len(one.finals) for one in outcome.standings}
    base = winner.best.values["base"]
    return Found(
        task.name, epochs, seed, winner.arm.name, base, winner.best.scored.value, whole, budget.gone, tried
    )


def _arms(
    study: Study, names: list[str], task: Task, network: Network, epochs: int, folder: Path
) -> list[Arm]:
    """The family as rule files, each with the range that `layerlr tune` gives it."""
    made = []
    for arm in sorted(
        (one for one in study.arms if one.name in names), key=lambda one: names.index(one.name)
    ):
        path = folder / f"{arm.name}.lr"
        path.write_text(files.text(arm, task.network, network, epochs), "utf-8")
        made.append(Arm(arm.name, path, family.rates(arm.name)))
    return made


@dataclass(frozen=True, slots=True)
class Costs:
    """Processor seconds in the grid: of training in all its trials, of one training by arm, and of one validation."""

    grid: float
    training: Mapping[str, float]
    validation: float


@dataclass(slots=True)
class Clock:
    """Stands still but for what is trained and validated."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(frozen=True, slots=True)
class Trainer:
    """The study's own training, as the search wants it: told of validation at half of its length, and at the end."""

    task: Task
    data: Data
    network: Network
    epochs: int
    costs: Costs
    clock: Clock = field(default_factory=Clock)
    begun: dict[int, nn.Module] = field(default_factory=dict)
    """The network by seed, its head begun: once for all trials of it, as `layerlr tune` makes a model once."""

    def __call__(self, candidate: Candidate, report: Report) -> Scored:
        """Train a candidate. Raises what ends it early."""
        began, of_an_epoch = self.clock(), self.costs.training[candidate.arm.name] / self.epochs
        training, validation = draw(self.data, self.task, candidate.seed)
        seen: list[tuple[float, float]] = []

        def look(model: nn.Module, epoch: int) -> None:
            self.clock.seconds += of_an_epoch
            report.alive()
            if epoch in (self.epochs // 2, self.epochs):
                self.clock.seconds += self.costs.validation
                seen.append(scored(self.network, model, validation))
                report(seen[-1][0], epoch)

        rules = candidate.arm.rules.read_text("utf-8")
        setting = Setting(rules, candidate.values, self.epochs, self.task.batch, candidate.seed)
        if candidate.seed not in self.begun:
            self.begun[candidate.seed] = begun(self.network, training, setting)
        model = copy.deepcopy(self.begun[candidate.seed])
        done = train(self.network, training, setting, look, model)
        self.clock.seconds += 0 if done.finite else of_an_epoch
        value, loss = seen[-1] if done.finite and seen else (float("nan"), None)
        return Scored(value, loss, self.clock() - began, done.trains)


def validation_seconds(task: Task, made: tuple[Data, Network], seed: int) -> float:
    """What validation takes of the processor here; the first time, which takes longer, is not counted."""
    data, network = made
    _, validation = draw(data, task, seed)
    scored(network, network.model, validation)
    began = time.process_time()
    scored(network, network.model, validation)
    return time.process_time() - began


def costs(study: Study, task: Task, epochs: int, known: Mapping[Key, Figures], validation: float) -> Costs:
    """Of the grid's trials of the family's arms: not of what a search had run."""
    names = family_of(study, task.network)
    bases = {
        one.unit.arm.name: one.best.base
        for one in reported(study, known)
        if (one.unit.task, one.unit.epochs) == (task, epochs) and one.best is not None
    }
    trials: dict[str, list[Figures]] = {name: [] for name in names}
    for key, figures in known.items():
        if (
            (key.task, key.epochs) == (task.name, epochs)
            and key.arm in names
            and (key.part == "tune" or (key.base == bases.get(key.arm) and key.seed in study.reporting))
        ):
            trials[key.arm].append(figures)
    whole = {name: [one.seconds for one in each if one.score is not None] for name, each in trials.items()}
    spent = sum(one.seconds for each in trials.values() for one in each)
    return Costs(spent, {name: fmean(seconds) for name, seconds in whole.items()}, validation)
