"""Lightning: what `configure_optimizers` returns, and a callback that reports metrics.

def configure_optimizers(self):
    return configure(self, layerlr.load("finetune.lr"))

Trainer(callbacks=[ReportMetrics()], ...)

Where YAML makes the trainer, the callback `ByRules` does both.
"""

from __future__ import annotations

import math
import warnings
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

try:
    from lightning.pytorch.callbacks import Callback, StochasticWeightAveraging
except ImportError:
    from pytorch_lightning.callbacks import Callback, StochasticWeightAveraging

from layerlr_dsl.api import Configured
from layerlr_dsl.training import callers, following
from layerlr_dsl.training.averages import hold_in_callback
from layerlr_dsl.training.errors import ScheduleWarning
from layerlr_dsl.training.schedule import LayerSchedule

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from layerlr_dsl.api import Rules


def configure(
    module: Any,
    rules: Rules | Configured,
    *,
    model: nn.Module | None = None,
    optimizer: type[Optimizer] | None = None,
) -> dict[str, Any]:
    """The optimizer and the schedule of a LightningModule, for its `configure_optimizers` to return.

    model: the part of the module that the rules speak of, the whole module if not given. optimizer: a
    class to use in place of the file's. The length of the run and the optimizer steps of an epoch come
    from the module's trainer, and the schedule follows them should they change before or while it trains;
    where neither they nor `max_steps` are known, the schedule steps once an epoch. Where one trainer fits again,
    the schedule begins at the epoch that the trainer is in.
    """
    model = module if model is None else model
    _hold_averages(module.trainer)
    plan = rules.resolve(model, **run_length(module.trainer))
    made = plan.optimizer(model) if optimizer is None else optimizer(plan.param_groups(model))  # type: ignore[call-arg]
    if not any(isinstance(callback, FollowTrainer) for callback in module.trainer.callbacks):
        module.trainer.callbacks.append(FollowTrainer())
    schedule = plan.schedule(model, made)
    _go_on(schedule, module.trainer.current_epoch)
    config = {"scheduler": schedule, "interval": _interval(plan.clock.counts_steps)}
    return {"optimizer": made, "lr_scheduler": config}


def _go_on(schedule: LayerSchedule, epoch: int) -> None:
    """Begin at the epoch that a trainer has reached in an earlier `fit`: it counts on, and callbacks go by that."""
    if epoch == 0 or not schedule.plan.clock.knows_epochs or callers.tries():
        return
    schedule.relength(epoch=epoch)
    text = (
        f"the trainer goes on at epoch {epoch} with a new optimizer, and the rules' schedule goes on with it: what they do "
        "before that is over. Where they are to begin again, make a new Trainer"
    )
    warnings.warn(text, ScheduleWarning, stacklevel=3)


def run_length(trainer: Any) -> dict[str, Any]:
    """How long a Trainer's run is, as `Rules.resolve` takes it: what is not known is left out."""
    trainer.fit_loop.setup_data()  # `max_epochs=-1` would not
    per_epoch, total = steps_per_epoch(trainer), trainer.max_steps
    known = {} if per_epoch is None else {"steps_per_epoch": per_epoch}
    epochs = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
    if total > 0 and (per_epoch is None or epochs is None or total <= epochs * per_epoch):
        return {**known, "steps": total}
    return known if epochs is None else {**known, "epochs": epochs}


def steps_per_epoch(trainer: Any) -> int | None:
    """Optimizer steps that a Trainer takes in the epoch that it is in; None for data without a length."""
    batches = trainer.num_training_batches
    return None if math.isinf(batches) else max(1, math.ceil(batches / trainer.accumulate_grad_batches))


