"""Remembered features: what frozen layers give for each sample, computed once while they stay frozen.

The method is AutoFreeze's (Liu, Agarwal and Venkataraman 2021) without its tiers of storage: one pass
over the data fills a table of rows, and training then starts behind the frozen layers.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_leaves

from layerlr_dsl.runner.data import Batch, Data, Samples
from layerlr_dsl.runner.errors import RunFailed, StoppedWhilePreparing
from layerlr_dsl.runner.feed import Fetcher, Loading, in_full, mapped
from layerlr_dsl.runner.order import Order, validation_batches
from layerlr_dsl.runner.tasks import Task
from layerlr_dsl.training.prefix import Cut

if TYPE_CHECKING:
    from torch import Tensor

    from layerlr_dsl.runner.step import Numerics

MIB = 2**20


class Table:
    """The features of every sample of a set: for each value of the cut a tensor of shape (samples, ...).

    It lives in memory, or where that would take more than `budget` MiB, in unnamed files on disk. `targets`
    is like those of a batch, with the rows of all samples.
    """

    def __init__(
        self, rows: Sequence[Tensor], targets: Any, count: int, budget: int, folder: Path | None
    ) -> None:
        sizes = [count * math.prod(row.shape[1:]) * row.element_size() for row in rows]
        self.size = sum(sizes)
        self.on_disk = self.size > budget * MIB
        self.columns = [
            _on_disk(row, count, folder)
            if self.on_disk
            else row.new_empty((count, *row.shape[1:]), device="cpu")
            for row in rows
        ]
        self.targets = mapped(targets, lambda row: row.new_empty((count, *row.shape[1:]), device="cpu"))


def _on_disk(row: Tensor, count: int, folder: Path | None) -> Tensor:
    elements = count * math.prod(row.shape[1:])
    try:
        with tempfile.NamedTemporaryFile(
            dir=folder, prefix=".features.", suffix=f".{os.getpid()}.tmp"
        ) as file:
            # reserved in full: a sparse file on a full disk kills the process when a page is written
            _reserve(file, elements * row.element_size())
            flat = torch.from_file(file.name, shared=True, size=elements, dtype=row.dtype)
    except (OSError, RuntimeError) as fault:
        raise RunFailed(
            f"the features could not be stored on disk: {fault}", "leave --remember-features out"
        ) from None
    return flat.view(count, *row.shape[1:])


def _reserve(file: Any, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


Keep = Callable[[Hashable, Callable[[], Table]], Table]
"""Gives the table that goes by a key, made where it is not there yet."""


class RememberedFeed:
    """Batches of remembered features, for as long as the layers before the cut stand still."""

    def __init__(
        self,
        cuts: tuple[Cut, Cut],
        data: Data,
        order: Order,
        loading: Loading,
        numerics: Numerics,
        task: Task,
        budget: int,
        folder: Path | None,
        stopped: Callable[[], bool] = lambda: False,
        keep: Keep | None = None,
    ) -> None:
        self._keep = keep
        self._stopped = stopped
        self._training_cut, self._validation_cut = cuts
        self._data = data
        self._order = order
        self._loading = loading
        self._numerics = numerics
        self._task = task
        self._budget = budget
        self._folder = folder
        self._after = self._training_cut.after
        self._held_out: Table | None = None
        self.table = self._filled("training", self._training_cut, data.train)

    def training(self, epoch: int, first_step: int) -> Iterator[list[Batch]]:
        self._after = self._training_cut.after
        shuffled = self._order.epoch(epoch)
        for step in range(first_step, self._order.steps_per_epoch):
            batches = self._order.step(shuffled, step, 0, epoch)
            yield [self._rows(self.table, [sample for sample, _ in keys]) for keys in batches]

    def validation(self) -> Iterator[tuple[Batch, int]]:
        if self._held_out is None:
            self._held_out = self._filled("validation", self._validation_cut, self._data.validation)
        self._after = self._validation_cut.after
        for keys, counted in validation_batches(len(self._data.validation), self._order.batch, 0, 1):
            yield self._rows(self._held_out, [sample for sample, _ in keys]), counted

    def outputs(self, inputs: Any) -> Any:
        given = self._after(*inputs)
        return in_full(given if self._training_cut.finished else self._task.outputs(given))

    def _rows(self, table: Table, samples: list[int]) -> Batch:
        device = self._loading.device
        features = tuple(column[samples].to(device, non_blocking=True) for column in table.columns)
        targets = mapped(table.targets, lambda column: column[samples].to(device, non_blocking=True))
        return features, targets

    def _filled(self, part: str, cut: Cut, samples: Samples) -> Table:
        """The features of a part of the data, from what is kept where the same layers have gone over it before."""
        if self._keep is None:
            return self._fill(cut, samples)
        how = (part, self._numerics.precision, str(self._loading.device))
        return self._keep((*how, cut.key()), lambda: self._fill(cut, samples))

    def _fill(self, cut: Cut, samples: Samples) -> Table:
        """One pass in the order of the data set, so that a resumed run fills the table with the same bits."""
        parts = validation_batches(len(samples), self._order.batch, 0, 1)
        batches = Fetcher(self._data, samples, self._loading, self._task)([keys for keys, _ in parts])
        table: Table | None = None
        start = 0
        for inputs, targets in batches:
            if self._stopped():
                raise StoppedWhilePreparing
            with torch.no_grad(), self._numerics.autocast():
                rows = cut.before(inputs)
            if table is None:
                table = Table(rows, targets, len(samples), self._budget, self._folder)
            end = start + len(rows[0])
            columns = [*table.columns, *tree_leaves(table.targets)]
            for column, row in zip(columns, [*rows, *tree_leaves(targets)], strict=True):
                if column.shape[1:] != row.shape[1:]:
                    raise RunFailed(
                        "the features differ in shape from batch to batch", "leave --remember-features out"
                    )
                column[start:end] = row.to(column.device)
            start = end
        assert table is not None
        return table
