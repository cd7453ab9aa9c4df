"""Which samples an optimizer step sees: a pure function of seed and epoch, so a run resumes anywhere."""

from __future__ import annotations

from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.seeds import mix

Key = tuple[int, int]
"""The index of a sample, and the seed of whatever chance its preparation uses."""


@record
class Order:
    """The order of `count` training samples over the run, split evenly over `world` processes.

    `batch` samples make one forward pass over all processes, `accumulate` of those one optimizer step.
    The last batch of an epoch may be smaller; it is cut to a multiple of `world`, and left out where
    a process would see a single sample of several (batch statistics of one sample do not exist).
    """

    count: int
    batch: int
    accumulate: int = 1
    seed: int = 0
    world: int = 1

    @property
    def batches_per_epoch(self) -> int:
        whole, rest = divmod(self.count, self.batch)
        share = rest // self.world
        return whole + int(share >= 2 or (share == 1 and (self.batch == 1 or whole == 0)))

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one epoch; 0 where the data cannot fill one batch."""
        return -(-self.batches_per_epoch // self.accumulate)

    def step(self, epoch_order: list[int], step: int, rank: int, epoch: int) -> list[list[Key]]:
        """The batches of optimizer step `step` of an epoch that process `rank` sees."""
        batches = []
        first = step * self.accumulate
        for index in range(first, min(first + self.accumulate, self.batches_per_epoch)):
            chosen = epoch_order[index * self.batch : (index + 1) * self.batch]
            share = len(chosen) // self.world
            mine = chosen[rank * share : (rank + 1) * share]
            batches.append([(sample, mix(self.seed, epoch, sample)) for sample in mine])
        return batches

    def epoch(self, epoch: int) -> list[int]:
        """A permutation of all samples for `epoch`."""
        import torch

        generator = torch.Generator().manual_seed(mix(self.seed, epoch))
        return torch.randperm(self.count, generator=generator).tolist()


def validation_batches(count: int, batch: int, rank: int, world: int) -> list[tuple[list[Key], int]]:
    """The validation batches of one process, each with how many of its samples count.

    Every process gets equally many, or a collective inside the model's forward pass would wait for ever;
    a process with nothing left looks at sample 0 and counts none of it.
    """
    batches = []
    for start in range(0, count, batch):
        chosen = list(range(start, min(start + batch, count)))[rank::world]
        batches.append(([(sample, sample) for sample in chosen or [0]], len(chosen)))
    return batches
