"""A transformers Trainer that takes rules in the place of learning rate, optimizer and scheduler."""

from __future__ import annotations

import dataclasses
import warnings
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

from layerlr_dsl.api import Configured, Rules, rules_of
from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.training.trainer import ReportMetrics, run_length

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from layerlr_dsl.training.schedule import LayerSchedule

_Trainer: Any = with_torchvision(lambda: import_module("transformers").Trainer)

OVERRIDDEN = (
    *(
        "learning_rate",
        "weight_decay",
        "lr_scheduler_type",
        "lr_scheduler_kwargs",
        "warmup_steps",
        "warmup_ratio",
    ),
    *("optim", "optim_args", "optim_target_modules", "adam_beta1", "adam_beta2", "adam_epsilon"),
)
"""TrainingArguments that say what rules say too."""


class LayerTrainer(_Trainer):  # type: ignore[misc]
    """A Trainer that builds optimizer and schedule by rules: `LayerTrainer(model, args, rules="my.lr", ...)`.

    rules: a file, `recipe:NAME`, their text, Rules or Configured. They are resolved for the run's true length
    when training begins, and metrics are reported to them. Warns of TrainingArguments that the rules override.
    """

    optimizer: Any
    lr_scheduler: Any
    is_deepspeed_enabled: bool
    _early: LayerSchedule | None

    def __init__(self, *args: Any, rules: Rules | Configured | str | PathLike[str], **kwargs: Any) -> None:
        self.rules = rules if isinstance(rules, (Rules, Configured)) else rules_of(rules)
        super().__init__(*args, **kwargs)
        self.add_callback(ReportMetrics())
        lost = overridden(self.args)
        if lost:
            warnings.warn(f"the rules say this, and not TrainingArguments: {', '.join(lost)}", stacklevel=2)

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """The optimizer that the rules ask for."""
        if self.optimizer is None:
            model = self.model if model is None else model
            self.plan = self.rules.resolve(model, **run_length(self.args, self.train_dataset))
            self.optimizer = self.plan.optimizer(model)
            # DeepSpeed copies what requires a gradient, and asks for a schedule only then.
            self._early = self.plan.schedule(model, self.optimizer) if self.is_deepspeed_enabled else None
        found: Optimizer = self.optimizer
        return found

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LayerSchedule:
        """The schedule of the rules, over the steps that the run really has."""
        if self.lr_scheduler is None:
            given = self.optimizer if optimizer is None else optimizer
            made = self._early or self.plan.schedule(self.model, given)
            if made.plan.clock.total != num_training_steps:
                made.relength(steps=num_training_steps)
            self.lr_scheduler = made
        found: LayerSchedule = self.lr_scheduler
        return found


def overridden(args: Any) -> list[str]:
    """TrainingArguments that are not at their defaults, and that rules take the place of."""
    defaults = {field.name: field.default for field in dataclasses.fields(args)}
    given = {name: getattr(args, name) for name in OVERRIDDEN if name in defaults}
    # None and {} stand for nothing said, 0 does not.
    return [n for n, value in given.items() if value not in (None, "", {}) and value != defaults[n]]
