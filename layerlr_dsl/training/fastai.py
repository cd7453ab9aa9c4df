"""fastai: a callback that trains a Learner by rules.

learn = Learner(dls, model, cbs=ByRules("my.lr"))
learn.fit(3)
"""

from __future__ import annotations

import math
import warnings
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import SGD, Optimizer

from layerlr_dsl.api import Configured
from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.training import following
from layerlr_dsl.training.errors import ScheduleWarning, TrainingError

if TYPE_CHECKING:
    from layerlr_dsl.training.schedule import LayerSchedule

_learner: Any = with_torchvision(lambda: import_module("fastai.learner"))
_optimizer: Any = import_module("fastai.optimizer")
_schedules: Any = import_module("fastai.callback.schedule")
_training: Any = import_module("fastai.callback.training")


class RuledOptimizer(_optimizer.OptimWrapper):  # type: ignore[misc]
    """An optimizer whose rates are the rules', whatever a Learner sets: `fit` does before each run."""

    asked: dict[str, Any]
    """What `fit` would have set, by fastai's names; empty where no `fit` has begun since."""
    loaded: dict[str, Any] | None = None
    """State to begin the next run with."""
    coming: bool = False

    def __init__(self, optimizer: Optimizer, coming: bool = False) -> None:
        super().__init__(opt=optimizer)
        self.asked, self.coming = {}, coming

    def set_hyper(self, k: str, v: Any) -> None:
        """Note what is asked for; the groups stay as they are."""
        self.asked[k] = v

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load; the next `fit` begins with it."""
        self.loaded = state
        if not self.coming:
            self.opt.load_state_dict(state)


class ByRules(_learner.Callback):  # type: ignore[misc]
    """Optimizer, rates and freezing of a Learner by rules. Each `fit` is a run of its own, with a new optimizer.

    `start_epoch` begins in the middle of the rules' run, with the optimizer's state that `load(..., with_opt=True)`
    gave before it. Metrics are reported by the names of fastai's table. Frozen tensors are proved at the end.
    Raises TrainingError for `fit_one_cycle` and others that set rates themselves.

    Args:
        rules: a file, `recipe:NAME`, or the rules themselves.
        lets: constants that take the place of the rules' own.
    """

    order = _learner.Recorder.order + 5
    run_valid = False

    def __init__(self, rules: str | PathLike[str], lets: dict[str, Any] | None = None) -> None:
        self.rules = Configured(rules, lets)
        self.schedule: LayerSchedule | None = None
        self.running = False

    def __getstate__(self) -> dict[str, Any]:
        """Without the run: an exported Learner keeps the rules."""
        return {**self.__dict__, "schedule": None}

    def after_create(self) -> None:
        """The Learner's optimizers are ours from now on."""
        self.learn.opt_func = _coming

    def before_fit(self) -> None:
        """Resolve the rules for this run. Raises RuleError, and TrainingError where something else sets rates."""
        old = self.learn.opt
        self.running = isinstance(old, RuledOptimizer) and bool(old.asked)
        if not self.running:  # `validate` and `get_preds` come here too
            return
        _refuse_others(self.learn)
        _warn_of_asked(old, self.learn)
        plan = self.rules.resolve(self.learn.model, **_length(self.learn))
        optimizer = plan.optimizer(self.learn.model)
        self.schedule = plan.schedule(self.learn.model, optimizer)
        if old.loaded is not None:
            optimizer.load_state_dict(old.loaded)
        self.learn.opt = RuledOptimizer(optimizer)
        if (skipped := _skipped(self.learn)) > 0:
            self.schedule.step(plan.tick(epoch=skipped))

    def after_step(self) -> None:
        """One optimizer step is done. Raises TrainingError where the optimizer is not that of the rules."""
        if self.schedule is None or not self.running:
            raise TrainingError("learn.opt is not the optimizer of the rules: leave learn.opt as it is")
        self.schedule.step()

    def after_epoch(self) -> None:
        """Report the row of the table; the epoch is over."""
        if self.schedule is None or not self.running or self.learn.epoch < _skipped(self.learn):
            return
        row = _row(self.learn)
        self.schedule.report(following.named(row, self.schedule.waits_for), end_of_epoch=True)

    def after_fit(self) -> None:
        """Raises FrozenMoved."""
        if self.schedule is not None and self.running:
            self.running = False
            following.finish(self.schedule)


def _coming(params: Any, **settings: Any) -> RuledOptimizer:
    """What stands for the optimizer until a run's length is known; it never steps."""
    return RuledOptimizer(SGD([torch.nn.Parameter(torch.empty(0))], lr=0.0), coming=True)


def _length(learn: Any) -> dict[str, Any]:
    batches, accumulate = len(learn.dls.train), 1
    for callback in learn.cbs:
        if isinstance(callback, _training.GradientAccumulation):
            accumulate = max(1, math.ceil(callback.n_acc / _batch_size(learn.dls.train)))
    return following.length_of(batches, learn.n_epoch, accumulate)


def _batch_size(loader: Any) -> int:
    """Of fastai's own loader, or torch's, which fastai takes too."""
    return getattr(loader, "bs", None) or getattr(loader, "batch_size", None) or 1


def _row(learn: Any) -> dict[str, Any]:
    recorder = getattr(learn, "recorder", None)
    return {} if recorder is None else dict(zip(recorder.metric_names[1:], learn.final_record, strict=False))


def _skipped(learn: Any) -> int:
    """Epochs that `fit(start_epoch=)` leaves out."""
    return max((c._skip_to for c in learn.cbs if isinstance(c, _learner.SkipToEpoch)), default=0)


def _refuse_others(learn: Any) -> None:
    for callback in learn.cbs:
        if isinstance(callback, _schedules.ParamScheduler):
            raise TrainingError(
                f"{type(callback).__name__} sets rates at each step, and so do the rules: say it in the rules "
                "(`schedule one_cycle`) and call learn.fit(epochs); to search for a rate take ByRules off first, "
                "learn.remove_cb(ByRules)"
            )


def _warn_of_asked(optimizer: RuledOptimizer, learn: Any) -> None:
    given = {name: value for name, value in optimizer.asked.items() if name != "lr" or value != learn.lr}
    if given:
        said = ", ".join(f"{name}={value}" for name, value in given.items())
        text = f"the rules say rates and weight decay: {said} of the Learner or its fit has no effect"
        warnings.warn(text, ScheduleWarning, stacklevel=2)
