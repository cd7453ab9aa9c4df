"""Remembered features in a loop of one's own: what frozen layers give is computed once a sample.

    batches = remember(model, loader)
    for epoch in range(30):
        for inputs, targets in batches:
            loss_of(batches.model(inputs), targets).backward()
            optimizer.step(), schedule.step(), optimizer.zero_grad()

The method is AutoFreeze's (Liu, Agarwal and Venkataraman 2021) without its tiers of storage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import _utils as loading

from layerlr_dsl.model import live
from layerlr_dsl.training.modes import install
from layerlr_dsl.training.prefix import Cut, NoPrefix, cut

MIB = 2**20
LOOK_AT = 7


class Features(tuple[Tensor, ...]):
    """What the frozen layers gave for the samples of a batch: rows of tensors, in the place of its inputs."""

    __slots__ = ()

    def to(self, *where: Any, **how: Any) -> Features:
        """As a tensor's: all of them moved."""
        return Features(value.to(*where, **how) for value in self)


class Remembering:
    """Goes over a loader's batches as the loader would, with `Features` while layers before all others stand still.

    model: called with the inputs of a batch, whatever they are; gives what the model gives. reason: why
    nothing is remembered now, None where it is.

    What is frozen may change between two batches: the features go with it, and are computed anew where that
    is possible. Between batches frozen layers must not be changed in another way.
    """

    def __init__(self, model: nn.Module, loader: DataLoader[Any], memory: int) -> None:
        self._model = model
        self._loader = loader
        self._memory = memory
        self._frozen: frozenset[str] | None = None
        self._cut: Cut | None = None
        self._columns: list[Tensor] = []
        self._targets: list[Tensor] = []
        self.reason: str | None = None

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Batches of (inputs, targets) in the order of the loader's own sampler."""
        sampler: Any = self._loader.batch_sampler
        # the loader would draw a seed for its workers first: without it, the order would be another
        torch.empty((), dtype=torch.int64).random_(generator=self._loader.generator)
        whole: Any = None
        for indices in sampler:
            self._look()
            if self._cut is None:
                whole = whole or _Fetcher(self._loader)
                yield whole(indices)
            else:
                rows = torch.as_tensor(indices)
                yield Features(column[rows] for column in self._columns), self._targets[0][rows]

    @property
    def features(self) -> tuple[Tensor, ...]:
        """What is remembered now: tensors with a row for each sample."""
        return tuple(self._columns)

    def model(self, inputs: Any) -> Any:
        """What the model gives for the inputs of a batch: all of it, or what follows the features."""
        if isinstance(inputs, Features):
            assert self._cut is not None
            return self._cut.after(*inputs)
        return self._model(inputs)

    def _look(self) -> None:
        """See whether what is frozen has changed, and remember anew."""
        frozen = frozenset(name for name, p in self._model.named_parameters() if not p.requires_grad)
        if frozen == self._frozen:
            return
        self._frozen, self._cut = frozen, None
        self._columns, self._targets = [], []
        try:
            self._fill()
            self.reason = None
        except NoPrefix as fault:
            self._cut, self.reason = None, str(fault)

    def _fill(self) -> None:
        """One pass over the data set in its own order."""
        if not self._frozen:
            raise NoPrefix("nothing is frozen")
        for module in install(live.unwrap(self._model)).modules:
            module.training = False
        fetch = _Fetcher(self._loader)
        count, size = _length(self._loader), self._loader.batch_size or 32
        device = next(self._model.parameters()).device
        inputs, _ = fetch(list(range(min(LOOK_AT, count))))
        again, _ = fetch(list(range(min(LOOK_AT, count))))
        if not isinstance(inputs, Tensor) or not isinstance(again, Tensor) or not torch.equal(inputs, again):
            raise NoPrefix("the data set does not give one tensor a sample, the same each time")
        made = cut(self._model, inputs.to(device))
        for start in range(0, count, size):
            inputs, targets = fetch(list(range(start, min(start + size, count))))
            with torch.no_grad():
                rows = [value.cpu() for value in made.before(inputs.to(device))]
            self._store(start, rows, targets, count)
        self._cut = made

    def _store(self, start: int, rows: list[Tensor], targets: Any, count: int) -> None:
        if not isinstance(targets, Tensor) or len(targets) != len(rows[0]):
            raise NoPrefix("the targets are not a tensor with a row for each sample")
        if not self._columns:
            needed = sum(count * math.prod(row.shape[1:]) * row.element_size() for row in rows)
            if needed > self._memory * MIB:
                raise NoPrefix(f"the features would take {needed // MIB} MiB, more than {self._memory}")
            self._columns = [row.new_empty((count, *row.shape[1:])) for row in rows]
            self._targets = [targets.new_empty((count, *targets.shape[1:]))]
        for column, row in zip([*self._columns, *self._targets], [*rows, targets], strict=True):
            if row.shape[1:] != column.shape[1:]:
                raise NoPrefix("the features differ in shape from batch to batch")
            column[start : start + len(row)] = row


def remember(model: nn.Module, loader: DataLoader[Any], memory: int = 1024) -> Remembering:
    """Batches of `loader`, in which what frozen layers give takes the place of the inputs while they stand still.

    model: takes one tensor of inputs, and is told by torch.fx what of it only depends on the input.
    loader: over a data set with a length and numbered samples that never change (no augmentation), giving
        (inputs, targets). Its sampler decides the order, its workers are not used for what is remembered.
    memory: at most so many MiB are remembered; what takes more goes through the whole model.
    Raises ValueError for a loader whose samples have no numbers.
    """
    if loader.batch_sampler is None or isinstance(loader.dataset, IterableDataset):
        raise ValueError("remembered features need a loader over numbered samples, in batches")
    return Remembering(model, loader, memory)


def _length(loader: DataLoader[Any]) -> int:
    return len(loader.dataset)  # type: ignore[arg-type]


class _Fetcher:
    """Batches by the numbers of their samples, made as the loader makes them, in this process."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        collate: Callable[..., Any] = loader.collate_fn or loading.collate.default_collate
        self._fetcher = loading.fetch._MapDatasetFetcher(loader.dataset, True, collate, False)

    def __call__(self, indices: list[int]) -> tuple[Any, Any]:
        batch: Any = self._fetcher.fetch(indices)  # type: ignore[no-untyped-call]
        inputs, targets = batch
        return inputs, targets
