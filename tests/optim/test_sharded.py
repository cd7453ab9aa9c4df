"""Our optimizers on DTensors: two processes that share the parameters step as one process does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from stepping import assert_close
from torch import Tensor, nn
from torch.optim import Optimizer

from layerlr_dsl.optim import LAMB, LARS, LayerAdaptive, Several

BUILDS: dict[str, Any] = {
    "layer_adaptive": lambda params: LayerAdaptive(params, lr=0.3, weight_decay=0.1),
    "layer_adaptive, plain": lambda params: LayerAdaptive(params, lr=torch.tensor(0.3), foreach=False),
    "lars": lambda params: LARS(params, lr=1.0, weight_decay=0.1, trust_coefficient=0.1, nesterov=True),
    "lamb": lambda params: LAMB(params, lr=0.05, weight_decay=0.1),
    "several": lambda params: both(list(params)),
}


def both(params: list[Tensor]) -> Several:
    matrices = [p for p in params if p.ndim == 2]
    rest = [p for p in params if p.ndim != 2]
    return Several([LayerAdaptive(matrices, lr=0.3), torch.optim.AdamW(rest, lr=0.05)])


def network() -> nn.Module:
    """Uneven layers: 7 rows on 2 processes, and a bias of one element that one of them lacks."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 1))


def trained(model: nn.Module, optimizer: Optimizer, rank: int = 0, world: int = 1) -> None:
    generator = torch.Generator().manual_seed(5)
    for _ in range(4):
        x = torch.randn(8, 5, generator=generator).chunk(world)[rank]
        model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def sharded(rank: int, folder: str) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    found = {}
    for name, build in BUILDS.items():
        model = network()
        fully_shard(model, mesh=mesh)
        params = list(model.parameters())
        assert all(isinstance(p, DTensor) for p in params)
        optimizer = build(params)
        trained(model, optimizer, rank, 2)
        found[name] = [p.full_tensor().detach().clone() for p in params]  # type: ignore[attr-defined]
        for param in params:
            for value in optimizer.state[param].values():
                assert value.ndim == 0 or value.placements == param.placements  # type: ignore[attr-defined]
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[Tensor]]]:
    """What each of two processes has after training with every optimizer."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    mp.spawn(sharded, (str(folder),), nprocs=2)  # type: ignore[no-untyped-call]
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", BUILDS)
def test_sharded_parameters_take_the_steps_of_whole_ones(
    name: str, ranks: list[dict[str, list[Tensor]]]
) -> None:
    """Means and norms are those of the whole tensor; a mean of the shards' means would be off."""
    model = network()
    trained(model, BUILDS[name](model.parameters()))
    expected = [p.detach() for p in model.parameters()]
    assert_close(ranks[0][name], expected, 5e-6)
    assert all(torch.equal(a, b) for a, b in zip(ranks[0][name], ranks[1][name], strict=True))
