"""A Trainer that takes rules in one line."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.training.schedule import LayerSchedule

pytest.importorskip("transformers")
transformers = with_torchvision(lambda: import_module("transformers"))
with_torchvision(lambda: transformers.Trainer)


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.head(torch.tanh(self.body(x)))
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def trainer(folder: Path, **more: Any) -> Any:
    from layerlr_dsl.training.transformers import LayerTrainer

    rules = folder / "my.lr"
    rules.write_text("schedule linear\n** -> lr 1e-2\nhead -> lr 1e-1\nfreeze body until epoch 1\n")
    data = [{"x": torch.randn(4), "labels": torch.tensor(n % 2)} for n in range(12)]
    args = transformers.TrainingArguments(
        str(folder),
        num_train_epochs=2,
        per_device_train_batch_size=4,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        **more,
    )
    return LayerTrainer(Classifier(), args, train_dataset=data, rules=rules)


def test_the_rules_are_resolved_for_the_true_length_of_the_run(tmp_path: Path) -> None:
    """Three steps an epoch, six in all: the last rate is a sixth of the peak, and the body has thawed."""
    made = trainer(tmp_path)
    made.train()
    clock = made.lr_scheduler.plan.clock
    assert (clock.steps_per_epoch, clock.total) == (3, 6)
    assert isinstance(made.lr_scheduler, LayerSchedule)
    assert made.model.body.weight.requires_grad
    rates = {g["name"]: g["lr"] for g in made.lr_scheduler.optimizer.param_groups}
    assert set(rates.values()) == {0.0}


def test_arguments_that_the_rules_override_are_named(tmp_path: Path) -> None:
    """A rate in TrainingArguments would be without effect, and without a word."""
    with pytest.warns(UserWarning, match="learning_rate, weight_decay"):
        trainer(tmp_path, learning_rate=3e-4, weight_decay=0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("weight_decay", 0.1),
        ("adam_beta1", 0.0),
        ("adam_beta2", 0.9),
        ("adam_epsilon", 1e-6),
        ("optim", "sgd"),
        ("optim_args", "a=1"),
        ("optim_target_modules", "all-linear"),
        ("lr_scheduler_type", "cosine"),
        ("lr_scheduler_kwargs", {"num_cycles": 1}),
        ("warmup_steps", 0.1),
    ],
)
def test_each_argument_that_the_rules_override_is_named(tmp_path: Path, name: str, value: Any) -> None:
    """A 0 has been said as well as any other number; what is at its default has not."""
    overridden = import_module("layerlr_dsl.training.layer_trainer").overridden
    assert overridden(transformers.TrainingArguments(str(tmp_path), use_cpu=True)) == []
    assert overridden(transformers.TrainingArguments(str(tmp_path), use_cpu=True, **{name: value})) == [name]


@pytest.mark.parametrize("module", ["transformers", "layer_trainer"])
def test_the_adapters_import_beside_a_torchvision_of_another_build(module: str) -> None:
    """With nothing imported before them, whatever transformers looks for."""
    command = [sys.executable, "-c", f"import layerlr_dsl.training.{module}"]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ""


def test_rules_may_be_text_or_configured_and_nothing_else(tmp_path: Path) -> None:
    """What is none of these is said before anything is built."""
    from layerlr_dsl.training.transformers import LayerTrainer

    args = transformers.TrainingArguments(str(tmp_path), use_cpu=True, report_to=[])
    made = layerlr.configured("** -> lr 1e-3", lets={})
    assert LayerTrainer(Classifier(), args, rules=made).rules is made
    assert isinstance(LayerTrainer(Classifier(), args, rules="** -> lr 1e-3").rules, layerlr.Rules)
    with pytest.raises(TypeError, match="rules must be a file"):
        LayerTrainer(Classifier(), args, rules=3)
