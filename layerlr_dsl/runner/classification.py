"""The task that `layerlr train` has without being told: one of several classes for each sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner.data import Data
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.tasks import FirstLook, Metric, Task
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.numbers import plural

if TYPE_CHECKING:
    from torch import Tensor

NAMED = 5
ACCURACY = Metric("accuracy", share=True, title="acc")


class Classification(Task):
    """One of several classes for each sample, by cross-entropy; `class_weights` has shape (classes,)."""

    metric = ACCURACY
    stratified = True

    def __init__(self, label_smoothing: float = 0.0, class_weights: Tensor | None = None) -> None:
        self._label_smoothing = label_smoothing
        self._class_weights = class_weights
        self._classes: int | None = None
        self._data = "the data"

    def inputs_and_targets(self, batch: Any) -> tuple[Any, Tensor]:
        import torch

        try:
            inputs, labels = batch
            labels = torch.as_tensor(labels)
        except (TypeError, ValueError):
            kind = type(batch).__name__
            raise ValueError(f"a batch is not (inputs, class numbers) but {kind}") from None
        if labels.is_floating_point() or labels.ndim != 1:
            raise ValueError(
                f"labels must be class numbers, got {labels.dtype} of shape {tuple(labels.shape)}"
            )
        if self._classes is not None:
            check_labels(labels, self._classes, self._data)
        return inputs, labels.to(torch.int64)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        from torch.nn.functional import cross_entropy

        weights = None if self._class_weights is None else self._class_weights.to(outputs.device)
        return cross_entropy(
            outputs, targets, weights, reduction="none", label_smoothing=self._label_smoothing
        )

    def validation_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets, reduction="none")

    def measure(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {ACCURACY.name: (outputs.argmax(1) == targets).sum()}

    def first_look(self, outputs: Any, targets: Any, look: FirstLook) -> None:
        import torch

        if not isinstance(outputs, torch.Tensor) or outputs.ndim != 2 or len(outputs) != look.samples:
            shape = tuple(getattr(outputs, "shape", ()))
            raise RunnerError(
                f"{look.model} gives {shape} for {look.samples} samples, not a score for each class"
            )
        check_head(look, outputs.shape[1])
        self._classes, self._data = int(outputs.shape[1]), look.data

    def rows(self, outputs: Tensor, classes: Sequence[str] | None) -> list[dict[str, Any]]:
        shares, best = outputs.float().softmax(1).max(1)
        return [
            {"class": classes[number] if classes else str(number), "probability": share}
            for share, number in zip(shares.tolist(), best.tolist(), strict=True)
        ]


def check_head(look: FirstLook, outputs: int) -> None:
    """Refuse a model whose head has another number of outputs than the data has classes."""
    if look.classes == 1:
        raise RunnerError(f"{look.data} has one class only", "a classifier needs two to tell apart")
    if look.classes is None or look.classes == outputs:
        return
    help = "build the model with as many outputs as there are classes"
    if look.model.split(":")[0] in ("torchvision", "timm"):
        help = f"write the model as {look.model.split('(')[0]}(num_classes={look.classes})"
    raise RunnerError(f"{look.data} has {look.classes} classes, the model has {outputs} outputs", help)


def check_labels(labels: Tensor, outputs: int, name: str) -> None:
    """Refuse class numbers that the model has no output for. `labels`: integers, shape (batch,)."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= outputs:
        bad = low if low < 0 else high
        raise RunnerError(
            f"{name}: class {bad} has no output: the model has {outputs}",
            f"class numbers go from 0 to {outputs - 1}",
        )


def check_enough(data: Data) -> None:
    """Refuse fewer training samples than classes: whatever the rules, what is scored would not be the data's classes."""
    if data.classes is not None and len(data.train) < data.classes:
        raise RunnerError(
            f"{data.name}: {plural(len(data.train), 'training sample')} of {data.classes} classes",
            "there must be at least one for each class: give more, or leave out classes that have none",
        )


def untaught(data: Data) -> list[str]:
    """What to say of classes that have no training sample; nothing of data whose samples must be read for it."""
    if data.class_names is None or data.labels is None or data.preparation is None:
        return []
    missing = sorted(set(range(len(data.class_names))) - set(data.labels()))
    if not missing:
        return []
    names = ", ".join(data.class_names[number] for number in missing[:NAMED])
    more = ", ..." if len(missing) > NAMED else ""
    return [f"no training sample of {names}{more}: nothing will be learned of that"]


def class_weights(text: str, data: Data) -> Tensor:
    """How much the loss of each class counts, shape (classes,).

    `balanced`: samples / (classes x samples of the class), as scikit-learn has it, so that the mean over
    the training set stays 1. Else `NAME=WEIGHT,...`, and 1 for all others. Raises RunnerError.
    """
    import torch

    if data.labels is None:
        raise RunnerError(f"--class-weights: the classes of {data.name} are not known before training")
    labels = torch.tensor(list(data.labels()))
    classes = data.classes or int(labels.max()) + 1
    if text == "balanced":
        counts = labels.bincount(minlength=classes).clamp(min=1)
        return len(labels) / (classes * counts.float())
    weights = torch.ones(classes)
    names = data.class_names or tuple(map(str, range(classes)))
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.rpartition("="))
        if name not in names:
            near = nearest(name, names)
            raise RunnerError(
                f"--class-weights: {data.name} has no class {name!r}",
                f"did you mean {near}?" if near else "write `balanced`, or NAME=WEIGHT with commas between",
            )
        weights[names.index(name)] = _weight(part, number)
    if not weights.any():
        raise RunnerError("--class-weights: no class has a weight above 0, so nothing would train")
    return weights


def _weight(part: str, number: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < float("inf"):
        raise RunnerError(f"--class-weights {part.strip()}: a weight is a number, 0 or more")
    return weight
