"""One optimizer step, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner.config import Precision
from layerlr_dsl.runner.data import Batch
from layerlr_dsl.runner.processes import Processes
from layerlr_dsl.runner.sums import Figures, Sums
from layerlr_dsl.runner.tasks import Task
from layerlr_dsl.tools.numbers import spelled

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.optim import Optimizer

Accumulating = Callable[[bool], AbstractContextManager[Any]]
"""Called before each backward pass with whether it is the step's last, the one that must be shared."""


@dataclass(frozen=True, slots=True)
class Result:
    """Sums over the samples of one step on all processes; `norm` is that of the whole gradient.

    `sums` is what the task measured.

    `sound` is False where the step must not be applied; `stop` says that some process was asked to stop.
    """

    loss_sum: float
    sums: Figures
    count: int
    norm: float
    sound: bool
    stop: bool

    @property
    def applied(self) -> bool:
        """Whether the parameters move: with fp16 the scaler leaves steps of infinite gradients out by itself."""
        return self.sound and math.isfinite(self.norm)


@dataclass(frozen=True, slots=True)
class Numerics:
    """Precision of the forward pass, and the scaler that fp16 needs."""

    precision: Precision
    device: torch.device
    scaler: torch.amp.GradScaler

    @staticmethod
    def make(precision: Precision, device: torch.device) -> Numerics:
        import torch

        return Numerics(precision, device, torch.amp.GradScaler(device.type, enabled=precision == "fp16"))

    def autocast(self) -> AbstractContextManager[Any]:
        import torch

        if self.precision == "fp32":
            return nullcontext()
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        return torch.autocast(self.device.type, dtype=dtype)


