"""What a run asks of its data, and what it gets: sets of samples of the same kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from layerlr_dsl.runner.order import Key
from layerlr_dsl.runner.preparation import Preparation

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
    `test_seed` is for the test part alone, where it is to stay the same while `seed` changes.
    `stratified` says that targets are class numbers, of which each part gets its share.
    """

    spec: str
    wanted: Wanted = field(default_factory=Wanted)
    validation: float = 0.2
    seed: int = 0
    augment: bool = False
    test: float = 0.0
    stratified: bool = True
    test_seed: int | None = None


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
