"""What several runs of one process have in common: made once, and handed to each that asks for the same.

Only the latest data and the latest model are kept, with the features of that data: runs over other seeds
come one after the other, and their data may be large.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from layerlr_dsl.runner.data import Data
from layerlr_dsl.runner.datasets.samples import Prepared
from layerlr_dsl.runner.order import Key

if TYPE_CHECKING:
    from torch import nn

    from layerlr_dsl.runner.features import Table
    from layerlr_dsl.runner.models import Begun

MIB = 2**20
Made = TypeVar("Made")


@dataclass(slots=True)
class Stock:
    """`memory` MiB for features, and as much for images that were read. `seconds` tells what all the making took."""

    memory: int = 1024
    seconds: float = 0.0
    _data: tuple[Hashable, Data] | None = None
    _begun: tuple[Hashable, Begun] | None = None
    _tables: dict[Hashable, Table] = field(default_factory=dict)

    def data(self, key: Hashable, make: Callable[[], Data]) -> Data:
        """The data that goes by `key`, its images read once; features of other data are forgotten."""
        if self._data is None or self._data[0] != key:
            self._data = self._begun = None
            self._tables.clear()
            self._data = key, self._timed(lambda: _read_once(make(), self.memory))
        return self._data[1]

    def begun(self, key: Hashable, make: Callable[[], Begun]) -> Begun:
        """The model that goes by `key` as a run begins with it, a copy for each; made anew where it cannot be copied."""
        if self._begun is None or self._begun[0] != key:
            self._begun = None
            made = self._timed(make)
            kept = _copied(made.model)
            if kept is not None:
                self._begun = key, replace(made, model=kept)
            return made
        found = self._begun[1]
        return replace(found, model=copy.deepcopy(found.model))

    def table(self, key: Hashable, make: Callable[[], Table]) -> Table:
        """The features that go by `key`; the least used go where all together are too large."""
        found = self._tables.pop(key, None) or self._timed(make)
        if not found.on_disk:
            self._tables[key] = found
            while sum(table.size for table in self._tables.values()) > self.memory * MIB:
                self._tables.pop(next(iter(self._tables)))
        return found

    def _timed(self, make: Callable[[], Made]) -> Made:
        """What `make` gives; what is made within it counts once."""
        began, before = time.monotonic(), self.seconds
        try:
            return make()
        finally:
            self.seconds = before + time.monotonic() - began


def _copied(model: nn.Module) -> nn.Module | None:
    try:
        return copy.deepcopy(model)
    except Exception:  # whatever stands in the way of copying someone else's model
        return None


def _read_once(data: Data, memory: int) -> Data:
    """Data whose images are read and prepared once, where they come out the same each time."""
    budget, parts = _Budget(memory * MIB), data.parts()
    kept = {name: ReadOnce(part, budget) for name, part in parts.items() if isinstance(part, Prepared)}
    if data.varies is not None or len(kept) < len(parts):
        return data
    return replace(data, train=kept["training"], validation=kept["validation"], test=kept.get("test"))


@dataclass(slots=True)
class _Budget:
    left: int


class ReadOnce:
    """Samples that are kept once they were asked for, as long as there is room."""

    def __init__(self, samples: Prepared, budget: _Budget) -> None:
        self._samples = samples
        self._budget = budget
        self._kept: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._samples)

    def place(self, index: int) -> int:
        """As Prepared has it, of whose samples these are."""
        return self._samples.place(index)

    def __getitems__(self, keys: Sequence[Key]) -> list[Any]:
        missing = [key for key in keys if key[0] not in self._kept]
        fresh = dict(zip([index for index, _ in missing], self._samples.__getitems__(missing), strict=True))
        for index, sample in fresh.items():
            size = _size(sample)
            if size <= self._budget.left:
                self._budget.left -= size
                self._kept[index] = sample
        return [fresh[index] if index in fresh else self._kept[index] for index, _ in keys]


def _size(sample: Any) -> int:
    """The bytes of the tensors in a sample."""
    from torch.utils._pytree import tree_leaves

    return sum(getattr(leaf, "nbytes", 0) for leaf in tree_leaves(sample))