class KeptBuffers:
    """The buffers of a model (running statistics and the like) as they stood before a step."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._kept: dict[str, Tensor] = {}

    def keep(self) -> None:
        """Remember them as they are now."""
        for name, buffer in self._model.named_buffers():
            kept = self._kept.get(name)
            if kept is None or kept.shape != buffer.shape or kept.dtype != buffer.dtype:
                self._kept[name] = buffer.detach().clone()
            else:
                kept.copy_(buffer.detach())

    def put_back(self) -> None:
        """Make them what they were at the last `keep`."""
        import torch

        with torch.no_grad():
            for name, buffer in self._model.named_buffers():
                if name in self._kept:
                    buffer.copy_(self._kept[name])


class Stepper:
    """Computes gradients and applies them; remembers the norms of the last sound step for a bad one."""

    def __init__(
        self,
        optimizer: Optimizer,
        numerics: Numerics,
        processes: Processes,
        task: Task,
        *,
        clip: float | None,
        accumulating: Accumulating,
        buffers: KeptBuffers | None = None,
    ) -> None:
        self._buffers = buffers
        self._optimizer = optimizer
        self._numerics = numerics
        self._processes = processes
        self._task = task
        self._clip = clip
        self._accumulating = accumulating
        self._norms: Tensor | None = None
        self._sound_norms: Tensor | None = None

    def compute(self, batches: Sequence[Batch], outputs: Callable[[Any], Any], stop: bool) -> Result:
        """Forward and backward over `batches` as if they were one batch; nothing is applied yet."""
        if self._buffers is not None:
            self._buffers.keep()
        sums = self._backward(batches, outputs)
        told = _joined(sums.vector, float(stop))
        self._processes.sum(told)
        if self._numerics.scaler.is_enabled():
            self._numerics.scaler.unscale_(self._optimizer)
        self._norms = norms = gradient_norms(list(self._live()))
        # one transfer for all: each would stall the device
        *values, asked, norm = _joined(told, norms.norm()).tolist()
        loss, count, measured = sums.named(values)
        # with fp16 an infinite gradient is ordinary: the scaler leaves that step out by itself
        sound = math.isfinite(loss) and (math.isfinite(norm) or self._numerics.scaler.is_enabled())
        return Result(loss, measured, count, norm, sound, asked > 0)

    def _backward(self, batches: Sequence[Batch], outputs: Callable[[Any], Any]) -> Sums:
        counts = [self._task.count(targets) for _, targets in batches]
        sums = Sums(self._task, self._numerics.device)
        for index, (inputs, targets) in enumerate(batches):
            with self._accumulating(index + 1 == len(batches)):
                with self._numerics.autocast():
                    given = outputs(inputs)
                loss = summed(self._task.loss(given, targets), counts[index])
                # the processes' gradients are averaged: each divides by its own share of the samples
                self._numerics.scaler.scale(loss / sum(counts)).backward()  # type: ignore[no-untyped-call]
            sums.add(loss, given, targets, counts[index])
        return sums

    def apply(self, result: Result) -> None:
        """Clip and take the step that was computed, and clear the gradients."""
        from torch.nn.utils import clip_grads_with_norm_

        if self._clip is not None and math.isfinite(result.norm):
            import torch

            parameters = [p for g in self._optimizer.param_groups for p in g["params"]]
            clip_grads_with_norm_(parameters, self._clip, torch.tensor(result.norm))
        self._numerics.scaler.step(self._optimizer)
        self._numerics.scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        if result.applied:
            self._sound_norms = self._norms

    def discard(self) -> None:
        """Undo what was computed: forget the gradients, put back what the forward pass wrote into buffers."""
        self._optimizer.zero_grad(set_to_none=True)
        if self._buffers is not None:
            self._buffers.put_back()
        scaler = self._numerics.scaler
        if scaler.is_enabled():
            # with its own scale: no other would have made the loss a number
            scaler.update(scaler.get_scale())

    def blame(self) -> str | None:
        """Which group has the largest gradient now, or where all are lost, had it in the last sound step."""
        owners = [str(g.get("name", i)) for i, g in enumerate(self._optimizer.param_groups) for _ in live(g)]
        now = _norms_by_group(owners, self._norms)
        lost = [name for name, norm in now.items() if not math.isfinite(norm)]
        if now and not lost:
            return "the largest gradient is that of " + _largest(now)
        if lost and len(lost) < len(now):
            return f"the gradient of group {', '.join(lost)} is lost"
        before = _norms_by_group(owners, self._sound_norms)
        return "the largest gradient in the step before was that of " + _largest(before) if before else None

    def _live(self) -> Sequence[Tensor]:
        return [p.grad for group in self._optimizer.param_groups for p in live(group)]


def live(group: dict[str, Any]) -> list[Any]:
    """The parameters of a group that have a gradient."""
    return [p for p in group["params"] if p.grad is not None]


def gradient_norms(gradients: list[Tensor]) -> Tensor:
    """The 2-norm of each gradient, shape (gradients,), whole even where the gradients are sharded."""
    import torch

    if not gradients:
        return torch.zeros(0)
    norms = torch.stack([norm.float() for norm in torch._foreach_norm(gradients, 2.0)])
    return norms.full_tensor() if hasattr(norms, "full_tensor") else norms


def summed(loss: Tensor, count: int) -> Tensor:
    """The sum over `count` samples of a task's loss, which is one number for each or the mean of all."""
    return loss.sum() if loss.ndim else loss * count


def _joined(sums: Tensor, more: Tensor | float) -> Tensor:
    import torch

    return torch.cat([sums, torch.as_tensor(more, dtype=torch.float64, device=sums.device).reshape(1)])


def _norms_by_group(owners: list[str], norms: Tensor | None) -> dict[str, float]:
    """The gradient norm of each group; nothing where the norms are of other parameters."""
    if norms is None or len(norms) != len(owners):
        return {}
    squares: dict[str, float] = {}
    for owner, norm in zip(owners, norms.tolist(), strict=True):
        squares[owner] = squares.get(owner, 0.0) + norm * norm
    return {owner: math.sqrt(square) for owner, square in squares.items()}


def _largest(norms: dict[str, float]) -> str:
    name = max(norms, key=lambda group: norms[group])
    return f"group {name} (norm {spelled(norms[name], 3)})"
