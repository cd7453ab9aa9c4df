"""What a step costs, in time and in what it keeps: several settings of a model, timed in turns on one batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from layerlr_dsl.tools.words import share

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST, ROUNDS = 25, 5
ENOUGH, TOO_LONG = 0.3, 20.0
"""Seconds: more rounds than asked for until the first, fewer from the second on."""
SURE = 0.03
"""Half of the interval at which a part is known well enough."""
NOTHING = 0.95
"""A step that takes this part of the time, or more, is not faster: so much is chance."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one forward and backward pass: seconds, and bytes of activations that are kept for the backward pass.

    `error` is half of the interval, in seconds, that comes of taking the time as a part of another's.
    """

    seconds: float
    activations: int
    error: float = 0.0

    def saves(self, thawed: Cost) -> bool:
        """Whether it is faster than one with all thawed by more than chance."""
        return self.seconds + self.error < NOTHING * thawed.seconds

    def part(self, thawed: Cost) -> str:
        """`78%` of the other's time, or `78 ± 5%` where the machine left room for that."""
        error = self.error / thawed.seconds
        told = share(self.seconds / thawed.seconds)
        return told if error < SURE else f"{told.removesuffix('%')} ± {error:.0%}"


@dataclass(slots=True)
class TimedStep:
    """A step to be timed: `arrange` sets what is frozen, `loss` runs the batch. The rest is what was measured."""

    arrange: Callable[[], None]
    loss: Callable[[], Tensor]
    activations: int = 0
    walls: list[float] = field(default_factory=list)
    works: list[float] = field(default_factory=list)

    def look(self, model: nn.Module) -> None:
        """See what a step keeps; it also wakes the device up."""
        self.arrange()
        with kept(model) as sizes:
            self.loss().backward()  # type: ignore[no-untyped-call]
        _wait(model)
        self.activations = sum(sizes.values())

    def run(self, model: nn.Module) -> None:
        """Time one step, without what the gradients of the one before would add."""
        self.arrange()
        model.zero_grad()
        wall, work = time.perf_counter(), _work(model)
        self.loss().backward()  # type: ignore[no-untyped-call]
        _wait(model)
        self.walls.append(time.perf_counter() - wall)
        self.works.append(_work(model) - work)

    def part_of(self, other: TimedStep) -> tuple[float, float]:
        """The part of the other's work that this one took, and half of the interval of that.

        The median of the rounds, and the notch of box plots (McGill, Tukey & Larsen 1978, section 7).
        """
        parts = sorted(mine / its for mine, its in zip(self.works, other.works, strict=True))
        low, middle, high = quantiles(parts, n=4, method="inclusive")
        return middle, 1.57 * (high - low) / len(parts) ** 0.5


def costs(model: nn.Module, steps: Sequence[TimedStep], most: int = MOST) -> list[Cost]:
    """The cost of each of the steps, the last of which is left arranged.

    They take turns, so that what else the machine does meets all of them. The first is timed by the clock,
    at its best; the others by the part of its work that they took, the median over rounds. Work is the
    processor's time on a CPU, which a busy machine stretches far less than the clock, and least with one
    thread, since several wait for each other at work: so it is done again, and longer, where rounds disagree.
    """
    import torch

    with torch.enable_grad():
        for step in steps:
            step.look(model)
        _in_turns(model, steps, min(ROUNDS, most))
        best = min(steps[0].walls)
        if not (_accelerated(model) or _sure(steps)):
            with _one_thread():
                _in_turns(model, steps, most)
    found = [(step, step.part_of(steps[0])) for step in steps]
    return [Cost(best * part, step.activations, best * error) for step, (part, error) in found]


def _in_turns(model: nn.Module, steps: Sequence[TimedStep], most: int) -> None:
    began, done = time.perf_counter(), 0
    for step in steps:
        step.walls, step.works = [], []
    while True:
        for step in steps if done % 2 == 0 else reversed(steps):
            step.run(model)
        done += 1
        spent = time.perf_counter() - began
        if (done > 1 and spent > TOO_LONG) or (
            spent > ENOUGH and (done >= most or (done >= ROUNDS and _sure(steps)))
        ):
            break


def _sure(steps: Sequence[TimedStep]) -> bool:
    return all(step.part_of(steps[0])[1] <= SURE for step in steps)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _work(model: nn.Module) -> float:
    """Seconds of this process's own, where they tell the work of a step: on a CPU, and finely enough."""
    fine = time.get_clock_info("process_time").resolution < 1e-5
    return time.process_time() if fine and not _accelerated(model) else time.perf_counter()


def _accelerated(model: nn.Module) -> bool:
    return any(parameter.device.type != "cpu" for parameter in model.parameters())


def _wait(model: nn.Module) -> None:
    import torch

    if _accelerated(model) and torch.accelerator.is_available():
        torch.accelerator.synchronize()


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
