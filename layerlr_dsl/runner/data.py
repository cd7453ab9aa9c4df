"""Where training data comes from: a SPEC on the command line becomes a training and a validation set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from layerlr_dsl.runner import own_code
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.order import Key
from layerlr_dsl.runner.preparation import Preparation

KINDS = "digits, a folder of images (or imagefolder:PATH), a table PATH.csv, torchvision:NAME or python:package.module:callable"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Batch = tuple[Any, Any]
"""Inputs (a tensor, or a mapping of tensors for the model's keyword arguments) and what the task calls targets."""


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
    """A data SPEC with what is asked of it.

    `validation` and `test` are the shares held out where the data has no such part of its own;
    `stratified` says that targets are class numbers, of which each part gets its share.
    """

    spec: str
    wanted: Wanted = field(default_factory=Wanted)
    validation: float = 0.2
    seed: int = 0
    augment: bool = False
    test: float = 0.0
    stratified: bool = True


class Samples(Protocol):
    """A set of samples that hands out whole batches."""

    def __len__(self) -> int: ...

    def __getitems__(self, keys: Sequence[Key]) -> Any: ...


@dataclass(frozen=True, slots=True)
class Data:
    """A training and a validation set of the same kind, and a test set where there is one.

    `varies` says why the same training sample may look different the next time (None: it never does).
    `classes` is how many there are, `class_names` what they are called, where that is known; `labels` gives
    the class numbers of the training samples. `preparation` is how an image becomes an input.
    """

    name: str
    train: Samples
    validation: Samples
    collate: Callable[[Any], Any]
    classes: int | None
    varies: str | None = None
    notes: tuple[str, ...] = ()
    test: Samples | None = None
    class_names: tuple[str, ...] | None = None
    labels: Callable[[], Sequence[int]] | None = None
    preparation: Preparation | None = None

    def parts(self) -> dict[str, Samples]:
        """The sets by their names, in the order in which they are used."""
        parts = {"training": self.train, "validation": self.validation}
        return parts if self.test is None else {**parts, "test": self.test}


def load(request: Request) -> Data:
    """The data that `request` names. Raises RunnerError for whatever is wrong with it."""
    kind, _, rest = _spelled_out(request.spec).partition(":")
    if kind == "digits" and not rest:
        from layerlr_dsl.runner.datasets import digits

        data = digits.load(request)
    elif kind in ("imagefolder", "torchvision") and rest:
        from layerlr_dsl.runner.datasets import images

        data = (
            images.load_folder(rest, request) if kind == "imagefolder" else images.load_named(rest, request)
        )
    elif kind == "csv" and rest:
        from layerlr_dsl.runner.datasets import table

        data = table.load(rest, request)
    elif target := own_code.target_of(request.spec):
        from layerlr_dsl.runner.datasets import custom

        data = custom.load(target, request)
    else:
        raise RunnerError(f"unknown data {request.spec!r}", f"give {KINDS}")
    for part, samples in data.parts().items():
        if len(samples) == 0:
            raise RunnerError(f"{request.spec}: the {part} set is empty", "it needs at least one sample")
    return data


def _spelled_out(spec: str) -> str:
    """A plain path as the spec it stands for: a folder of images, or a table of their paths and labels."""
    path = Path(spec).expanduser()
    if spec and ":" not in spec and spec != "digits":
        if path.is_dir():
            return f"imagefolder:{spec}"
        if path.suffix.lower() in (".csv", ".tsv"):
            return f"csv:{spec}"
    return spec
