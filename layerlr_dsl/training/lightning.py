"""Lightning: what `configure_optimizers` returns, and a callback that reports metrics.

def configure_optimizers(self):
    return configure(self, layerlr.load("finetune.lr"))

Trainer(callbacks=[ReportMetrics()], ...)
"""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from typing import TYPE_CHECKING, Any

try:
    from lightning.pytorch.callbacks import Callback, StochasticWeightAveraging
except ImportError:
    from pytorch_lightning.callbacks import Callback, StochasticWeightAveraging

from layerlr_dsl.training.averages import hold_in_callback
from layerlr_dsl.training.errors import ScheduleWarning
from layerlr_dsl.training.schedule import LayerSchedule

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from layerlr_dsl.api import Rules


def configure(
    module: Any, rules: Rules, *, model: nn.Module | None = None, optimizer: type[Optimizer] | None = None
) -> dict[str, Any]:
    """The optimizer and the schedule of a LightningModule, for its `configure_optimizers` to return.

    model: the part of the module that the rules speak of, the whole module if not given. optimizer: a
    class to use in place of the file's. The length of the run and the optimizer steps of an epoch come
    from the module's trainer; where an epoch has no known length, the schedule steps once an epoch.
    """
    model = module if model is None else model
    _hold_averages(module.trainer)
    epochs, steps = run_length(module.trainer)
    plan = rules.resolve(model, epochs=epochs, steps_per_epoch=steps)
    made = plan.optimizer(model) if optimizer is None else optimizer(plan.param_groups(model))  # type: ignore[call-arg]
    schedule = {"scheduler": plan.schedule(model, made), "interval": "epoch" if steps is None else "step"}
    return {"optimizer": made, "lr_scheduler": schedule}


def run_length(trainer: Any) -> tuple[Any, int | None]:
    """The epochs of a Trainer's run, and the optimizer steps in one; None where they are not known."""
    trainer.fit_loop.setup_data()  # `max_epochs=-1` would not
    total = trainer.estimated_stepping_batches
    batches = trainer.num_training_batches
    steps = None if math.isinf(batches) else max(1, math.ceil(batches / trainer.accumulate_grad_batches))
    if steps is not None and math.isfinite(total) and total > 0:
        return Fraction(int(total), steps), steps
    return (trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None), steps


class ReportMetrics(Callback):  # type: ignore[misc]
    """Reports metrics to the schedules that wait for them, and proves frozen tensors at the end.

    After each validation; after each epoch of a run without any.
    """

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Keep what is frozen out of the averages that Lightning makes by itself."""
        _hold_averages(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Report everything that was logged, except from the sanity check before training."""
        if not trainer.sanity_checking:
            _report(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report what training logged, where nothing is validated."""
        if not sum(trainer.num_val_batches):
            _report(trainer)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Verify, and name conditions that waited for a metric nobody logged. Raises FrozenMoved."""
        for schedule in _schedules(trainer):
            schedule.verify()
            if silent := schedule.unreported():
                text = f"never reported: {', '.join(silent)}"
                warnings.warn(text, ScheduleWarning, stacklevel=2)


def _hold_averages(trainer: Any) -> None:
    for callback in trainer.callbacks:
        if isinstance(callback, StochasticWeightAveraging):
            hold_in_callback(callback)


def _report(trainer: Any) -> None:
    for schedule in _schedules(trainer):
        schedule.report(dict(trainer.callback_metrics))


def _schedules(trainer: Any) -> list[LayerSchedule]:
    found = (config.scheduler for config in trainer.lr_scheduler_configs)
    return [schedule for schedule in found if isinstance(schedule, LayerSchedule)]
