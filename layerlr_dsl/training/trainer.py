"""What a transformers Trainer is given: optimizer and schedule by rules, callbacks that report and log."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.training import following
from layerlr_dsl.training.callers import has_length
from layerlr_dsl.training.schedule import LayerSchedule

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer
    from transformers import TrainerCallback
    from transformers.trainer_callback import CallbackHandler

    from layerlr_dsl.api import Configured, Rules
else:
    # Where peft is installed, this looks for models, and those for torchvision.
    _callbacks = with_torchvision(lambda: import_module("transformers.trainer_callback"))
    TrainerCallback, CallbackHandler = _callbacks.TrainerCallback, _callbacks.CallbackHandler


def optimizers(
    rules: Rules | Configured, model: nn.Module, args: Any, train_dataset: Iterable[Any]
) -> tuple[Optimizer, LayerSchedule]:
    """The pair that `Trainer(optimizers=...)` takes.

    args: its TrainingArguments, which give the run's length; train_dataset: what it trains on. A stream
    without a length needs `max_steps`, as it does for the Trainer. Raises ValueError without.
    """
    plan = rules.resolve(model, **run_length(args, train_dataset))
    optimizer = plan.optimizer(model)
    return optimizer, plan.schedule(model, optimizer)


def run_length(args: Any, train_dataset: Iterable[Any]) -> dict[str, Any]:
    """How long a Trainer's run is, as `Rules.resolve` takes it."""
    if has_length(train_dataset):
        known = {"steps_per_epoch": steps_per_epoch(args, len(train_dataset))}  # type: ignore[arg-type]
        return (
            {**known, "steps": args.max_steps}
            if args.max_steps > 0
            else {**known, "epochs": args.num_train_epochs}
        )
    if args.max_steps <= 0:
        raise ValueError(
            f"a {type(train_dataset).__name__} has no length: give TrainingArguments(max_steps=...), as the Trainer "
            "asks for too"
        )
    return {"steps": args.max_steps}


def steps_per_epoch(args: Any, examples: int) -> int:
    """Optimizer steps that a Trainer takes in an epoch over so many examples."""
    share = float(examples / (args.train_batch_size * args.world_size))
    batches: int = math.floor(share) if args.dataloader_drop_last else math.ceil(share)
    return _accumulated(batches, args)


def _accumulated(batches: int, args: Any) -> int:
    return max(1, math.ceil(batches / int(args.gradient_accumulation_steps)))


class LogRates(TrainerCallback):  # type: ignore[misc]
    """Adds `learning_rate/GROUP` to what is logged, for every group of which something trains at that time."""

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add the rates to a log that has one, for the callbacks that come after and in the Trainer's history."""
        schedule, logs = kwargs.get("lr_scheduler"), kwargs.get("logs", {})
        if not isinstance(schedule, LayerSchedule) or "learning_rate" not in logs:
            return
        rates = {f"learning_rate/{name}": float(rate) for name, rate in schedule.logged.items()}
        if len(schedule.optimizer.param_groups) > 1:
            logs.update(rates)
            state.log_history[-1].update(rates)


class ReportMetrics(TrainerCallback):  # type: ignore[misc]
    """Reports evaluation metrics (`eval_loss`, ...) to the schedule, and proves frozen tensors at the end.

    The rates of all groups are logged beside `learning_rate`.
    When training begins it gives the schedule the true steps of an epoch: data may have been packed, and
    `auto_find_batch_size` begins anew with smaller batches.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the schedule to the steps that an epoch really has, and to the step that the run is at."""
        schedule, batches = kwargs.get("lr_scheduler"), kwargs.get("train_dataloader")
        _log_first(sys._getframe(1).f_locals.get("self"))
        if not isinstance(schedule, LayerSchedule) or not schedule.plan.clock.counts_steps:
            return
        if schedule.plan.clock.steps_per_epoch is not None and has_length(batches):
            schedule.relength(steps_per_epoch=_accumulated(len(batches), args))  # type: ignore[arg-type]
        if schedule.last_epoch != state.global_step:
            schedule.step(state.global_step)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The epoch before is over, its evaluation too."""
        schedule = kwargs.get("lr_scheduler")
        if isinstance(schedule, LayerSchedule) and schedule.last_epoch:
            schedule.report(end_of_epoch=True)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report what the evaluation found. Of several in an epoch the last counts."""
        schedule = kwargs.get("lr_scheduler")
        if isinstance(schedule, LayerSchedule) and schedule.last_epoch:
            schedule.report(
                {k: v for k, v in kwargs.get("metrics", {}).items() if isinstance(v, (int, float))}
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Verify, and name conditions that waited for a metric nobody reported. Raises FrozenMoved."""
        schedule = kwargs.get("lr_scheduler")
        if isinstance(schedule, LayerSchedule):
            following.finish(schedule)


def _log_first(handler: object) -> None:
    """Put LogRates before the callbacks of a Trainer, so that those which write logs have what it adds."""
    if isinstance(handler, CallbackHandler) and not any(isinstance(c, LogRates) for c in handler.callbacks):
        handler.callbacks = [LogRates(), *handler.callbacks]
