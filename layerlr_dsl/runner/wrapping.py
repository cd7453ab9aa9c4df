"""One model on several processes, by torch's own engines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner.config import Parallel
from layerlr_dsl.runner.step import Accumulating

if TYPE_CHECKING:
    import torch
    from torch import nn


def wrap(model: nn.Module, parallel: Parallel, device: torch.device) -> nn.Module:
    """`model` as each process sees it; must be done before the optimizer is built."""
    if parallel == "none":
        return model
    if parallel == "ddp":
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)
    from torch.distributed.fsdp import fully_shard

    for part in _parts(model):
        fully_shard(part)
    fully_shard(model)
    return model


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """The pieces that are gathered one at a time: children, and the items of lists and sequences."""
    from torch import nn

    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from _parts(child)
        elif any(True for _ in child.parameters()) and not isinstance(
            child, nn.ModuleDict | nn.ParameterList
        ):
            yield child


def accumulating(model: nn.Module, parallel: Parallel) -> Accumulating:
    """What surrounds each backward pass: gradients are shared only at the last one of a step."""
    wrapped: Any = model
    if parallel == "ddp":
        return lambda last: nullcontext() if last else wrapped.no_sync()
    if parallel == "fsdp":
        return lambda last: _sharded_sync(wrapped, last)
    return lambda last: nullcontext()


@contextmanager
def _sharded_sync(model: Any, last: bool) -> Iterator[None]:
    model.set_requires_gradient_sync(last)
    yield


def same_buffers(model: nn.Module, parallel: Parallel) -> None:
    """Give every process the running statistics of the first; each has seen other samples."""
    if parallel == "none":
        return
    import torch.distributed as dist

    for buffer in model.buffers():
        dist.broadcast(buffer, 0)
