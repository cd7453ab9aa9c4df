"""The models that the benchmarks share."""

from __future__ import annotations

import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)


class Expert(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up_proj = nn.Linear(width, width)
        self.down_proj = nn.Linear(width, width)


class Layer(nn.Module):
    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.attention = Attention(width)
        self.norm = nn.LayerNorm(width)
        self.experts = nn.ModuleList(Expert(width) for _ in range(experts))


class Mixture(nn.Module):
    """A mixture of experts: `layers` layers of 6 + 4 x `experts` parameters, an embedding and a head."""

    def __init__(self, layers: int, experts: int, width: int = 8) -> None:
        super().__init__()
        self.embedding = nn.Embedding(32, width)
        self.layers = nn.ModuleList(Layer(width, experts) for _ in range(layers))
        self.head = nn.Linear(width, 32)


def mixture(layers: int = 60, experts: int = 415) -> Mixture:
    """The synthetic model of 100,000 parameters (99,963 tensors) on meta; about 10 s to build."""
    with torch.device("meta"):
        return Mixture(layers, experts)
