"""A training loop that writes down what it finds at each step; torch alone, since ejected pages run in it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Net(nn.Module):
    """A stem, a norm, dropout, three layers and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)) for _ in range(3))
        self.head = nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.drop(self.norm(self.stem(x)))
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return self.head(x)


def run(
    model: nn.Module,
    optimizers: Any,
    schedule: Any,
    steps: int,
    inputs: int,
    reports: list[Any],
    per_epoch: int,
) -> list[Any]:
    """What each step has: options of each parameter, flags, modes, and the weights behind it.

    reports: the values of each epoch's end.
    """
    found = []
    model.train()
    for step in range(steps):
        torch.manual_seed(step)
        if step % per_epoch == 0:
            model.eval()
            model(torch.randn(4, inputs))
            model.train()
        loss = model(torch.randn(4, inputs)).square().mean()
        if loss.requires_grad:
            loss.backward()
        modes = {name: module.training for name, module in model.named_modules()}
        for one in optimizers:
            one.step()
            one.zero_grad()
        found.append([_options(model, optimizers), _flags(model), modes, _weights(model)])
        schedule.step()
        epoch = (step + 1) // per_epoch - 1
        if reports and (step + 1) % per_epoch == 0:
            schedule.report(reports[epoch % len(reports)])
    return [
        *found,
        [_options(model, optimizers), _flags(model), schedule.state_dict() and {}, _weights(model)],
    ]


def _options(model: nn.Module, optimizers: Any) -> dict[str, Any]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    kept = ("params", "name", "param_names", "initial_lr", "optimizer")
    return {
        names[id(parameter)]: {key: value for key, value in group.items() if key not in kept}
        for one in optimizers
        for group in one.param_groups
        for parameter in group["params"]
    }


def _flags(model: nn.Module) -> dict[str, bool]:
    return {name: parameter.requires_grad for name, parameter in model.named_parameters()}


def _weights(model: nn.Module) -> dict[str, Any]:
    return {name: value.clone() for name, value in model.state_dict().items()}
