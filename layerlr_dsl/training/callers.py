"""Loops of others that call `schedule.step()`: what they do with it, and what they know of the run.

A schedule is handed to them as any scheduler is, and told nothing. They are known by the frames that call.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable, Iterator, Sized
from fractions import Fraction
from itertools import pairwise
from operator import attrgetter
from types import FrameType
from typing import Any, TypeAlias

from layerlr_dsl.plan.clock import Steps, steps_in_an_epoch

FAR = 16
"""Frames between a loop and the schedule that it steps: hooks and wrappers of its own."""
FARTHER = 100
TUNERS = ("lightning.pytorch.tuner.", "pytorch_lightning.tuner.")
LIGHTNING = ("lightning.pytorch.loops.", "pytorch_lightning.loops.")
IGNITE = "ignite.engine.engine"
ACCELERATE = "accelerate.scheduler"
KNOWN = ("transformers.trainer", *(name[:-1] for name in LIGHTNING), IGNITE, ACCELERATE)
Of: TypeAlias = "Callable[[Any], int | None]"
StepsOf: TypeAlias = "Callable[[Any], Steps | None]"


class Accelerate:
    """accelerate steps a scheduler once per process for each optimizer step; the first call of them counts."""

    def __init__(self) -> None:
        self._caller: FrameType | None = None

    def repeats(self, caller: FrameType) -> bool:
        """Whether this is a further call for the same optimizer step."""
        if caller.f_globals.get("__name__") != ACCELERATE:
            return False
        again = caller is self._caller
        self._caller = caller
        return again

    def __getstate__(self) -> dict[str, Any]:
        return {"_caller": None}


def logs_one_rate() -> bool:
    """Whether the rates are asked for by a Trainer of transformers, which logs the first of them as the learning rate."""
    if "transformers.trainer" not in sys.modules:
        return False
    frame = sys._getframe(2)
    if frame.f_globals.get("__name__") == ACCELERATE and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_globals.get("__name__") == "transformers.trainer"


class Loop:
    """A loop of others that counts epochs: how many steps of a schedule those have is known of it, or shows.

    holder: what knows, kept weakly. epoch: which epoch it is in, from 0. steps: how many each takes, None where
    only counting tells. began: the tick at which the present epoch began, None where that was not seen.
    """

    def __init__(self, holder: object, epoch: Of, steps: StepsOf, began: int | None) -> None:
        self._holder: weakref.ref[Any] | None = weakref.ref(holder)
        self._epoch, self._steps = epoch, steps
        self._began = (epoch(holder) or 0, began)

    @property
    def holder(self) -> Any:
        """What knows; None where it is gone."""
        return None if self._holder is None else self._holder()

    def total(self) -> int | None:
        """The steps of the whole run, where that has shown."""
        return None

    def look(self, tick: int) -> tuple[int | None, Steps] | None:
        """Before the step after `tick`: the epoch that it belongs to, and the steps of an epoch, where that is clear.

        Without an epoch where ticks are counted rightly so far, and an epoch only has more or less of them.
        """
        holder = self.holder
        now = None if holder is None else self._epoch(holder)
        if now is None:
            return None
        steps = self._steps(holder) or self._counted(now, tick)
        return None if steps is None else (now, steps)

    def _counted(self, now: int, tick: int) -> int | None:
        before, began = self._began
        if now == before:
            return None
        self._began = (now, tick)
        return tick - began if began is not None and now == before + 1 and tick > began else None

    def begin(self, epoch: int, tick: int) -> None:
        """The clock was set: this epoch begins at that tick."""
        self._began = (epoch, tick)

    def __getstate__(self) -> dict[str, Any]:
        return {"_holder": None, "_epoch": None, "_steps": None, "_began": (0, None)}


class Engine(Loop):
    """An engine of ignite: it knows the iterations of its epochs, and two steps that took as many tell of all."""

    def __init__(self, engine: Any) -> None:
        # A warm-up of its own may come before the schedule, whose first tick need not begin an epoch then.
        super().__init__(engine, lambda engine: engine.state.epoch - 1, _unknown, None)
        self._iterations: list[int] = [engine.state.iteration]
        self._each: int | None = None
        """Iterations that make one step, once that is known."""

    def look(self, tick: int) -> tuple[int | None, Steps] | None:
        engine = self.holder
        if engine is None:
            return None
        self._note(engine.state.iteration)
        known = self._in_steps(engine.state.epoch_length)
        return super().look(tick) if known is None else (None, known)

    def _note(self, iteration: int) -> None:
        if iteration == self._iterations[-1]:
            return
        self._iterations = [*self._iterations[-2:], iteration]
        taken = [now - before for before, now in pairwise(self._iterations)]
        if self._each is None and len(taken) == 2 and taken[0] == taken[1] > 0:
            self._each = taken[0]

    def _in_steps(self, iterations: int | None) -> Steps | None:
        """What iterations an epoch leaves over belong to a step of the next, or to none: its first step tells."""
        if self._each is None or not iterations:
            return None
        last = self._iterations[-1]
        through = last > iterations and last % self._each == 0
        whole = iterations % self._each == 0
        return steps_in_an_epoch(Fraction(iterations, self._each)) if whole or through else None

    def total(self) -> int | None:
        engine = self.holder
        epochs: int | None = None if engine is None else engine.state.max_epochs
        per_epoch = self._in_steps(engine.state.epoch_length) if epochs else None
        return int(epochs * per_epoch) if epochs and per_epoch else None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_iterations": [0], "_each": None}


def steps_per_epoch() -> int | None:
    """The optimizer steps in an epoch of the Trainer of transformers that calls; None where it is unknown."""
    if "transformers.trainer" not in sys.modules:
        return None
    return next((_of_transformers(loop) for name, loop in _loops() if name == "transformers.trainer"), None)


def steps_in_all() -> int | None:
    """The optimizer steps of the whole run of the loop that calls, where it knows."""
    for name, loop in _loops() if _any_known() else ():
        if name == "transformers.trainer":
            return _positive(getattr(getattr(loop, "state", None), "max_steps", None))
        if name.startswith(LIGHTNING):
            return _positive(getattr(getattr(loop, "trainer", None), "max_steps", None))
    return None


def loop(began: int | None) -> Loop | None:
    """The loop that calls, where it counts epochs and is no Trainer of transformers, whose epochs never change."""
    found = None
    for name, caller in _loops() if _any_known() else ():
        if name == "transformers.trainer":
            return None
        if name.startswith(LIGHTNING) and getattr(caller, "trainer", None) is not None:
            return Loop(caller.trainer, attrgetter("current_epoch"), _of_lightning, began)
        if name == IGNITE and hasattr(caller, "state"):
            return Engine(caller)
        if name == ACCELERATE and found is None:
            loader = getattr(caller.gradient_state, "active_dataloader", None)
            if hasattr(loader, "iteration"):
                found = Loop(loader, attrgetter("iteration"), _of_accelerate, began)
    return found


def training(root: object, unwrap: Callable[[Any], object]) -> Any:
    """The Trainer of transformers that trains this model and calls; None where there is none."""
    for name, loop in _loops(FARTHER) if "transformers.trainer" in sys.modules else ():
        if name == "transformers.trainer" and getattr(loop, "is_in_train", False):
            return loop if unwrap(loop.model) is root else None
    return None


def has_length(data: object) -> bool:
    """Whether it says how much there is; a DataLoader over a stream has a `__len__` that raises."""
    try:
        return isinstance(data, Sized) and len(data) >= 0
    except (TypeError, NotImplementedError):
        return False


def _any_known() -> bool:
    return any(name in sys.modules for name in KNOWN)


def _unknown(holder: object) -> None:
    return None


def _positive(steps: object) -> int | None:
    return steps if isinstance(steps, int) and steps > 0 else None


def tries() -> bool:
    """Whether a loop only tries out a rate or a batch size, and puts everything back afterwards."""
    return any(name.startswith(TUNERS) for name, _ in _loops(FARTHER))


def _loops(far: int = FAR) -> Iterator[tuple[str, Any]]:
    frame: FrameType | None = sys._getframe(1)
    for _ in range(far):
        if frame is None:
            return
        yield frame.f_globals.get("__name__", ""), frame.f_locals.get("self")
        frame = frame.f_back


def _of_transformers(trainer: Any) -> int | None:
    batches: Any = getattr(getattr(trainer, "callback_handler", None), "train_dataloader", None)
    try:
        return max(1, math.ceil(len(batches) / int(trainer.args.gradient_accumulation_steps)))
    except (AttributeError, TypeError, NotImplementedError):  # a stream has no length
        return None


def _of_accelerate(loader: Any) -> Steps | None:
    """Where what an epoch leaves over belongs to the first step of the next; else only counting tells."""
    state = loader.gradient_state
    if state.sync_with_dataloader or state.num_steps == 1 or not has_length(loader):
        return None
    return steps_in_an_epoch(Fraction(len(loader), state.num_steps))


def _of_lightning(trainer: Any) -> int | None:
    every = all(c.interval != "step" or c.frequency == 1 for c in trainer.lr_scheduler_configs)
    if not every or not trainer.lightning_module.automatic_optimization:
        return None
    batches = trainer.num_training_batches
    return None if math.isinf(batches) else max(1, math.ceil(batches / trainer.accumulate_grad_batches))
