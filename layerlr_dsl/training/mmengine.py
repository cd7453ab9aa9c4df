"""mmengine: a constructor of optimizer wrappers by rules, and the hook that carries the rules out.

custom_imports = dict(imports=["layerlr_dsl.training.mmengine"])
optim_wrapper = dict(type="OptimWrapper", constructor="LayerRules", rules="my.lr")
custom_hooks = [dict(type="LayerRulesHook")]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from mmengine.runner import EpochBasedTrainLoop
from torch import nn
from torch.optim import SGD

from layerlr_dsl.api import Configured
from layerlr_dsl.training import following
from layerlr_dsl.training.errors import TrainingError

if TYPE_CHECKING:
    from layerlr_dsl.api import Plan
    from layerlr_dsl.training.schedule import LayerSchedule

KEY = "layer_schedule"
"""Where a checkpoint holds the schedule's state."""


class Coming(SGD):
    """Stands for the optimizer until the run's length is known: LayerRulesHook puts the real one in its place."""

    def __init__(self, rules: Configured) -> None:
        super().__init__([nn.Parameter(torch.empty(0))], lr=1.0)
        self.rules = rules

    def step(self, closure: Any = None) -> Any:
        """Raises TrainingError: nobody made the optimizer."""
        raise TrainingError('the rules want their hook: custom_hooks=[dict(type="LayerRulesHook")]')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerRules:
    """`constructor="LayerRules"`: rules in the place of `optimizer` and `paramwise_cfg`.

    `rules` and `lets` of the configuration are as `layerlr_dsl.configured` takes them; the rest goes to the wrapper.
    Raises RuleError where the rules have an error, and TrainingError for a key that the rules take the place of.
    """

    def __init__(
        self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: Mapping[str, Any] | None = None
    ) -> None:
        self.wrapper = dict(optim_wrapper_cfg)
        if paramwise_cfg or self.wrapper.get("optimizer"):
            key = "paramwise_cfg" if paramwise_cfg else "optimizer"
            raise TrainingError(
                f"{key} of optim_wrapper is what the rules say: leave it out (`layerlr import` reads it)"
            )
        self.wrapper.pop("optimizer", None)
        if "rules" not in self.wrapper:
            raise TrainingError(
                'optim_wrapper lacks its rules: dict(constructor="LayerRules", rules="my.lr")'
            )
        lets = self.wrapper.pop("lets", None)
        self.rules = Configured(self.wrapper.pop("rules"), None if lets is None else dict(lets))

    def __call__(self, model: nn.Module) -> Any:
        """The wrapper, with what stands for the optimizer."""
        return OPTIM_WRAPPERS.build({"type": "OptimWrapper", **self.wrapper, "optimizer": Coming(self.rules)})


@HOOKS.register_module()
class LayerRulesHook(Hook):  # type: ignore[misc]
    """Makes the optimizer that the rules ask for, steps the schedule, reports metrics, and saves and loads its state.

    Metrics are those of validation; what is no letter, digit or `_` in their names is `_` in a rule
    (`until coco_bbox_mAP stops rising for 2 epochs`).
    """

    priority = "HIGH"

    def __init__(self) -> None:
        self.schedule: LayerSchedule | None = None
        self._plan: Plan | None = None
        self._saved: dict[str, Any] | None = None

    def before_run(self, runner: Any) -> None:
        """Put the real optimizer in, before a checkpoint is loaded. Raises RuleError and TrainingError."""
        wrapper = runner.optim_wrapper
        if wrapper is None or isinstance(wrapper, Mapping) or self._plan is not None:
            return  # nothing is trained: `val` and `test` come here too, of a configuration or of a trained run
        coming = getattr(wrapper, "optimizer", None)
        if not isinstance(coming, Coming):
            raise TrainingError(
                'LayerRulesHook wants optim_wrapper=dict(constructor="LayerRules", rules=...)'
            )
        if runner.param_schedulers:
            raise TrainingError("param_scheduler and the rules both set rates: leave param_scheduler out")
        if coming.param_groups[0]["lr"] != 1.0:
            raise TrainingError(
                "auto_scale_lr has nothing to scale: the rules say rates (`lets` changes them)"
            )
        self._plan = coming.rules.resolve(runner.model, **_length(runner))
        wrapper.optimizer = self._plan.optimizer(runner.model)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the state of a run that goes on."""
        if runner._resume:
            self._saved = checkpoint.get(KEY)

    def before_train(self, runner: Any) -> None:
        """The weights are there: freeze, and go on where the run was."""
        assert self._plan is not None
        self.schedule = self._plan.schedule(runner.model, runner.optim_wrapper.optimizer)
        if self._saved is not None:
            self.schedule.load_state_dict(self._saved)
        elif runner.iter:
            raise TrainingError("this checkpoint has no state of a schedule by rules: its run had none")

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Add the schedule's state."""
        if self.schedule is not None:
            checkpoint[KEY] = self.schedule.state_dict()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Step where the optimizer did."""
        if self.schedule is not None and runner.optim_wrapper.should_update():
            self.schedule.step()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Report what validation measured."""
        if self.schedule is not None:
            self.schedule.report(following.named(metrics or {}, self.schedule.waits_for))

    def before_train_epoch(self, runner: Any) -> None:
        """The epoch before is over, its validation too."""
        if self.schedule is not None and self.schedule.last_epoch:
            self.schedule.report(end_of_epoch=True)

    def after_train(self, runner: Any) -> None:
        """Raises FrozenMoved."""
        if self.schedule is not None:
            self.schedule.report(end_of_epoch=True)
            following.finish(self.schedule)


def _length(runner: Any) -> dict[str, Any]:
    """As `Rules.resolve` takes it; a loop of iterations has no epochs."""
    loop, accumulate = runner.train_loop, runner.optim_wrapper._accumulative_counts
    if isinstance(loop, EpochBasedTrainLoop):
        return following.length_of(len(loop.dataloader), loop.max_epochs, accumulate, rest=True)
    return {"steps": -(-loop.max_iters // accumulate)}
