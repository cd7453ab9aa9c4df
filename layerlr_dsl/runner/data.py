"""Where training data comes from: a SPEC on the command line becomes a training and a validation set."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.order import Key

if TYPE_CHECKING:
    from torch import Tensor

KINDS = "digits, imagefolder:PATH, torchvision:NAME or python:package.module:callable"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Batch = tuple[Any, "Tensor"]
"""Inputs (a tensor, or a mapping of tensors for the model's keyword arguments) and class numbers."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the model wants its images: side in pixels (None where any will do), mean and std per channel."""

    size: int | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    fixed: bool = False

    def side(self, default: int) -> int:
        return self.size if self.size is not None else default


@dataclass(frozen=True, slots=True)
class Request:
    """A data SPEC with what is asked of it."""

    spec: str
    wanted: Wanted = field(default_factory=Wanted)
    validation: float = 0.2
    seed: int = 0
    augment: bool = False


class Samples(Protocol):
    """A set of samples that hands out whole batches."""

    def __len__(self) -> int: ...

    def __getitems__(self, keys: Sequence[Key]) -> Any: ...


@dataclass(frozen=True, slots=True)
class Data:
    """A training and a validation set of the same classes.

    `varies` says why the same training sample may look different the next time (None: it never does).
    `check` hears how many outputs the model has before training starts.
    """

    name: str
    train: Samples
    validation: Samples
    collate: Callable[[Any], Batch]
    classes: int | None
    varies: str | None = None
    notes: tuple[str, ...] = ()


def load(request: Request) -> Data:
    """The data that `request` names. Raises RunnerError for whatever is wrong with it."""
    kind, _, rest = request.spec.partition(":")
    if kind == "digits" and not rest:
        from layerlr_dsl.runner.datasets import digits

        data = digits.load(request)
    elif kind in ("imagefolder", "torchvision") and rest:
        from layerlr_dsl.runner.datasets import images

        data = (
            images.load_folder(rest, request) if kind == "imagefolder" else images.load_named(rest, request)
        )
    elif kind == "python" and re.fullmatch(r"[\w.]+:[\w.]+", rest):
        from layerlr_dsl.runner.datasets import custom

        data = custom.load(rest, request)
    else:
        raise RunnerError(f"unknown data {request.spec!r}", f"give {KINDS}")
    for part, samples in (("training", data.train), ("validation", data.validation)):
        if len(samples) == 0:
            raise RunnerError(f"{request.spec}: the {part} set is empty", "it needs at least one sample")
    return data


def check_head(data: Data, outputs: int, spec: str | None) -> None:
    """Refuse a model whose head has another number of outputs than the data has classes."""
    if data.classes == 1:
        raise RunnerError(f"{data.name} has one class only", "a classifier needs two to tell apart")
    if data.classes is None or data.classes == outputs:
        return
    help = "build the model with as many outputs as there are classes"
    if spec and spec.split(":")[0] in ("torchvision", "timm"):
        name = spec.split("(")[0]
        help = f"write the model as {name}(num_classes={data.classes})"
    raise RunnerError(f"{data.name} has {data.classes} classes, the model has {outputs} outputs", help)


def check_labels(labels: Tensor, outputs: int, name: str) -> None:
    """Refuse class numbers that the model has no output for. `labels`: integers, shape (batch,)."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= outputs:
        bad = low if low < 0 else high
        raise RunnerError(
            f"{name}: class {bad} has no output: the model has {outputs}",
            f"class numbers go from 0 to {outputs - 1}",
        )
