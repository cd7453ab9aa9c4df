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
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import _utils as loading

from layerlr_dsl.model import live
from layerlr_dsl.training import chance
from layerlr_dsl.training.modes import install
from layerlr_dsl.training.prefix import Cut, NoPrefix, cut

MIB = 2**20
LOOK_AT = 7


class Features(tuple[Tensor, ...]):
    """What the frozen layers gave for the samples of a batch: rows of tensors, in the place of its inputs."""

    samples: list[int]
    """The numbers of the samples in the data set."""
    table: _Table

    def to(self, *where: Any, **how: Any) -> Features:
        """As a tensor's: all of them moved."""
        moved = Features(value.to(*where, **how) for value in self)
        moved.samples, moved.table = self.samples, self.table
        return moved


class Remembering:
    """Goes over a loader's batches as the loader would, with `Features` while layers before all others stand still.

    model: called with the inputs of a batch, whatever they are; gives what the model gives. reason: why
    nothing is remembered now, None where it is.

    What is frozen, its weights and modes, and the autocast around `model` may change between two batches, and
    between a batch and the model's call: the features go with it, and are computed anew where that is possible.
    An epoch that begins with nothing to remember is the loader's own to its end.
    """

    def __init__(self, model: nn.Module, loader: DataLoader[Any], memory: int) -> None:
        self._model = model
        self._loader = loader
        self._memory = memory
        self._watch = _Watch(model)
        self._circumstances: Hashable = None
        self._autocast: Hashable = None
        self._table: _Table | None = None
        self._weights: Hashable = None
        self._drew = False
        self.reason: str | None = None

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        """The loader's batches, (inputs, targets) where something is remembered, in the order of its own sampler."""
        self._watch = _Watch(self._model)
        self._look(self._autocast)
        if self._table is None:
            yield from self._loaders_own()
            return
        self._draw_as_the_loader()
        fetch, sampler = _fetcher(self._loader), cast(Any, self._loader.batch_sampler)
        for samples in sampler:
            self._look(self._autocast)
            yield fetch(samples) if self._table is None else self._table.batch(samples)

    @property
    def features(self) -> tuple[Tensor, ...]:
        """What is remembered now: tensors with a row for each sample."""
        return tuple(self._table.columns) if self._table is not None else ()

    def model(self, inputs: Any) -> Any:
        """What the model gives for the inputs of a batch: all of it, or what follows the features.

        Raises RuntimeError for features that have lost the numbers of their samples on the way, after a change
        of what is frozen.
        """
        if not isinstance(inputs, Features):
            return self._model(inputs)
        self._look(_autocast(self._model))
        if self._table is not None:
            return self._table.cut.after(*self._current(inputs))
        whole, _ = _fetcher(self._loader)(_samples(inputs))
        return self._model(whole.to(inputs[0].device))

    def _current(self, inputs: Features) -> Features:
        """The features of these samples as they are now, which a batch that was fetched earlier may not hold."""
        assert self._table is not None
        if getattr(inputs, "table", None) is self._table:
            return inputs
        return self._table.rows(_samples(inputs)).to(inputs[0].device)

    def _loaders_own(self) -> Iterator[Any]:
        """The loader's batches. Persistent workers start by a draw, which was made before where `_drew` says so."""
        if self._drew and self._loader.persistent_workers and self._loader._iterator is None:
            generator = self._loader.generator or torch.default_generator
            state = generator.get_state()
            iter(self._loader)
            generator.set_state(state)
        yield from self._loader

    def _draw_as_the_loader(self) -> None:
        """Draw the seed that the loader would draw for its workers first: without it, the order would be another."""
        started = self._drew or self._loader._iterator is not None
        if not (self._loader.persistent_workers and started):
            torch.empty((), dtype=torch.int64).random_(generator=self._loader.generator)
        self._drew = True

    def _look(self, autocast: Hashable) -> None:
        """See whether what the features hang on has changed, and remember anew."""
        now = self._watch.now()
        same = now == self._circumstances and autocast == self._autocast
        if same and (self._table is None or self._table.weights() == self._weights):
            return
        self._circumstances, self._autocast = now, autocast
        try:
            self._table, self.reason = self._made(self._table), None
            self._weights = self._table.weights()
        except NoPrefix as fault:
            self._table, self.reason = None, str(fault)

    def _made(self, former: _Table | None) -> _Table:
        """A pass over the data set in its own order, where `former` does not hold what the same layers gave."""
        if all(p.requires_grad for p in self._model.parameters()):
            raise NoPrefix("nothing is frozen")
        if _processes() > 1:
            raise NoPrefix("several processes average gradients in a pass through the whole model only")
        device = next(self._model.parameters()).device
        with _without_draws():
            found = cut(self._model, _look_at(self._loader).to(device))
            key = (found.key(), self._autocast)
            if former is not None and former.key == key:
                return _Table(found, key, former.columns, former.targets)
            return _filled(found, key, self._loader, device, self._memory)


