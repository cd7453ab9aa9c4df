"""The processes of one run: which of how many this is, and what they tell each other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner.config import TrainConfig
from layerlr_dsl.runner.errors import RunFailed, RunnerError
from layerlr_dsl.tools.printable import first_line

if TYPE_CHECKING:
    from torch import Tensor

LOST = "another process of this run stopped or no longer answers"
LOST_HELP = "see its own message above or in its log, then go on with --resume"
COMMAND = "torchrun --nproc-per-node 2 -m layerlr_dsl train ..."


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's place: `rank` of `world`, and `local_rank` on its machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def several(self) -> bool:
        return self.world > 1

    def sum(self, values: Tensor) -> Tensor:
        """`values` added up over all processes, in place. Raises RunFailed if one is gone."""
        if self.several:
            import torch.distributed as dist

            with lost_worker():
                dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Wait for all. Raises RunFailed if one is gone."""
        if self.several:
            import torch.distributed as dist

            with lost_worker():
                dist.barrier()

    def agree(self, problem: str | None) -> str | None:
        """The first problem that any process has, or None: all stop, or none."""
        if not self.several:
            return problem
        problems = [p for p in self.gather(problem) if p]
        return str(problems[0]) if problems else None

    def gather(self, value: Any) -> list[Any]:
        """What every process holds, in order of rank; plain data only."""
        if not self.several:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.world
        with lost_worker():
            dist.all_gather_object(values, value)
        return values


@contextmanager
def lost_worker() -> Iterator[None]:
    """Turns torch's report of a broken or silent connection into one that says what to do."""
    try:
        yield
    except RuntimeError as fault:
        raise RunFailed(f"{LOST} ({first_line(fault)})", LOST_HELP) from None


def join(config: TrainConfig) -> Processes:
    """Meet the other processes that torchrun started. Raises RunnerError where that does not fit `--parallel`."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if config.parallel == "none":
        if world > 1:
            raise RunnerError(
                f"torchrun started {world} processes, but each would train a model of its own",
                "say --parallel ddp or --parallel fsdp",
            )
        return Processes()
    if "RANK" not in os.environ:
        raise RunnerError(f"--parallel {config.parallel} needs torchrun", COMMAND)
    if config.batch_size % world:
        raise RunnerError(f"--batch-size {config.batch_size} cannot be shared evenly by {world} processes")
    import torch
    import torch.distributed as dist

    place = Processes(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))
    backend = "nccl" if torch.cuda.is_available() and config.device in ("auto", "cuda") else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(place.local_rank)
    with lost_worker():
        dist.init_process_group(backend, timeout=timedelta(seconds=config.timeout))
    return place


def leave() -> None:
    """Part from the other processes, if there are any."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
