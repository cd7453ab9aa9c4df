"""transformers: the `optimizers` of a Trainer, and a callback that reports metrics.

Trainer(model, args, train_dataset=data, optimizers=optimizers(rules, model, args, data), callbacks=[ReportMetrics()])
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sized
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from layerlr_dsl.training.errors import ScheduleWarning
from layerlr_dsl.training.schedule import LayerSchedule

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from layerlr_dsl.api import Rules


def optimizers(
    rules: Rules, model: nn.Module, args: Any, train_dataset: Sized
) -> tuple[Optimizer, LayerSchedule]:
    """The pair that `Trainer(optimizers=...)` takes.

    args: its TrainingArguments, which give the run's length; train_dataset: what it trains on.
    """
    steps = steps_per_epoch(args, len(train_dataset))
    epochs: Any = Fraction(args.max_steps, steps) if args.max_steps > 0 else args.num_train_epochs
    plan = rules.resolve(model, epochs=epochs, steps_per_epoch=steps)
    optimizer = plan.optimizer(model)
    return optimizer, plan.schedule(model, optimizer)


def steps_per_epoch(args: Any, examples: int) -> int:
    """Optimizer steps that a Trainer takes in an epoch over so many examples."""
    share = float(examples / (args.train_batch_size * args.world_size))
    batches: int = math.floor(share) if args.dataloader_drop_last else math.ceil(share)
    return max(1, math.ceil(batches / int(args.gradient_accumulation_steps)))


class ReportMetrics(TrainerCallback):  # type: ignore[misc]
    """Reports evaluation metrics (`eval_loss`, ...) to the schedule, and proves frozen tensors at the end."""

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report what the evaluation found."""
        schedule = kwargs.get("lr_scheduler")
        if isinstance(schedule, LayerSchedule) and schedule.last_epoch:
            schedule.report(
                {k: v for k, v in kwargs.get("metrics", {}).items() if isinstance(v, (int, float))}
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Verify, and name conditions that waited for a metric nobody reported. Raises FrozenMoved."""
        schedule = kwargs.get("lr_scheduler")
        if isinstance(schedule, LayerSchedule):
            schedule.verify()
            if silent := schedule.unreported():
                warnings.warn(f"never reported: {', '.join(silent)}", ScheduleWarning, stacklevel=2)