class _Table:
    """What a cut's frozen part gave: for each value a tensor with a row a sample. `key` says of what, and how."""

    def __init__(self, cut: Cut, key: Hashable, columns: list[Tensor], targets: Tensor) -> None:
        self.cut = cut
        self.key = key
        self.columns = columns
        self.targets = targets
        self._state = [*cut.before.parameters(), *cut.before.buffers()]

    def batch(self, samples: list[int]) -> tuple[Features, Tensor]:
        return self.rows(samples), self.targets[torch.as_tensor(samples)]

    def rows(self, samples: list[int]) -> Features:
        rows = torch.as_tensor(samples)
        features = Features(column[rows] for column in self.columns)
        features.samples, features.table = samples, self
        return features

    def weights(self) -> Hashable:
        """Changes with anything that writes into the frozen layers, but for what goes through `.data`."""
        return tuple([(value.dtype, 0 if value.is_inference() else value._version) for value in self._state])


def _filled(cut: Cut, key: Hashable, loader: DataLoader[Any], device: torch.device, memory: int) -> _Table:
    """The table after a pass over the data set. Raises NoPrefix where it would take more than `memory` MiB."""
    fetch, count, size = _fetcher(loader), _length(loader), loader.batch_size or 32
    table: _Table | None = None
    for start in range(0, count, size):
        inputs, targets = _pair(fetch(list(range(start, min(start + size, count)))))
        with torch.no_grad():
            rows = [value.cpu() for value in cut.before(inputs.to(device))]
        table = table or _Table(cut, key, _columns(rows, count, memory), _column(targets, count))
        for column, row in zip([*table.columns, table.targets], [*rows, targets], strict=True):
            if row.shape[1:] != column.shape[1:]:
                raise NoPrefix("the features differ in shape from batch to batch")
            column[start : start + len(row)] = row
    assert table is not None
    return table


def _columns(rows: list[Tensor], count: int, memory: int) -> list[Tensor]:
    needed = sum(count * math.prod(row.shape[1:]) * row.element_size() for row in rows)
    if needed > memory * MIB:
        raise NoPrefix(f"the features would take {needed // MIB} MiB, more than {memory}")
    return [_column(row, count) for row in rows]


def _column(row: Tensor, count: int) -> Tensor:
    return row.new_empty((count, *row.shape[1:]))


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


class _Watch:
    """A model's flags and modes, which decide what stands still and what the rest does, in lists made once an epoch."""

    def __init__(self, model: nn.Module) -> None:
        self._hold = install(live.unwrap(model))
        self._parameters = list(model.parameters())
        self._modules = list(model.modules())
        self._ids = tuple(map(id, (*self._parameters, *self._modules)))

    def now(self) -> Hashable:
        self._hold.settle()
        flags = tuple([p.requires_grad for p in self._parameters])
        return self._ids, flags, tuple([module.training for module in self._modules])


def _autocast(model: nn.Module) -> Hashable:
    """The dtype of the autocast around this call; None without one."""
    kind = next(model.parameters()).device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def _processes() -> int:
    known = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if known else 1


@contextmanager
def _without_draws() -> Iterator[None]:
    """Leave the random generators as they were. Raises NoPrefix where the data drew from them."""
    before, places = chance.capture(), chance.places()
    try:
        yield
        if chance.places() != places:
            raise NoPrefix("the data set draws random numbers")
    finally:
        chance.restore(before)


def _look_at(loader: DataLoader[Any]) -> Tensor:
    """The inputs of a small batch. Raises NoPrefix where they come in another form, or differ when asked again."""
    fetch, samples = _fetcher(loader), list(range(min(LOOK_AT, _length(loader))))
    with _without_draws():
        one, other = _pair(fetch(samples)), _pair(fetch(samples))
    if not all(torch.equal(first, second) for first, second in zip(one, other, strict=True)):
        raise NoPrefix("the data set does not give the same for a sample each time")
    return one[0]


def _pair(batch: Any) -> tuple[Tensor, Tensor]:
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        inputs, targets = batch
        if isinstance(inputs, Tensor) and isinstance(targets, Tensor) and len(inputs) == len(targets):
            return inputs, targets
    raise NoPrefix(
        "a batch is no pair of one tensor of inputs and one of targets, with a row for each sample"
    )


def _samples(features: Features) -> list[int]:
    try:
        return features.samples
    except AttributeError:
        raise RuntimeError(
            "these features are a copy that does not say of which samples they are; "
            "move a batch with its own .to(device)"
        ) from None


def _length(loader: DataLoader[Any]) -> int:
    return len(loader.dataset)  # type: ignore[arg-type]


def _fetcher(loader: DataLoader[Any]) -> Callable[[list[int]], Any]:
    """Gives batches by the numbers of their samples, made as the loader makes them, in this process."""
    collate: Callable[..., Any] = loader.collate_fn or loading.collate.default_collate
    fetcher = loading.fetch._MapDatasetFetcher(loader.dataset, True, collate, False)
    return fetcher.fetch
