"""Real processes over gloo, and the small model that they train."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

import layerlr_dsl as layerlr
from layerlr_dsl.plan.plan import Plan


class Layers(nn.Module):
    """Three linear blocks with layer norm, the middle one used or not as the input says."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU())
        self.mid = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU())
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mid(self.stem(x)))


def layers(seed: int = 0) -> Layers:
    torch.manual_seed(seed)
    return Layers()


def resolve(rules: str, model: nn.Module) -> Plan:
    return layerlr.parse(rules).resolve(model, epochs=3, steps_per_epoch=2)


def batch(step: int, rank: int = 0, world: int = 1) -> Tensor:
    """This rank's share of the joined batch of a step."""
    whole = torch.randn(8, 4, generator=torch.Generator().manual_seed(100 + step))
    return whole.chunk(world)[rank]


def loss(model: nn.Module, x: Tensor) -> Tensor:
    return model(x).square().mean()


def alone(rules: str, steps: int = 6, seed: int = 0, **settings: Any) -> dict[str, Tensor]:
    """The weights after training in one process on the joined batches."""
    model = layers(seed)
    plan = resolve(rules, model)
    optimizer = torch.optim.AdamW(plan.param_groups(model), **{"lr": 1e-2, **settings})
    schedule = plan.schedule(model, optimizer)
    for step in range(steps):
        loss(model, batch(step)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def run(work: Callable[..., Any], folder: Path, world: int = 2, *args: Any) -> list[Any]:
    """What `work(start, rank, world, *args)` returned in each process; `start()` joins the process group."""
    try:
        mp.spawn(_enter, (work, str(folder), world, args), nprocs=world)
    except mp.ProcessExitedException as crashed:
        # "double free or corruption" in gloo's own threads was seen once in some ten runs of all tests: what no
        # exception tells of is tried once more, with stores of its own. Whatever the tests find is found again.
        if crashed.signal_name != "SIGABRT":
            raise
        folder = folder / "again"
        folder.mkdir()
        mp.spawn(_enter, (work, str(folder), world, args), nprocs=world)
    return [
        torch.load(folder / f"{work.__name__}{world}.{rank}.pt", weights_only=False) for rank in range(world)
    ]


def _enter(rank: int, work: Callable[..., Any], folder: str, world: int, args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank))
    # Frameworks look for these even where the process group is there already.
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29500")

    def start(name: str = "main") -> None:
        if dist.is_initialized():
            dist.destroy_process_group()
        store = f"file://{folder}/{work.__name__}-{world}-{name}"
        dist.init_process_group("gloo", store, rank=rank, world_size=world)

    result = work(start, rank, world, *args)
    if dist.is_initialized():
        dist.destroy_process_group()
    torch.save(result, f"{folder}/{work.__name__}{world}.{rank}.pt")


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or the name and text of what it raises."""
    try:
        return call()
    except Exception as fault:
        return f"{type(fault).__name__}: {fault}\n{traceback.format_exc()}"
