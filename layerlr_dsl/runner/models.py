"""The model of a run: built from its spec, and seen to take the data before any training starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.runner.data import IMAGENET_MEAN, IMAGENET_STD, Batch, Data, Samples, Wanted
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.feed import called, in_full
from layerlr_dsl.runner.tasks import FirstLook, Task, try_out
from layerlr_dsl.tools.printable import first_line

if TYPE_CHECKING:
    from torch import nn

    from layerlr_dsl.runner.weights import Loaded

SAMPLES = 2


def build_model(spec: str, *, from_file: bool, root: Path | None) -> nn.Module:
    """The model that `spec` names; one named by a rule file may run no code. Raises RunnerError."""
    from layerlr_dsl.model.specs import build

    try:
        return build(spec, root=root if from_file else None, allow_python=not from_file)
    except ModelError as fault:
        raise RunnerError(fault.message, fault.help) from None


def pretrained(spec: str | None, weights: str) -> nn.Module:
    """The model that `spec` names with `weights` in it: a path, or a name that goes with the model.

    A classifier of another number of classes than in the weights is left as it was built. Raises RunnerError.
    """
    from layerlr_dsl.runner.weights import load_weights

    if spec is None:
        raise RunnerError("there is no model to load weights into", 'write `model "..."` in the rule file')
    model = build_model(spec, from_file=True, root=None)
    load_weights(model, weights, spec)
    return model


def wanted_images(model: nn.Module, image_size: int | None) -> Wanted:
    """What images the model was made for: its library's own numbers where it carries some, else ImageNet's.

    The size is None where the model takes any and none is asked for.
    """
    known: Any = getattr(model, "pretrained_cfg", None)
    facts = dict(known) if isinstance(known, dict) else {}
    fixed = facts.get("input_size", (None, None))[-1] if facts.get("fixed_input_size") else None
    own = getattr(model, "image_size", fixed)
    hugging = getattr(getattr(model, "config", None), "image_size", None)
    side = next((size for size in (image_size, own, hugging) if isinstance(size, int)), None)
    return Wanted(
        size=side,
        mean=tuple(facts.get("mean", IMAGENET_MEAN)),
        std=tuple(facts.get("std", IMAGENET_STD)),
    )


@dataclass(frozen=True, slots=True)
class Fit:
    """A few samples that went through the model: its inputs as they were, and what the task measures."""

    inputs: Any
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Begun:
    """A model as a run begins with it, seen to take the data, and what the task makes of it.

    `loaded` tells of its weights where they came from a file, `notes` of a head that starts afresh,
    `warnings` of what will hardly be meant.
    """

    model: nn.Module
    data: Data
    task: Task
    fit: Fit
    loaded: Loaded | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def check_fit(model: nn.Module, data: Data, spec: str, task: Task) -> Fit:
    """Run a few samples through the model on the CPU, and what it gives through the task.

    Raises RunnerError where the model does not take the data, or the task not what the model gives. Lazy
    layers get their shapes here.
    """
    inputs, targets = look_at(data, data.validation, task, SAMPLES)
    try:
        outputs = outputs_of(model, inputs, task)
    except Exception as fault:
        shape = tuple(getattr(inputs, "shape", ()))
        raise RunnerError(
            f"{spec} does not take the samples of {data.name} (shape {shape}): {first_line(fault)}",
            None if data.name.startswith("python:") else "see whether --image-size helps",
        ) from None
    seen = min(SAMPLES, len(data.validation))
    task.first_look(outputs, targets, FirstLook(data.name, spec, seen, data.classes))
    return Fit(inputs, try_out(task, outputs, targets))


def outputs_of(model: nn.Module, inputs: Any, task: Task) -> Any:
    """What the task gets of the model for `inputs`, in eval mode and without gradients."""
    import torch

    model.eval()
    with torch.no_grad():
        return in_full(task.outputs(called(model, inputs)))


def look_at(data: Data, samples: Samples, task: Task, count: int) -> Batch:
    """Up to `count` of these samples, from all over the set, as the model and the task get them.

    Raises RunnerError.
    """
    count = min(count, len(samples))
    places = [index * len(samples) // count for index in range(count)]
    try:
        return task.inputs_and_targets(data.collate(samples.__getitems__([(at, at) for at in places])))
    except RunnerError:
        raise
    except Exception as fault:
        raise RunnerError(
            f"{data.name}: samples do not make a batch of inputs and targets: {first_line(fault)}",
            "a sample is (tensor, class number), and all tensors are of one shape",
        ) from fault
