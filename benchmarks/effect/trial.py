"""One training of one rule file, and what it came to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import layerlr_dsl as layerlr
from effect.data import Samples
from effect.networks import Network
from layerlr_dsl.runner.costs import kept
from layerlr_dsl.training.remembering import Remembering, remember

CHUNK = 100


@dataclass(frozen=True, slots=True)
class Setting:
    """What is trained: a rule file's text with values for its `let`s, for so many epochs, with a seed."""

    rules: str
    lets: Mapping[str, float]
    epochs: int
    batch: int
    seed: int
    head: str = "small"


@dataclass(frozen=True, slots=True)
class Trained:
    """A model after training, with what that took.

    seconds: of the processor, in the training loop, remembering included. memory: bytes beside the weights at
    the step that needed most: gradients, optimizer state, activations for the backward pass, remembered features.
    trains: the share of the parameters that trained, over the whole run.
    """

    model: nn.Module
    seconds: float
    memory: int
    trains: float
    finite: bool


@dataclass
class _Costs:
    """What a run holds in memory, looked at in the first step of each epoch."""

    most: int = 0
    shares: list[float] = field(default_factory=list)

    def look(self, model: nn.Module, optimizer: Any, batches: Remembering, activations: int) -> None:
        trained = [p for p in model.parameters() if p.grad is not None]
        states = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
        tensors = [*(p.grad for p in trained), *states, *batches.features]
        self.most = max(self.most, activations + sum(t.numel() * t.element_size() for t in tensors))
        total = sum(p.numel() for p in model.parameters())
        self.shares.append(sum(p.numel() for p in trained) / total)


Look = Callable[[nn.Module, int], None]
"""Sees the model after an epoch, counted from 1."""


def begun(network: Network, samples: Samples, setting: Setting) -> nn.Module:
    """A copy of the network whose head begins anew, as it does for a seed."""
    some = slice(None, None, max(1, len(samples) // 64))
    inputs = network.inputs(samples.inputs[some])
    return network.fitted(setting.head, inputs, samples.labels[some], setting.seed)


def train(
    network: Network,
    samples: Samples,
    setting: Setting,
    look: Look | None = None,
    model: nn.Module | None = None,
) -> Trained:
    """Train a copy of the network, or the `model` given, as the rules say.

    Ends early, not `finite`, where the loss is no number.
    """
    model = begun(network, samples, setting) if model is None else model
    inputs = network.inputs(samples.inputs)
    order = torch.Generator().manual_seed(setting.seed)
    loader = DataLoader(TensorDataset(inputs, samples.labels), setting.batch, shuffle=True, generator=order)
    plan = layerlr.parse(setting.rules, lets=dict(setting.lets)).resolve(
        model, epochs=setting.epochs, steps_per_epoch=len(loader)
    )
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    batches = remember(model, loader)
    costs = _Costs()
    torch.manual_seed(setting.seed)
    began, finite = time.process_time(), True
    for epoch in range(setting.epochs):
        finite = _epoch(model, batches, optimizer, schedule, costs)
        if not finite:
            break
        if look is not None:
            look(model, epoch + 1)
    seconds = time.process_time() - began
    return Trained(model, seconds, costs.most, sum(costs.shares) / len(costs.shares), finite)


def _epoch(model: nn.Module, batches: Remembering, optimizer: Any, schedule: Any, costs: _Costs) -> bool:
    model.train()
    for number, (inputs, targets) in enumerate(batches):
        with kept(model) if number == 0 else nullcontext({}) as sizes:
            loss = nn.functional.cross_entropy(batches.model(inputs), targets)
        loss.backward()
        optimizer.step()
        if number == 0:
            costs.look(model, optimizer, batches, sum(sizes.values()))
        schedule.step()
        optimizer.zero_grad()
        if not bool(torch.isfinite(loss)):
            return False
    return True


def scored(network: Network, model: nn.Module, samples: Samples) -> tuple[float, float]:
    """Accuracy and mean loss on these samples."""
    model.eval()
    right, loss = 0, 0.0
    with torch.no_grad():
        for start in range(0, len(samples), CHUNK):
            part = samples.at(torch.arange(start, min(start + CHUNK, len(samples))))
            scores = model(network.inputs(part.inputs))
            right += int((scores.argmax(1) == part.labels).sum())
            loss += float(nn.functional.cross_entropy(scores, part.labels, reduction="sum"))
    return right / len(samples), loss / len(samples)
