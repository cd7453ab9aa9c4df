"""ultralytics: a trainer that goes by rules.

class Trainer(ByRules, DetectionTrainer):
    rules = "my.lr"

YOLO("yolo11n.pt").train(trainer=Trainer, data="coco8.yaml", epochs=10)
"""

from __future__ import annotations

import json
import warnings
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer

from layerlr_dsl.api import Configured
from layerlr_dsl.tools.atomic import write_atomically
from layerlr_dsl.training import following, modes
from layerlr_dsl.training.errors import ScheduleWarning, TrainingError

if TYPE_CHECKING:
    from layerlr_dsl.training.schedule import LayerSchedule

SAID = ("optimizer", "lr0", "lrf", "momentum", "weight_decay", "cos_lr", "warmup_epochs", "freeze")
"""Settings of ultralytics that rules say too."""


class ByRules:
    """Goes before a trainer of ultralytics among the bases: optimizer, rates and freezing are the rules'.

    The metrics that rules wait for are ultralytics' own, where what is no letter, digit or `_` is `_`:
    `until metrics_mAP50_95_B stops rising for 5 epochs`, `val_box_loss`; `fitness` too. The state of the schedule is
    kept beside the weights, and `resume=True` goes on with it. Raises RuleError when training begins.

    Attributes:
        rules: a file, `recipe:NAME`, or the rules themselves; `YOLO.train(rules=...)` may say it too.
        lets: constants that take the place of the rules' own; `YOLO.train(lets=...)` may say it too.
    """

    rules: str | PathLike[str] | None = None
    lets: dict[str, Any] | None = None
    layer_schedule: LayerSchedule | None = None

    def __init__(self, *arguments: Any, overrides: dict[str, Any] | None = None, **named: Any) -> None:
        given = dict(overrides or {})
        self.rules, self.lets = given.pop("rules", self.rules), given.pop("lets", self.lets)
        if self.rules is None:
            raise TrainingError('a trainer by rules wants them: `rules = "my.lr"` in its class')
        self.read = Configured(self.rules, self.lets)
        super().__init__(*arguments, overrides=given, **named)  # type: ignore[call-arg]

    def build_optimizer(self: Any, model: nn.Module, *settings: Any, **named: Any) -> Optimizer:
        """The optimizer of the rules, for the run that the loader and the epochs give."""
        _warn_of_said(self.args)
        plan = self.read.resolve(model, **self._length())
        optimizer: Optimizer = plan.optimizer(model)
        self.layer_schedule = plan.schedule(model, optimizer)
        return optimizer

    def _length(self: Any) -> dict[str, Any]:
        return following.length_of(len(self.train_loader), self.epochs, self.accumulate)

    def _setup_scheduler(self: Any) -> None:
        """Ours goes by steps: what the trainer steps every epoch only hears which epoch begins."""
        self.lf = lambda epoch: 1.0
        self.scheduler = _Epochs(self.layer_schedule)
        self.layer_schedule.relength(**self._length())

    def _build_train_pipeline(self: Any) -> None:
        super()._build_train_pipeline()  # type: ignore[misc]
        self.layer_schedule.relength(**self._length())  # memory ran out: the batches are smaller now

    def _get_warmup_iterations(self, num_batches: int) -> int:
        """None: the rules say how rates begin."""
        return 0

    def optimizer_step(self: Any) -> None:
        """A step of the optimizer and of the schedule; ultralytics takes its average in between."""
        super().optimizer_step()  # type: ignore[misc]
        self.layer_schedule.step()

    def validate(self: Any) -> Any:
        """Report what validation measured; the epoch is over."""
        metrics, fitness = super().validate()  # type: ignore[misc]
        values = {**(metrics or {}), **({} if fitness is None else {"fitness": fitness})}
        schedule = self.layer_schedule
        schedule.report(following.named(values, schedule.waits_for), end_of_epoch=True)
        return metrics, fitness

    def save_model(self: Any) -> Any:
        """The checkpoint, which must load without this package, and beside it the schedule's state."""
        modes.uninstall(self.ema.ema)  # the next average puts them on again
        saved = super().save_model()  # type: ignore[misc]
        state = {"epoch": self.epoch, "state": self.layer_schedule.state_dict()}
        write_atomically(self.wdir / "layer_schedule.json", json.dumps(state).encode())
        return saved

    def _load_checkpoint_state(self: Any, checkpoint: dict[str, Any]) -> None:
        """Go on where the checkpoint was. Raises TrainingError where the schedule's state is not beside it."""
        super()._load_checkpoint_state(checkpoint)  # type: ignore[misc]
        path = self.wdir / "layer_schedule.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if kept.get("epoch") != checkpoint.get("epoch"):
            raise TrainingError(f"{path} is not of the epoch of the checkpoint: the schedule cannot go on")
        self.layer_schedule.load_state_dict(kept["state"])

    def final_eval(self: Any) -> Any:
        """Raises FrozenMoved before anything is made of the weights."""
        following.finish(self.layer_schedule)
        return super().final_eval()  # type: ignore[misc]


class _Epochs:
    """What a trainer sets and steps once an epoch, in the place of a scheduler."""

    def __init__(self, schedule: LayerSchedule) -> None:
        self.schedule = schedule
        self.last_epoch = -1

    def step(self) -> None:
        """The next epoch begins; where the trainer went back to do one anew, the schedule goes with it."""
        self.last_epoch += 1
        begin = self.schedule.plan.tick(epoch=self.last_epoch)
        if self.schedule.last_epoch > begin:
            self.schedule.step(begin)


def _warn_of_said(settings: Any) -> None:
    usual = import_module("ultralytics.cfg").DEFAULT_CFG
    lost = [name for name in SAID if getattr(settings, name) != getattr(usual, name)]
    if lost:
        text = f"the rules say this, and not the settings of ultralytics: {', '.join(lost)}"
        warnings.warn(text, ScheduleWarning, stacklevel=2)
