"""Small models and helpers that the tests of the training side share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

import layerlr_dsl as layerlr
from layerlr_dsl.plan.plan import Plan


class Net(nn.Module):
    """Convolutions with batch norm and dropout, attention with functional dropout, a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)
        )
        self.mid = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.attention = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.mid(self.stem(images)).flatten(2).transpose(1, 2)
        mixed, _ = self.attention(tokens, tokens, tokens)
        return self.head(mixed.mean(1))


class Stack(nn.Module):
    """Matrices only, which every optimizer takes."""

    def __init__(self, width: int = 4, depth: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x


def seeded(make: type[nn.Module] = Net, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return make()


def images(seed: int = 0, size: int = 6) -> Tensor:
    return torch.randn(size, 2, 4, 4, generator=torch.Generator().manual_seed(seed))


def train(model: nn.Module, optimizer: Any, schedule: Any, start: int, stop: int) -> None:
    """The steps from `start` to `stop`, each with its own images and its own chance."""
    for step in range(start, stop):
        torch.manual_seed(step)
        model(images(step)).square().sum().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def resolve(rules: str, model: nn.Module, epochs: float | None = 4, steps: int | None = 2) -> Plan:
    return layerlr.parse(rules).resolve(model, epochs=epochs, steps_per_epoch=steps)


def snapshot(model: nn.Module, within: Iterable[str] = ("",)) -> dict[str, Tensor]:
    """Copies of parameters and buffers whose name starts with one of `within`."""
    prefixes = tuple(within)
    return {
        name: value.detach().clone()
        for name, value in model.state_dict().items()
        if name.startswith(prefixes)
    }


def moved(before: Mapping[str, Tensor], model: nn.Module) -> set[str]:
    """Names whose bytes differ from `before`."""
    now = model.state_dict()
    return {name for name, value in before.items() if not torch.equal(value, now[name])}
