"""Data sets made of packages: a pool to draw training samples from, a test set, and a shifted test set.

What is made is kept, as tensors, in the cache. Everything in it is decided by fixed seeds: the test sets are the
same in all trials, and share no sample (for letters: no font) with the pool.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from torch import Tensor

from effect import clipart, digits, fashion, letters, texts
from effect.design import Task


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs, images as bytes (N, 3, side, side) or tokens (N, tokens), and class numbers (N,)."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, rows: Tensor) -> Samples:
        return Samples(self.inputs[rows], self.labels[rows])


@dataclass(frozen=True, slots=True)
class Data:
    """`pool` is for training and validation, `test` and `shift` (None where there is none) for the report."""

    pool: Samples
    test: Samples
    shift: Samples | None

    @property
    def classes(self) -> int:
        return int(self.pool.labels.max()) + 1


Maker = Callable[[Task, Path], "dict[str, tuple[Tensor, Tensor]]"]
MAKERS: dict[str, Maker] = {
    "fashion": fashion.make,
    "digits": digits.make,
    "letters": letters.make,
    "clipart": clipart.make,
    "glosses": texts.glosses,
    "spam": texts.spam,
}


def load(task: Task, cache: Path) -> Data:
    """The data of a task, made if it is not there yet. Raises packages.Missing."""
    path = cache / "data" / f"{task.data}-{task.side}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        own = path.with_suffix(f".{os.getpid()}.tmp")
        torch.save(MAKERS[task.data](task, cache), own)
        own.replace(path)
    made = torch.load(path, weights_only=True)
    parts = {name: Samples(*pair) for name, pair in made.items()}
    return Data(parts["pool"], parts["test"], parts.get("shift"))


def draw(data: Data, task: Task, seed: int) -> tuple[Samples, Samples]:
    """Training and validation samples for a seed: as many of each class as the task says, none in both."""
    generator = numpy.random.default_rng([seed, 1])
    train, validation = [], []
    for label in range(data.classes):
        rows = generator.permutation(numpy.flatnonzero(data.pool.labels.numpy() == label))
        train.append(rows[: task.train])
        validation.append(rows[task.train : task.train + task.validation])
    return data.pool.at(_rows(train)), data.pool.at(_rows(validation))


def _rows(parts: list[numpy.ndarray]) -> Tensor:
    return torch.from_numpy(numpy.concatenate(parts))
