"""What is looked at before the first trial: the data, and each file against the model."""

from __future__ import annotations

from dataclasses import dataclass

from layerlr_dsl.language.diagnostics import RuleError
from layerlr_dsl.runner import origin, processes
from layerlr_dsl.runner.data import Data
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.setup import Built, build, spec_of
from layerlr_dsl.runner.tasks import Metric, Task
from layerlr_dsl.tuning.arms import Arm, Candidate
from layerlr_dsl.tuning.running import Runner

FEW = 100
"""With fewer validation samples, what a single one counts is worth saying."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What all trials have in common: the model, the data, the score, and what should be known of them."""

    model: str
    data: str
    metric: Metric
    notes: tuple[str, ...]


def look(arms: list[Arm], runner: Runner, seed: int) -> Subject:
    """Build the first run and hold every other file against its model.

    Raises RunnerError for what cannot be used, RuleError for findings in a file.
    """
    first = _built(arms[0], runner, seed)
    _check_data(first.data, first.task)
    for arm in arms[1:]:
        _check_rules(arm, runner, first, seed)
    counts = " + ".join(f"{len(part):,}" for part in first.data.parts().values())
    data = f"{first.data.name}: {counts} samples"
    return Subject(first.spec, data, first.task.metric, tuple(_notes(first)))


def _built(arm: Arm, runner: Runner, seed: int) -> Built:
    config = runner.config(Candidate(arm, {}, seed))
    place = processes.join(config)
    try:
        return build(config, place, fresh=True, stock=runner.stock)
    finally:
        processes.leave()


def _check_rules(arm: Arm, runner: Runner, first: Built, seed: int) -> None:
    """The file against the model of the first: names no other one, has no errors, and freezes nothing untrained."""
    config = runner.config(Candidate(arm, {}, seed))
    rules = arm.load({}, config.root)
    if config.model is None and rules.model is not None and spec_of(config, rules)[0] != first.spec:
        raise RunnerError(
            f"{arm.rules} names another model ({rules.model}) than {first.spec}",
            "give one for all with --model",
        )
    if config.model is None and rules.model is None:
        raise RunnerError(f"{arm.rules} names no model", "give one for all with --model")
    try:
        plan = rules.resolve(first.model, config.epochs, first.order.steps_per_epoch, config.steps)
        origin.check_frozen(first.source, first.model, plan, config)
    except RuleError:
        raise
    except RunnerError as fault:
        raise RunnerError(f"{arm.rules}: {fault.message}", fault.help) from None
    except ValueError as fault:
        raise RunnerError(f"{arm.rules}: {fault}") from None


def _check_data(data: Data, task: Task) -> None:
    """Raises RunnerError for data of one class, of which any file would make the same."""
    if not task.stratified:
        return
    labels = list(data.labels()) if data.labels is not None else None
    if data.classes == 1 or (labels is not None and len(set(labels)) == 1):
        raise RunnerError(
            f"{data.name}: all samples are of one class, so any file scores the same",
            "give samples of two classes at least",
        )


def _notes(first: Built) -> list[str]:
    """What `train` would warn of, and what few samples can tell."""
    warnings = [f"warning: {warning}" for warning in first.warnings]
    count = len(first.data.validation)
    if not first.task.metric.share or count >= FEW:
        return warnings
    few = f"{count} validation samples: one more or less right is {1 / count:.1%}, so small differences mean nothing"
    return [*warnings, few]
