"""What a task measures, added up over batches and processes in one vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from layerlr_dsl.runner.tasks import Task

Figures = dict[str, Any]
"""A number, or a nest of lists of numbers, for each name."""


class Sums:
    """Loss, what the task measures, and the count of samples, over the batches of a step or a pass."""

    def __init__(self, task: Task, device: torch.device) -> None:
        import torch

        self._task = task
        self._shapes: dict[str, torch.Size] = {}
        self._total = torch.zeros(2, dtype=torch.float64, device=device)

    def add(self, loss: Tensor, outputs: Any, targets: Any, count: int) -> None:
        """A batch of `count` samples that counts; with 0 it was only there for company."""
        import torch

        with torch.no_grad():
            measured = self._task.measure(outputs, targets)
            if not self._shapes:
                self._shapes = {name: value.shape for name, value in measured.items()}
            device = self._total.device
            parts = [value.detach().double().to(device).reshape(-1) for value in measured.values()]
            counted = torch.full((1,), float(count), dtype=torch.float64, device=device)
            row = torch.cat([loss.detach().double().to(device).reshape(1), counted, *parts])
        if self._total.numel() != row.numel():
            self._total = self._total.new_zeros(row.numel())
        if count:
            self._total += row

    @property
    def vector(self) -> Tensor:
        """All of it, on the device: loss, count, then what was measured."""
        return self._total

    def named(self, values: list[float]) -> tuple[float, int, Figures]:
        """Loss, count, and what was measured by its name, from the numbers of `vector` (or a sum of such)."""
        import torch

        loss, count, *rest = values
        named: Figures = {}
        for name, shape in self._shapes.items():
            size = shape.numel()
            named[name] = torch.tensor(rest[:size], dtype=torch.float64).reshape(shape).tolist()
            rest = rest[size:]
        return loss, round(count), named


def added(one: Figures, other: Figures) -> Figures:
    """Two such figures added up; an empty one is nothing."""
    if not one:
        return other
    return {name: _added(value, other[name]) for name, value in one.items()}


def _added(one: Any, other: Any) -> Any:
    if isinstance(one, list):
        return [_added(a, b) for a, b in zip(one, other, strict=True)]
    return one + other


def metrics(task: Task, sums: Mapping[str, Any], count: int) -> dict[str, float]:
    """The task's figures, each a number; nothing before the first sample."""
    import torch

    if not count:
        return {}
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in sums.items()}
    return {str(name): float(value) for name, value in task.metrics(tensors, count).items()}


__all__ = ["Figures", "Sums", "added", "metrics"]
