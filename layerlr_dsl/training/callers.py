"""Loops of others that call `schedule.step()`: what they do with it, and what they know of the run.

A schedule is handed to them as any scheduler is, and told nothing. They are known by the frames that call.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

FAR = 16
"""Frames between a loop and the schedule that it steps: hooks and wrappers of its own."""
FARTHER = 100
TUNERS = ("lightning.pytorch.tuner.", "pytorch_lightning.tuner.")
LIGHTNING = ("lightning.pytorch.loops.", "pytorch_lightning.loops.")


class Accelerate:
    """accelerate steps a scheduler once per process for each optimizer step; the first call of them counts."""

    def __init__(self) -> None:
        self._caller: FrameType | None = None

    def repeats(self, caller: FrameType) -> bool:
        """Whether this is a further call for the same optimizer step."""
        if caller.f_globals.get("__name__") != "accelerate.scheduler":
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
    if frame.f_globals.get("__name__") == "accelerate.scheduler" and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_globals.get("__name__") == "transformers.trainer"


def steps_per_epoch() -> int | None:
    """The optimizer steps in an epoch of the loop that calls; None where it is unknown, or does not know itself."""
    known = "transformers.trainer" in sys.modules, any(name[:-1] in sys.modules for name in LIGHTNING)
    if any(known):
        for name, loop in _loops():
            if name == "transformers.trainer":
                return _of_transformers(loop)
            if name.startswith(LIGHTNING):
                return _of_lightning(loop)
    return None


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


def _of_lightning(loop: Any) -> int | None:
    trainer = getattr(loop, "trainer", None)
    if trainer is None or not trainer.lightning_module.automatic_optimization:
        return None
    batches = trainer.num_training_batches
    return None if math.isinf(batches) else max(1, math.ceil(batches / trainer.accumulate_grad_batches))
