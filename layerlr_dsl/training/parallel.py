"""Several processes, one plan: how the model is wrapped.

DistributedDataParallel fixes its buckets when it wraps: a parameter whose `requires_grad` changes later
leaves the ranks apart without a word. There the flag stays on and gradients are dropped instead. FSDP2
(`fully_shard`) takes changing flags as they come.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import Adafactor, Optimizer

from layerlr_dsl.optim.several import Several
from layerlr_dsl.training import copies
from layerlr_dsl.training.errors import ScheduleWarning, TrainingError, listed


def ranks() -> int:
    """How many processes train together; 1 where torch.distributed was not initialised."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def refuse_flat_parameters(model: nn.Module) -> None:
    """Raise TrainingError for the older FullyShardedDataParallel, whose parameters cannot be frozen in part."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    if any(isinstance(module, FullyShardedDataParallel) for module in model.modules()):
        raise TrainingError(
            "FullyShardedDataParallel keeps its parameters in flat buffers that cannot be frozen in part; "
            "shard the model with torch.distributed.fsdp.fully_shard (FSDP2) instead, which can"
        )


def refuse_sharded_adafactor(optimizer: Optimizer) -> None:
    """Raise TrainingError for torch's Adafactor over DTensors, whose step fails on them."""
    for one in optimizer.optimizers if isinstance(optimizer, Several) else (optimizer,):
        if not isinstance(one, Adafactor):
            continue
        pairs = [
            (name, p)
            for group in one.param_groups
            for name, p in zip(group.get("param_names", ()), group["params"], strict=False)
        ]
        if sharded := [name for name, parameter in pairs if is_sharded(parameter)]:
            raise TrainingError(
                f"torch's Adafactor cannot step parameters that fully_shard has spread ({listed(sharded)}); "
                "choose another optimizer, or DistributedDataParallel"
            )


Freezing = Literal["hard", "soft", "soft unless for ever"]
"""hard: by the flag. soft: the flag stays on and gradients are dropped."""


def way_to_freeze(model: nn.Module, parameters: Iterable[nn.Parameter]) -> Freezing:
    """How to freeze under what wraps the model, or may wrap it yet.

    Where several processes train and no wrapper is in sight, one may be out of sight or still to come:
    what ever trains must keep its flag, what never does may lose it. So it is where DeepSpeed may be to come,
    which looks at flags when it is initialised.
    """
    if any(isinstance(module, nn.parallel.DistributedDataParallel) for module in model.modules()):
        return "soft"
    if copies.may_come():
        return "soft unless for ever"
    if ranks() == 1 or any(is_sharded(parameter) for parameter in parameters):
        return "hard"
    return "soft unless for ever"


def is_sharded(parameter: torch.Tensor) -> bool:
    """Whether a parameter is a DTensor, as `fully_shard` makes them."""
    return hasattr(parameter, "to_local")


def renew_shards(root: nn.Module, thawed: Collection[nn.Parameter]) -> None:
    """Let `fully_shard` look again at the units of what thaws; all processes must call this.

    It notes which dtype the gradients of a unit have when the model first runs, and nothing for a unit that
    is frozen then: under a MixedPrecisionPolicy such a unit fails when it thaws. unshard() notes it anew.
    """
    if not any(is_sharded(parameter) for parameter in thawed):
        return
    from torch.distributed.fsdp import FSDPModule

    wanted = set(map(id, thawed))
    for module in root.modules():
        if isinstance(module, FSDPModule) and any(id(p) in wanted for p in module.parameters()):
            module.unshard()
            module.reshard()


def reduced(reducer: Any) -> set[int]:
    """Ids of the parameters that a DistributedDataParallel averages over its processes."""
    buckets = reducer.reducer._get_zeros_like_grad_buckets()
    return {id(parameter) for bucket in buckets for parameter in bucket.parameters()}


def require_reduced(reducer: Any, trains: dict[str, nn.Parameter], frozen: dict[str, nn.Parameter]) -> None:
    """Raise TrainingError unless the buckets of a DistributedDataParallel fit the plan.

    trains: every parameter that trains at some time; all must be in a bucket, or the ranks part in
    silence. frozen: those frozen now by their flag; none may be in a bucket, or the reducer waits for them.
    """
    held = reduced(reducer)
    ignored = reducer.parameters_to_ignore
    missed = [name for name, parameter in trains.items() if id(parameter) not in held and name not in ignored]
    if missed:
        raise TrainingError(
            f"DistributedDataParallel wrapped the model while {listed(missed)} did not require gradients: it would "
            "never average theirs, and the processes would drift apart. Call plan.schedule(model, optimizer) after "
            "torch.distributed.init_process_group, or wrap the model before anything is frozen"
        )
    waiting = [name for name, parameter in frozen.items() if id(parameter) in held]
    if waiting:
        raise TrainingError(
            f"{listed(waiting)}: frozen by their flag inside DistributedDataParallel, which waits for their "
            "gradients. Call plan.schedule(model, optimizer) after torch.distributed.init_process_group"
        )


_PATIENCE = 60.0
"""Seconds that the other processes may take to come to a report without a word."""
_ALONE = (
    "schedule.report waits for the other processes: all of them must call it, also those that have nothing to report, "
    "and what rank 0 reports counts. Where another process knows the metric, send it to rank 0 first"
)


@contextmanager
def told_if_it_takes_long(text: str, patience: float = _PATIENCE) -> Iterator[None]:
    """Warn from a thread of its own when what is in here has not ended after so many seconds."""
    timer = Timer(patience, lambda: warnings.warn(text, ScheduleWarning, stacklevel=1))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def from_rank_zero(report: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What rank 0 reports, on every rank; all of them must call this. Its TypeError is raised on all."""
    if ranks() == 1:
        return report()
    carried: list[Any] = [None]
    if dist.get_rank() == 0:
        try:
            carried = [report()]
        except TypeError as error:
            carried = [str(error)]
    with told_if_it_takes_long(_ALONE):
        dist.broadcast_object_list(carried, src=0)
    if isinstance(carried[0], str):
        raise TypeError(carried[0])
    return dict(carried[0])
