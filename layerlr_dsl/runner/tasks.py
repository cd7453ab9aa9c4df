"""What a run trains for: how a batch is taken apart, the loss it gives, and what is measured.

`layerlr train` classifies by itself. For anything else (regression, segmentation, a loss of one's own)
derive a class from `Task` and name it: `--task python:module:MyTask`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner import own_code
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import first_line

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of the validation set: its name, whether more of it is better, and whether it is a share of 1.

    `title` heads its column in the table of epochs, in six characters or fewer.
    """

    name: str
    rising: bool = True
    share: bool = False
    title: str = ""

    def better(self, value: float, best: float | None) -> bool:
        """Whether `value` beats the best so far; what is no number beats nothing but its like."""
        if best is None or math.isnan(best):
            return True
        return value > best if self.rising else value < best

    def text(self, value: float) -> str:
        """The value in six characters or few more."""
        if self.share:
            return f"{value:.1%}"
        exact = spelled(value, 4)
        return exact if len(exact) <= 6 else spelled(value, 2)

    @property
    def is_loss(self) -> bool:
        """Whether it is the loss itself, which has its column anyway."""
        return self.name == "loss"

    @property
    def heading(self) -> str:
        told = self.title or self.name
        return told if len(told) <= 6 else f"{told[:5]}\N{HORIZONTAL ELLIPSIS}"


LOSS = Metric("loss", rising=False)


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What is known when a task sees the model's outputs for the first time: names for messages, classes."""

    data: str
    model: str
    samples: int
    classes: int | None


class Task:
    """Derive from this and override what is other than for a mean over (input, target) pairs.

    `metric` decides which epoch was the best and has a column in the table of epochs; by default the
    validation loss decides. `stratified` says that targets are class numbers, by which a set may be split.
    """

    metric: Metric = LOSS
    stratified: bool = False

    def inputs_and_targets(self, batch: Any) -> tuple[Any, Any]:
        """What the model is called with (a tensor, or a mapping of its keyword arguments), and the rest.

        Both may be tensors, or mappings and sequences of tensors; they are moved to the device afterwards.
        """
        inputs, targets = batch
        return inputs, targets

    def outputs(self, returned: Any) -> Any:
        """What `loss` and `measure` need of what the model returned: its `logits`, or the first of a tuple."""
        returned = getattr(returned, "logits", returned)
        return returned[0] if isinstance(returned, tuple) else returned

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        """What is made small: one number for each sample, shape (batch,), or their mean, shape ()."""
        raise NotImplementedError

    def validation_loss(self, outputs: Any, targets: Any) -> Tensor:
        """The loss that validation reports, where it is another: without smoothing, say."""
        return self.loss(outputs, targets)

    def measure(self, outputs: Any, targets: Any) -> Mapping[str, Tensor]:
        """What can be added up over batches and processes, under the same names and shapes each time."""
        return {}

    def metrics(self, sums: Mapping[str, Tensor], count: int) -> Mapping[str, float]:
        """The figures of `count` samples from what was added up: by default means over samples.

        They are reported, and rules may wait for them, as `train_NAME` and `val_NAME`.
        """
        return {name: float(value) / count for name, value in sums.items()}

    def count(self, targets: Any) -> int:
        """How many samples a batch has: the rows of the first tensor in its targets."""
        return len(first_tensor(targets))

    def first_look(self, outputs: Any, targets: Any, look: FirstLook) -> None:
        """Refuse, with a RunnerError, a model or data that do not fit; hears of a few samples before training."""

    def rows(self, outputs: Any, classes: Sequence[str] | None) -> list[dict[str, Any]]:
        """What `layerlr predict` says of each sample: a mapping of column to value."""
        return [{"output": value} for value in first_tensor(outputs).tolist()]

    def read(self, path: Path) -> Any:
        """One sample's input from a file, for `layerlr predict`; None where the run's own way will do."""
        return None


def load(spec: str | None) -> Task | None:
    """The task that `--task` names, None where none is named. Raises RunnerError."""
    if spec is None:
        return None
    target = own_code.target_of(spec)
    if target is None:
        raise RunnerError(f"--task {spec}: no task", "give python:module:Task, a class derived from Task")
    found = own_code.called(target)
    if not isinstance(found, Task):
        raise RunnerError(
            f"--task {spec} gives a {type(found).__name__}, which is no task",
            "derive its class from layerlr_dsl.runner.tasks.Task",
        )
    return found


def try_out(task: Task, outputs: Any, targets: Any) -> tuple[str, ...]:
    """See, on a few samples, that loss and metrics are what they must be; the names of the metrics.

    Raises RunnerError.
    """
    import torch

    name = f"the task {type(task).__name__}"
    try:
        count = task.count(targets)
        for loss in (task.loss(outputs, targets), task.validation_loss(outputs, targets)):
            if not isinstance(loss, torch.Tensor) or tuple(loss.shape) not in ((), (count,)):
                shape = tuple(getattr(loss, "shape", ()))
                raise ValueError(f"the loss has shape {shape}, not () or ({count},)")
        figures = task.metrics(dict(task.measure(outputs, targets)), count)
        figures = {str(key): float(value) for key, value in figures.items()}
    except RunnerError:
        raise
    except NotImplementedError:
        raise RunnerError(f"{name} has no loss", "give its class a method loss(outputs, targets)") from None
    except Exception as fault:
        raise RunnerError(
            f"{name} fails on the first samples: {type(fault).__name__}: {first_line(fault)}"
        ) from fault
    _check_names(task, figures, name)
    return tuple(figures)


def _check_names(task: Task, figures: Mapping[str, float], name: str) -> None:
    if odd := [key for key in figures if not key.isidentifier() or key in RESERVED]:
        raise RunnerError(
            f"{name}: {odd[0]!r} cannot be the name of a metric", "give a name that is a word of its own"
        )
    if not task.metric.is_loss and task.metric.name not in {*figures, LOSS.name}:
        measured = ", ".join(figures) or "nothing"
        raise RunnerError(
            f"{name}: its metric {task.metric.name!r} is not among what it measures ({measured})"
        )


RESERVED = ("loss", "kind", "epoch", "step", "gradient_norm", "applied", "lr", "frozen", "count")


def first_tensor(nest: Any) -> Tensor:
    """The first tensor in a nest of mappings and sequences. Raises ValueError where there is none."""
    import torch
    from torch.utils._pytree import tree_leaves

    if isinstance(nest, torch.Tensor):
        return nest
    leaves = tree_leaves(dict(nest) if isinstance(nest, Mapping) else nest)
    found = next((leaf for leaf in leaves if isinstance(leaf, torch.Tensor)), None)
    if found is None:
        raise ValueError("there is no tensor in it")
    return found
