"""A trained model held against data: its loss and metrics, and for a classifier who is taken for whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from layerlr_dsl.runner import fingerprint
from layerlr_dsl.runner.classification import Classification
from layerlr_dsl.runner.data import Data, Request, Samples, Wanted
from layerlr_dsl.runner.datasets import load
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.feed import Fetcher, Loading, called, in_full
from layerlr_dsl.runner.models import check_fit, wanted_images
from layerlr_dsl.runner.order import validation_batches
from layerlr_dsl.runner.step import summed
from layerlr_dsl.runner.sums import Sums, metrics
from layerlr_dsl.runner.trained import Trained

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Part = Literal["training", "validation", "test", "all"]


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How one class fared: shares of those said to be it that are, of those that are it that were said to be,
    and their harmonic mean; None where there is nothing to take a share of.
    """

    name: str
    samples: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came out. `confusion[i][j]` counts samples of class i that were taken for class j."""

    data: str
    part: str
    samples: int
    loss: float
    metrics: dict[str, float]
    classes: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """Which data to judge by, the run's own where `data` is None, and which part of it."""

    data: str | None = None
    part: Part | None = None
    batch_size: int | None = None
    workers: int = 0


def judge(trained: Trained, question: Question, advance: Callable[[int, int], None]) -> Judgement:
    """Score the model. `advance` hears how many samples of how many are done. Raises RunnerError."""
    own = question.data in (None, trained.config.data)
    data = _data(trained, None if own else question.data)
    part, sets = _chosen(data, question.part, own=own)
    numbers = _numbers(trained, data)
    known = data if numbers is None else replace(data, classes=None)
    check_fit(trained.model.cpu(), known, trained.about.model, trained.task)
    trained.model.to(trained.device)
    tally = _Tally(trained, numbers)
    loading = Loading(trained.device, question.workers)
    total = sum(map(len, sets))
    for samples in sets:
        size = question.batch_size or trained.config.batch_size
        parts = validation_batches(len(samples), size, 0, 1)
        for inputs, targets in Fetcher(data, samples, loading, trained.task)([keys for keys, _ in parts]):
            tally.add(inputs, targets)
            advance(tally.count, total)
    return tally.judgement(data, part, _notes(trained, data, own=own))


def _data(trained: Trained, spec: str | None) -> Data:
    config, prepared = trained.config, trained.about.preparation
    wanted = wanted_images(trained.model, config.image_size)
    if prepared is not None:
        wanted = Wanted(prepared.size, prepared.mean, prepared.std)
    stratified = trained.task.stratified
    if spec is None:
        return load(
            Request(
                config.data,
                wanted,
                config.validation,
                config.seed,
                False,
                config.test,
                stratified,
                config.test_seed,
            )
        )
    return load(Request(spec, wanted, config.validation, config.seed, False, 0.0, stratified))


def _chosen(data: Data, asked: Part | None, *, own: bool) -> tuple[str, list[Samples]]:
    """The sets to judge by: of the run's data what it was not trained on, of other data its test part or all."""
    parts = data.parts()
    part = asked or ("test" if "test" in parts else "validation" if own else "all")
    if part == "all":
        return part, list(parts.values())
    if part not in parts:
        raise RunnerError(f"{data.name} has no {part} part", f"it has {', '.join(parts)}")
    return part, [parts[part]]


def _numbers(trained: Trained, data: Data) -> list[int] | None:
    """The model's class for each class of the data, by their names; None where they are the same numbers."""
    if not isinstance(trained.task, Classification):
        return None
    known, names = trained.about.classes, data.class_names
    if known is None or names is None or known == names:
        return None
    strange = [name for name in names if name not in known]
    if strange:
        raise RunnerError(
            f"{data.name} has classes that the model does not know: {', '.join(strange[:5])}",
            f"it knows {', '.join(known[:10])}{', ...' if len(known) > 10 else ''}",
        )
    return [known.index(name) for name in names]


def _notes(trained: Trained, data: Data, *, own: bool) -> tuple[str, ...]:
    if not own:
        return ()
    told = fingerprint.check(trained.content["data"], fingerprint.of(data), accepted=True)
    return (
        ()
        if told is None
        else (told.replace("going on with changed data:", "the data changed since the run:"),)
    )


class _Tally:
    """What is added up over batches."""

    def __init__(self, trained: Trained, numbers: Sequence[int] | None) -> None:
        self._trained = trained
        self._numbers = numbers
        self._sums = Sums(trained.task, trained.device)
        self._confusion: Tensor | None = None
        self.count = 0

    def add(self, inputs: Any, targets: Any) -> None:
        import torch

        task = self._trained.task
        if self._numbers is not None:
            targets = torch.tensor(self._numbers, device=self._trained.device)[targets]
        with torch.no_grad():
            outputs = in_full(task.outputs(called(self._trained.model, inputs)))
            count = task.count(targets)
            self._sums.add(summed(task.validation_loss(outputs, targets), count), outputs, targets, count)
            if isinstance(task, Classification):
                self._add_confusion(outputs, targets)
        self.count += count

    def _add_confusion(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        classes = outputs.shape[1]
        pairs = (targets * classes + outputs.argmax(1)).bincount(minlength=classes * classes).cpu()
        pairs = pairs.view(classes, classes)
        self._confusion = pairs if self._confusion is None else self._confusion + pairs

    def judgement(self, data: Data, part: str, notes: tuple[str, ...]) -> Judgement:
        loss, count, measured = self._sums.named(self._sums.vector.tolist())
        figures = metrics(self._trained.task, measured, count)
        found = Judgement(data.name, part, count, loss / count, figures, notes=notes)
        if self._confusion is None:
            return found
        counts = self._confusion.tolist()
        names = self._trained.about.classes or tuple(map(str, range(len(counts))))
        return replace(found, classes=class_scores(counts, names), confusion=tuple(map(tuple, counts)))


def class_scores(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> tuple[ClassScore, ...]:
    """Precision, recall and F1 of each class, from who was taken for whom."""
    scores = []
    for at, name in enumerate(names):
        right = confusion[at][at]
        samples, said = sum(confusion[at]), sum(row[at] for row in confusion)
        f1 = 2 * right / (samples + said) if samples + said else None
        scores.append(
            ClassScore(
                name, samples, right / said if said else None, right / samples if samples else None, f1
            )
        )
    return tuple(scores)
