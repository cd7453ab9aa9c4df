"""What torch, its containers and other people's loops take for a learning-rate scheduler."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.training import compiling
from layerlr_dsl.training.callers import Accelerate, Loop
from layerlr_dsl.training.pace import Tempo
from layerlr_dsl.training.rates import Writer


class Stepped(LRScheduler):
    """Goes from tick to tick, by whatever of torch's ways it is told to: `last_epoch` is the tick.

    A container has yet to begin with a scheduler whose `last_epoch` is below 0.
    """

    _writer: Writer
    _tempo: Tempo
    _next: int
    """The first tick at which there is more to do than to write what moves."""
    _at: int
    """The tick that everything stands at; others may have moved `last_epoch` since."""

    _loop: Loop | None = None
    """The loop that calls, where it is one that counts epochs."""

    def __init__(self, optimizer: Optimizer, last_epoch: int) -> None:
        self._accelerate = Accelerate()
        super().__init__(optimizer, last_epoch)

    @abstractmethod
    def _enter(self) -> None:
        """Put everything in the state that it has at `last_epoch`."""

    @abstractmethod
    def _forwards(self) -> int:
        """How often the model has run."""

    @abstractmethod
    def _ask_the_caller(self) -> None:
        """Learn what the loop that calls knows of the run."""

    @abstractmethod
    def _follow_the_loop(self, loop: Loop) -> None:
        """Learn what the loop that calls has shown since."""

    def _initial_step(self) -> None:
        compiling.separate_shared_rates(self.optimizer.param_groups)
        self._writer.begin(self.optimizer.param_groups)
        self.last_epoch += 1
        self._step_count = 1
        self._enter()

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next optimizer step (or epoch), or to that of the number `epoch` where it is given.

        Raises ValueError for a fraction of an epoch where steps are counted.
        """
        if "accelerate.scheduler" in sys.modules and self._accelerate.repeats(sys._getframe(1)):
            return
        if self._loop is not None:
            self._follow_the_loop(self._loop)
        self._step_count += 1
        if self.last_epoch == self._at:
            self._writer.look_for_others()
        tick = self.last_epoch + 1
        if tick < self._next and epoch is None and self.optimizer.param_groups is self._writer.groups:
            self.last_epoch = self._at = tick
            self._writer.write(tick)
            self._tempo.went(tick)
        else:
            self._go(tick if epoch is None else self._named(epoch))

    def _named(self, tick: float) -> int:
        if tick != int(tick) and self._tempo.clock.counts_steps:
            raise ValueError(
                f"schedule.step({spelled(tick)}): the number is of an optimizer step here, and no fraction of an epoch. Call "
                "schedule.step() without one after every optimizer.step()"
            )
        return int(tick)

    def _update_lr(self, epoch: int | None = None) -> None:
        """What containers such as SequentialLR call in place of `step()`."""
        self._step_count += 1
        self._go(self.last_epoch + 1 if epoch is None else int(epoch))

    def _go(self, tick: int) -> None:
        begins = self.last_epoch < 0
        self.last_epoch = tick
        if begins:
            groups = self.optimizer.param_groups
            _set_rates(groups, [group["initial_lr"] for group in groups])  # as SequentialLR has each begin
        if not begins and tick == self._at:
            self._tempo.stayed(tick)
        elif begins or tick != self._at + 1:
            self._tempo.begin(tick)
        else:
            self._tempo.moved(tick, self._forwards())
        self._enter()
        if self._loop is None and self._tempo.early:
            self._ask_the_caller()

    def get_last_lr(self) -> list[float | Tensor]:
        """The learning rate of each group as it is now; tensors are copies."""
        return [
            rate.clone() if isinstance(rate := g["lr"], Tensor) else rate for g in self.optimizer.param_groups
        ]

    def get_lr(self) -> list[float | Tensor]:
        """The rates that the rules give at `last_epoch`, whatever the groups have now.

        Where somebody else has moved `last_epoch`, as ignite does, everything follows it first.
        """
        if self.last_epoch < 0:
            return self.get_last_lr()
        if self.last_epoch != self._at:
            self._tempo.led()
            if self._loop is not None:
                self._follow_the_loop(self._loop)
            self._go(self.last_epoch)
        found = self.get_last_lr()
        self._writer.write(self._writer.tick)
        given = self.get_last_lr()
        _set_rates(self.optimizer.param_groups, found)
        return given

    @property
    def _last_lr(self) -> list[float | Tensor]:
        return self.get_last_lr()

    @_last_lr.setter
    def _last_lr(self, rates: list[float | Tensor]) -> None:
        """What a container has just read from the groups is where it was."""


def _set_rates(param_groups: list[dict[str, Any]], rates: Sequence[float | Tensor]) -> None:
    for group, rate in zip(param_groups, rates, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
