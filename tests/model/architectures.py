"""Small modules with one odd thing each."""

from __future__ import annotations

import torch
from torch import nn


def plain() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Linear(3, 2, bias=False), nn.ReLU())
    )


class UsersOwnModule(nn.Module):
    """A user's submodules may bear the very names that wrappers use."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(4, 4)
        self._orig_mod = nn.Linear(4, 4)
        self.base_model = nn.Sequential(nn.Linear(4, 4))
        self.model = nn.LayerNorm(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(self.base_model(self._orig_mod(self.module(x))))


class TiedHead(nn.Module):
    """The decoder's weight is the embedding's."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.norm = nn.LayerNorm(4)
        self.decoder = nn.Linear(4, 10)
        self.decoder.weight = self.embedding.weight


class SharedBlock(nn.Module):
    """One block under two names, with something between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
        self.between = nn.Linear(4, 4)
        self.second = self.first


class Cyclic(nn.Module):
    """A child that holds its parent as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.child = nn.Sequential(nn.Linear(2, 2))
        self.child.add_module("parent", self)
        self.last = nn.Linear(2, 2)


class FunnyAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.proj = nn.Linear(4, 4)


class WithAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Sequential(FunnyAttention(), nn.Linear(4, 4))
        self.mha = nn.MultiheadAttention(4, 2)


MODELS = {
    "plain": plain,
    "a user's own names": UsersOwnModule,
    "tied head": TiedHead,
    "shared block": SharedBlock,
    "cyclic": Cyclic,
    "attention": WithAttention,
    "no parameters": nn.ReLU,
    "empty": nn.Sequential,
    "a parameter at the root": FunnyAttention,
    "parameter list": lambda: nn.ParameterList([torch.ones(2), torch.ones(3)]),
    "deep": lambda: _nested(60),
}


def _nested(depth: int) -> nn.Module:
    model: nn.Module = nn.Linear(2, 2)
    for _ in range(depth):
        model = nn.Sequential(model)
    return model
