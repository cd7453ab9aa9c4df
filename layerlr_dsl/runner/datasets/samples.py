"""Data sets that answer one sample at a time, made to answer the same sample the same way."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from layerlr_dsl.runner.errors import DataFault, RunnerError
from layerlr_dsl.runner.order import Key
from layerlr_dsl.tools.records import record


@record
class Prepared:
    """Some samples of a torch data set, each prepared by `transform` (None: as they come).

    With `seeded`, every sample is drawn under a seed of its own, so that augmentation does not depend on
    how many workers load the data or on where a run was resumed.
    """

    name: str
    dataset: Any
    indices: Sequence[int]
    transform: Callable[[Any], Any] | None = None
    seeded: bool = True

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, keys: Sequence[Key]) -> list[Any]:
        if not self.seeded:
            return [self._sample(index) for index, _ in keys]
        with _RandomStatesKept():
            return [self._drawn(index, seed) for index, seed in keys]

    def place(self, index: int) -> int:
        """Which sample of the data set is the one at `index` of this part."""
        return int(self.indices[index])

    def _drawn(self, index: int, seed: int) -> Any:
        import numpy
        import torch

        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        numpy.random.seed(seed % 2**32)
        return self._sample(index)

    def _sample(self, index: int) -> Any:
        place = self.indices[index]
        try:
            sample = self.dataset[place]
            if self.transform is None:
                return sample
            image, label = sample
            return self.transform(image), label
        except RunnerError:
            raise
        except Exception as fault:
            told = f"{self.name}: sample {place} failed: {type(fault).__name__}: {fault}"
            raise DataFault(told, "mend that sample, or take it out of the data") from fault


class _RandomStatesKept:
    """Puts the global random states back, since without workers they are the training loop's own."""

    def __enter__(self) -> None:
        import numpy
        import torch

        self._states = (torch.get_rng_state(), random.getstate(), numpy.random.get_state())

    def __exit__(self, *_: object) -> None:
        import numpy
        import torch

        torch.set_rng_state(self._states[0])
        random.setstate(self._states[1])
        numpy.random.set_state(self._states[2])
