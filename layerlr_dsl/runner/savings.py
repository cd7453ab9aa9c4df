"""What the freeze at the start of a run saves, measured on one batch: a step as it is, and all thawed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerlr_dsl.tools.words import in_digits

if TYPE_CHECKING:
    from torch import Tensor, nn

LEAST_STEPS = 100
"""In shorter runs looking would cost a notable part of what could be saved."""
REPEATS = 2
NOTHING = 0.95
"""A step that takes this part of the time, or more, is not faster: so much is chance."""
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one forward and backward pass: seconds, and bytes of activations that are kept for the backward pass."""

    seconds: float
    activations: int


def measured(model: nn.Module, loss: Callable[[], Tensor]) -> tuple[Cost, Cost]:
    """The cost of a step as things are frozen now, and with all thawed.

    loss: runs the model on the batch. Flags, buffers, gradients and generators are left as they were.
    """
    from layerlr_dsl.training.prefix import untouched

    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with untouched(model):
        now = cost(model, loss)
        try:
            for parameter, _ in flags:
                parameter.requires_grad_(parameter.is_floating_point())
            thawed = cost(model, loss)
        finally:
            for parameter, flag in flags:
                parameter.requires_grad_(flag)
                parameter.grad = None
    return now, thawed


def cost(model: nn.Module, loss: Callable[[], Tensor]) -> Cost:
    """The cost of a step as things are frozen now; gradients are left behind."""
    import torch

    with torch.enable_grad():
        with kept(model) as sizes:
            loss().backward()  # type: ignore[no-untyped-call]
        best = float("inf")
        for _ in range(REPEATS):
            began = time.perf_counter()
            loss().backward()  # type: ignore[no-untyped-call]
            _wait()
            best = min(best, time.perf_counter() - began)
    return Cost(best, sum(sizes.values()))


def _wait() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextmanager
def kept(model: nn.Module) -> Iterator[dict[int, int]]:
    """The sizes of what autograd keeps meanwhile, by storage; the model's own tensors are there anyway."""
    from torch.autograd.graph import saved_tensors_hooks

    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    sizes: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


def text(now: Cost, thawed: Cost, trainable_share: float) -> str:
    """What the freeze saves, or that it saves nothing, and what would."""
    part = now.seconds / thawed.seconds
    kept = f"{in_digits(now.activations / MIB)} MiB of activations for {in_digits(thawed.activations / MIB)}"
    if part >= NOTHING:
        return (
            f"the freeze at the start saves no time ({trainable_share:.1%} trains): a step takes as long as with "
            f"all thawed, {kept}; only layers before all that train can be skipped"
        )
    times = f"{in_digits(now.seconds * 1000)} ms for {in_digits(thawed.seconds * 1000)}"
    return f"the freeze at the start: a step takes {part:.0%} of the time with all thawed ({times}; {kept})"
