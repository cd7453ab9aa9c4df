"""What `layerlr tune` finds in a tenth of the grid's time: the built-in family on a task, and the winner on the study's seeds.

Both sides are counted in processor seconds of training and validation, so that it does not matter what else the
machine does: the grid's over all trials of the family's arms that the study ran, the search's as its budget.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
    study: Study, task: Task, epochs: int, made: tuple[Data, Network], spent: float, seed: int
) -> Found:
    """Let the search have a tenth of what the grid spent, and what the grid's validation would take.

    spent: seconds of the grid's training. Raises RunnerError where it comes to nothing.
    """
    data, network = made
    names = family_of(study, task.network)
    with tempfile.TemporaryDirectory() as folder:
        arms = _arms(study, names, task, network, epochs, Path(folder))
        trainer = Trainer(task, data, network, epochs)
        whole = spent + trainer.validation_seconds(seed) * len(names) * study.points * len(study.tuning)
        part = PART * whole
        # a budget keeps seconds for what is written at the end, which is nothing here
        budget = Budget(part + min(ENDING, part / 9), time.process_time)
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
class Trainer:
    """The study's own training, as the search wants it: told of validation at half of its length, and at the end."""

    task: Task
    data: Data
    network: Network
    epochs: int
    begun: dict[int, nn.Module] = field(default_factory=dict)
    """The network by seed, its head begun: once for all trials of it, as `layerlr tune` makes a model once."""

    def __call__(self, candidate: Candidate, report: Report) -> Scored:
        """Train a candidate. Raises what ends it early."""
        began = time.process_time()
        training, validation = draw(self.data, self.task, candidate.seed)
        seen: list[tuple[float, float]] = []

        def look(model: nn.Module, epoch: int) -> None:
            report.alive()
            if epoch in (self.epochs // 2, self.epochs):
                seen.append(scored(self.network, model, validation))
                report(seen[-1][0], epoch)

        rules = candidate.arm.rules.read_text("utf-8")
        setting = Setting(rules, candidate.values, self.epochs, self.task.batch, candidate.seed)
        if candidate.seed not in self.begun:
            self.begun[candidate.seed] = begun(self.network, training, setting)
        model = copy.deepcopy(self.begun[candidate.seed])
        done = train(self.network, training, setting, look, model)
        value, loss = seen[-1] if done.finite and seen else (float("nan"), None)
        return Scored(value, loss, time.process_time() - began, done.trains)

    def validation_seconds(self, seed: int) -> float:
        """What validation takes of the processor once; the first time, which takes longer, is not counted."""
        _, validation = draw(self.data, self.task, seed)
        scored(self.network, self.network.model, validation)
        began = time.process_time()
        scored(self.network, self.network.model, validation)
        return time.process_time() - began


def spent(study: Study, task: Task, epochs: int, known: Mapping[Key, Figures]) -> float:
    """Processor seconds of training in the grid's trials of the family's arms: not of what a search had run."""
    names = family_of(study, task.network)
    bases = {
        one.unit.arm.name: one.best.base
        for one in reported(study, known)
        if (one.unit.task, one.unit.epochs) == (task, epochs) and one.best is not None
    }
    return sum(
        figures.seconds
        for key, figures in known.items()
        if (key.task, key.epochs) == (task.name, epochs)
        and key.arm in names
        and (key.part == "tune" or (key.base == bases.get(key.arm) and key.seed in study.reporting))
    )
