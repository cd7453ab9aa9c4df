"""What loops log as the learning rate, and the rates of all groups beside it."""

import re

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory

RULES = "schedule cosine\nbody -> lr 1e-3\nspare -> lr 5e-3\nhead -> lr 1e-2\nfreeze body until epoch 1\nfreeze spare"
FIT_FOR_ALL = re.compile(r"[\w./-]+")
"""MLflow takes letters, digits, `_`, `-`, `.`, `/` and spaces, and TensorBoard writes over the spaces."""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.spare, self.body, self.head = nn.Linear(3, 3), nn.Linear(3, 30), nn.Linear(30, 2)

    def forward(self, x, labels=None):
        logits = self.head(torch.relu(self.body(self.spare(x))))
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"x": torch.full((3,), index / 8), "labels": torch.tensor(index % 2)}


def trained(folder, *callbacks, rules=RULES, **settings):
    transformers = pytest.importorskip("transformers")
    from layerlr_dsl.training.transformers import optimizers

    torch.manual_seed(0)
    model = Net()
    args = transformers.TrainingArguments(
        folder,
        num_train_epochs=2,
        per_device_train_batch_size=2,
        logging_steps=1,
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
        **{"report_to": [], **settings},
    )
    pair = optimizers(layerlr.parse(rules), model, args, Data())
    trainer = transformers.Trainer(
        model, args, train_dataset=Data(), optimizers=pair, callbacks=list(callbacks)
    )
    trainer.train()
    return trainer, pair[1]


def test_a_trainer_logs_the_rate_of_something_that_trains(tmp_path):
    """While the body is frozen that of the head, then that of the body, which is larger; never that of the spare part."""
    trainer, schedule = trained(tmp_path)
    logged = [log["learning_rate"] for log in trainer.state.log_history if "learning_rate" in log]
    plan = schedule.plan
    expected = ["head.weight"] * 4 + ["body.weight"] * 4
    for step, (rate, name) in enumerate(zip(logged, expected, strict=True)):
        assert rate == pytest.approx(plan.at(step=step)[name]["lr"]), step
    assert schedule.get_last_lr() == [group["lr"] for group in schedule.optimizer.param_groups]


def test_the_rates_of_all_groups_that_train_are_logged_beside_it(tmp_path):
    """For the writers of logs that come before ours in the Trainer's list too, under names that all of them take."""
    transformers = pytest.importorskip("transformers")
    from layerlr_dsl.training.transformers import ReportMetrics

    seen = []

    class Writer(transformers.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            seen.append(dict(logs))

    trainer, schedule = trained(tmp_path, Writer(), ReportMetrics())
    with_rates = [log for log in seen if "learning_rate" in log]
    keys = [{key for key in log if key.startswith("learning_rate/")} for log in with_rates]
    assert keys == [{"learning_rate/head"}] * 4 + [{"learning_rate/head", "learning_rate/body"}] * 4
    assert all(FIT_FOR_ALL.fullmatch(key) for log in with_rates for key in log)
    for step, log in enumerate(with_rates):
        assert log["learning_rate/head"] == pytest.approx(schedule.plan.at(step=step)["head.bias"]["lr"])
    history = [log for log in trainer.state.log_history if "learning_rate" in log]
    assert [set(log) & {"learning_rate/head"} for log in history] == [{"learning_rate/head"}] * 8


def test_one_group_is_logged_once(tmp_path):
    """Its rate is the learning rate."""
    pytest.importorskip("transformers")
    from layerlr_dsl.training.transformers import ReportMetrics

    trainer, _ = trained(tmp_path, ReportMetrics(), rules="** -> lr 1e-3")
    assert not [key for log in trainer.state.log_history for key in log if key.startswith("learning_rate/")]


def test_lightnings_monitor_logs_every_group_under_a_name_that_all_take(tmp_path):
    """LearningRateMonitor makes its keys of the groups' names."""
    lightning = pytest.importorskip("lightning")
    from lightning.pytorch.callbacks import LearningRateMonitor
    from lightning.pytorch.loggers import CSVLogger

    from layerlr_dsl.training.lightning import configure

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def training_step(self, batch, index):
            return self.net(**batch)["loss"]

        def configure_optimizers(self):
            rules = RULES + "\n**.bias -> weight_decay 0"
            return configure(self, layerlr.parse(rules), model=self.net)

    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=CSVLogger(tmp_path),
        log_every_n_steps=1,
        callbacks=[LearningRateMonitor("step")],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(Module(), torch.utils.data.DataLoader(Data(), batch_size=2))
    keys = [key for key in trainer.callback_metrics if key.startswith("lr-")]
    assert len(keys) == len(trainer.optimizers[0].param_groups) > 3
    assert all(FIT_FOR_ALL.fullmatch(key) for key in keys)


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "convnext_tiny"])
def test_names_of_groups_are_fit_for_all(name):
    """However many groups there are, by what they differ, and whatever modules are called."""
    models = pytest.importorskip("layerlr_dsl.model.torchvision_compat").with_torchvision(
        lambda: __import__("torchvision.models").models
    )
    rules = """
    optimizer adamw
    ** -> lr 1e-4, betas (0.9, 0.99)
    ** where ndim <= 1 -> weight_decay 0
    ** where index < 20 -> lr 1e-5, betas (0.5, 0.95)
    **.bias -> lr *= 2
    freeze ** where index < 4 until epoch 2
    """
    with torch.device("meta"):
        model = getattr(models, name)()
    odd = nn.ModuleDict(
        {"a (b)": nn.Linear(1, 1), "*#=, %": nn.Linear(1, 1), "ü/é": nn.Linear(1, 1), "net": model}
    )
    names = [g.name for g in layerlr.parse(rules).resolve(Inventory.of(odd), epochs=4).groups]
    assert all(FIT_FOR_ALL.fullmatch(name) for name in names)
    assert len(set(names)) == len(names)