class FollowTrainer(Callback):  # type: ignore[misc]
    """Keeps schedules at the pace of their trainer; `configure` adds one where there is none.

    A batch size that is searched for, and accumulation that changes, give epochs other steps than the rules
    were resolved with.
    """

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Keep what is frozen out of the averages that Lightning makes by itself."""
        _hold_averages(trainer)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Have schedules that count steps stepped at every step, whatever they were returned with."""
        for config in trainer.lr_scheduler_configs:
            schedule = config.scheduler
            if not isinstance(schedule, LayerSchedule) or not pl_module.automatic_optimization:
                continue
            interval = _interval(schedule.plan.clock.counts_steps)
            if config.interval != interval:
                text = (
                    f"the schedule was returned with the interval {config.interval!r}, and it counts {interval}s; it is "
                    f'stepped every {interval} now. Return {{"scheduler": schedule, "interval": "{interval}"}}'
                )
                warnings.warn(text, ScheduleWarning, stacklevel=2)
                config.interval = interval
            if config.frequency != 1:
                text = (
                    f"the schedule was returned with the frequency {config.frequency}, and every {interval} counts; it is "
                    f"stepped at each now. Leave the frequency out"
                )
                warnings.warn(text, ScheduleWarning, stacklevel=2)
                config.frequency = 1

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Look at the length of each epoch when its first batch is there: by then callbacks have set it."""
        if batch_idx == 0 and pl_module.automatic_optimization:
            per_epoch = steps_per_epoch(trainer)
            for schedule in _schedules(trainer):
                known = schedule.plan.clock.steps_per_epoch
                if per_epoch is not None and known is not None and per_epoch != known:
                    schedule.relength(steps_per_epoch=per_epoch, epoch=trainer.current_epoch)


class ReportMetrics(FollowTrainer):
    """Reports metrics to the schedules that wait for them, and proves frozen tensors at the end.

    Those of validation after each one; those of training after each epoch. Of several validations in an
    epoch the last counts.
    """

    def __init__(self) -> None:
        super().__init__()
        self._before: set[str] = set()
        self._validated: set[str] = set()
        self._validations = 0

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Note what was logged before: the rest comes from validation."""
        self._before = set(trainer.callback_metrics) - self._validated

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Report what validation logged, except from the sanity check before training."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        logged = dict(trainer.callback_metrics)
        self._validations += 1
        self._validated |= logged.keys() - self._before
        for schedule in _schedules(trainer):
            if heard := schedule.waits_for & self._validated & logged.keys():
                schedule.report({name: logged[name] for name in heard})

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report what training logged; the epoch is over.

        That nothing of it is waited for says something once validation had its chance twice: it need not run in
        each epoch, nor log each time.
        """
        logged = dict(trainer.callback_metrics)
        for schedule in _schedules(trainer):
            wanted = schedule.waits_for & logged.keys()
            telling = self._validations > 1 or not trainer.enable_validation
            heard = wanted - self._validated if wanted or not telling else logged.keys()
            schedule.report({name: logged[name] for name in heard}, end_of_epoch=True)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Verify, and name conditions that waited for a metric nobody logged. Raises FrozenMoved."""
        for schedule in _schedules(trainer):
            following.finish(schedule)


class ByRules(ReportMetrics):
    """Optimizer and schedule by rules, in the place of what the module's `configure_optimizers` would return.

    Does what ReportMetrics does. Lightning asks for that method before it asks any callback, so that a module
    needs one all the same.

    Args:
        rules: a file, `recipe:NAME`, or the rules themselves.
        lets: constants that take the place of the rules' own.
        part: the submodule that the rules speak of, by its dotted name; the whole module if not given.
    """

    def __init__(
        self, rules: str | PathLike[str], lets: dict[str, Any] | None = None, part: str = ""
    ) -> None:
        super().__init__()
        self.rules, self.lets = rules, lets
        self.part = part
        self._own: Any = None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Put the rules in the place of the module's own.

        Raises RuleError and OSError for rules that cannot be read, which LightningCLI would bury in a list of what
        else a callback might be, were they read when this is made; AttributeError for a part that the module lacks.
        """
        if stage == "fit":
            rules, part = Configured(self.rules, self.lets), pl_module.get_submodule(self.part)
            self._own = vars(pl_module).pop("configure_optimizers", None)
            pl_module.configure_optimizers = partial(configure, pl_module, rules, model=part)
            # A second reporter would count every epoch twice. The list is being walked through: it gets a new one.
            trainer.callbacks = [
                c for c in trainer.callbacks if c is self or not isinstance(c, ReportMetrics)
            ]

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Give the module its own method back: its class's, or one that LightningCLI gave it."""
        if stage == "fit":
            vars(pl_module).pop("configure_optimizers", None)
            if self._own is not None:
                pl_module.configure_optimizers = self._own


def _hold_averages(trainer: Any) -> None:
    for callback in trainer.callbacks:
        if isinstance(callback, StochasticWeightAveraging):
            hold_in_callback(callback)


def _interval(counts_steps: bool) -> str:
    return "step" if counts_steps else "epoch"


def _schedules(trainer: Any) -> list[LayerSchedule]:
    found = (config.scheduler for config in trainer.lr_scheduler_configs)
    return [schedule for schedule in found if isinstance(schedule, LayerSchedule)]
