"""A deep model that is cut into stages, and one with experts that are spread, each beside one process that has it all."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as moved
from ranks import batch
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.plan import Plan

DEPTH = 6
RULES = """
optimizer adamw
schedule cosine
** -> lr 1e-2, weight_decay ramp((0%, 0.1), (100%, 0.01))
layers.<i> -> lr *= 0.7 ^ (last(i) - i)
**.bias -> betas (0.8, 0.99)
freeze embed, layers.0 until epoch 1
freeze layers.3, layers.4 from epoch 1 until epoch 2
freeze layers.1, layers.2.0.weight
"""
"""Of four stages the first is frozen at the start and the third in the middle, all of it; of eight the third for ever."""
STEPS = 6


class Deep(nn.Module):
    """An embedding, six blocks and a head, of which a stage may lack any."""

    def __init__(self) -> None:
        super().__init__()
        self.embed: nn.Module | None = nn.Linear(4, 8)
        self.layers = nn.ModuleDict(
            {str(i): nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU()) for i in range(DEPTH)}
        )
        self.head: nn.Module | None = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.embed is None else self.embed(x)
        for layer in self.layers.values():
            x = layer(x)
        return x if self.head is None else self.head(x)


def deep(seed: int = 0) -> Deep:
    torch.manual_seed(seed)
    return Deep()


def resolve(rules: str = RULES, kind: type[nn.Module] = Deep) -> Plan:
    """For the whole model, which no process needs to have in memory."""
    with torch.device("meta"):
        inventory = Inventory.of(kind())
    return layerlr.parse(rules).resolve(inventory, epochs=3, steps_per_epoch=2)


def stages(whole: Deep, count: int) -> list[Deep]:
    """The model in so many pieces of equal length, the embedding and the head counted as layers."""
    places = ["embed", *whole.layers, "head"]
    length = len(places) // count
    return [_only(whole, places[k * length : (k + 1) * length]) for k in range(count)]


def _only(whole: Deep, places: Sequence[str]) -> Deep:
    part = copy.deepcopy(whole)
    part.embed = part.embed if "embed" in places else None
    part.head = part.head if "head" in places else None
    for name in list(part.layers):
        if name not in places:
            del part.layers[name]
    return part


def staged(
    modules: Iterable[nn.Module],
    indices: Iterable[int],
    count: int,
    group: dist.ProcessGroup | None = None,
) -> list[PipelineStage]:
    device = torch.device("cpu")
    return [PipelineStage(m, k, count, device, group=group) for m, k in zip(modules, indices, strict=True)]


def loss(found: Tensor, target: Tensor) -> Tensor:
    return (found - target).square().mean()


def target(x: Tensor) -> Tensor:
    return x[:, :2].sin()


def weights(*parts: nn.Module) -> dict[str, Tensor]:
    found = [(name, p) for part in parts for name, p in part.named_parameters()]
    return {name: (p.full_tensor() if hasattr(p, "full_tensor") else p).detach().clone() for name, p in found}


def alone(rules: str = RULES, steps: int = STEPS, kind: type[nn.Module] = Deep) -> dict[str, Tensor]:
    """The weights after training in one process on the joined batches."""
    torch.manual_seed(0)
    model = kind()
    plan = layerlr.parse(rules).resolve(model, epochs=3, steps_per_epoch=2)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    for step in range(steps):
        x = batch(step)
        loss(model(x), target(x)).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return weights(model)


class Experts(nn.Module):
    """A stem, four experts that a gate weighs, and a head; a process may have one expert of them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 8)
        self.gate = nn.Linear(8, 4)
        self.experts = nn.ModuleDict({str(i): nn.Linear(8, 8) for i in range(4)})
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        shares = self.gate(x).softmax(-1)
        joined = sum(shares[:, int(i), None] * expert(x) for i, expert in self.experts.items())
        if len(self.experts) < 4:
            joined = moved.all_reduce(joined)
        return self.head(joined)


SPREAD = """
optimizer adamw
experts.<i> -> optimizer sgd(lr=0.05, momentum=0.9)
schedule cosine
** -> lr 1e-2
experts.<i> -> lr 0.05 * 0.7 ^ (last(i) - i)
freeze experts.1 until epoch 2
freeze experts.2 from epoch 1
freeze experts.3
freeze stem until epoch 1
"""


def only_expert(rank: int) -> Experts:
    torch.manual_seed(0)
    model = Experts()
    for name in list(model.experts):
        if name != str(rank):
            del model.experts[name]
    return model


def reduce_shared(model: Experts) -> None:
    """Sum the gradients of what every process has."""
    for name, parameter in model.named_parameters():
        if not name.startswith("experts.") and parameter.grad is not None:
            dist.all_reduce(parameter.grad)


def close(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert found
    for name, value in found.items():
        torch.testing.assert_close(
            value, expected[name], rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
        )
