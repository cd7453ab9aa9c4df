"""Configurations of other tools as rules, held to the tools' own code where the project's environment has it."""

from __future__ import annotations

import json
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.importers import Imported, SourceFault, import_text, kinds
from layerlr_dsl.importers.importing import findings
from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.language.source import Source
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.torchvision_compat import with_torchvision

RATE = 1e-3


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(4, 4)
        self.q_norm = nn.Linear(4, 4)  # no norm but for its name


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn = Attention()
        self.input_layernorm = nn.LayerNorm(4)
        self.mlp = nn.Linear(4, 4)


class Language(nn.Module):
    """Called as transformers' causal models are."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(8, 4)
        self.model.layers = nn.ModuleList(Layer() for _ in range(12))
        self.model.ln = nn.LayerNorm(4)
        self.lm_head = nn.Linear(4, 8)


def clean(made: Imported, model: nn.Module | None = None) -> None:
    """Formatted, and nothing for `validate` to say."""
    assert format_text(Source("x.lr", made.text)) == made.text
    if model is not None:
        assert findings(made.text, Inventory.of(model)) == ()


# ---------------------------------------------------------------- transformers


def test_transformers_decays_what_its_trainer_decays() -> None:
    """By class and by name, parameter by parameter; a shorter selector where the model allows it."""
    model = Language()
    text = json.dumps(
        {"learning_rate": 5e-5, "weight_decay": 0.1, "lr_scheduler_type": "linear", "num_train_epochs": 2}
    )
    made = import_text(text, "args.json", model=model)
    assert (made.kind, made.checked, made.differences) == ("transformers", "transformers", ())
    trainer = with_torchvision(lambda: import_module("transformers").Trainer)
    decayed = set(trainer.get_decay_parameter_names(None, model))
    at = layerlr.parse(made.text).resolve(model).at(epoch=0)
    assert {name for name, options in at.items() if options["weight_decay"]} == decayed
    assert "model.layers.0.self_attn.q_norm.weight" not in decayed
    clean(made, model)


SCHEDULES: list[tuple[str, float, dict[str, Any]]] = [
    ("linear", 10, {}),
    ("linear", 0, {}),
    ("cosine", 0.1, {}),
    ("cosine", 10, {"num_cycles": 1.5}),
    ("cosine", 0, {"num_cycles": 0.25}),
    ("constant", 10, {}),
    ("constant_with_warmup", 10, {}),
    ("inverse_sqrt", 10, {}),
    ("inverse_sqrt", 0, {}),
    ("inverse_sqrt", 10, {"timescale": 25}),
    ("polynomial", 10, {}),
    ("polynomial", 10, {"power": 2.0, "lr_end": 1e-6}),
    ("cosine_with_min_lr", 10, {"min_lr": 1e-4}),
    ("cosine_with_min_lr", 10, {"min_lr_rate": 0.1, "num_cycles": 1.0}),
    ("cosine_warmup_with_min_lr", 10, {"min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr", 10, {"min_lr": 1e-4, "warmup_lr_rate": 0.05}),
    ("cosine_warmup_with_min_lr", 0, {"min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr", 1, {"min_lr_rate": 0.1}),
    ("cosine_with_restarts", 10, {}),
    ("cosine_with_restarts", 10, {"num_cycles": 3}),
    ("cosine_with_restarts", 9, {"num_cycles": 4}),
    ("warmup_stable_decay", 10, {"num_decay_steps": 30, "min_lr_ratio": 0.1}),
    ("warmup_stable_decay", 10, {"num_decay_steps": 30, "decay_type": "linear", "warmup_type": "cosine"}),
    ("warmup_stable_decay", 10, {"num_decay_steps": 30, "num_stable_steps": 60, "decay_type": "1-sqrt"}),
]


@pytest.mark.parametrize(("kind", "warm", "kwargs"), SCHEDULES)
def test_transformers_schedules_step_by_step(kind: str, warm: float, kwargs: dict[str, Any]) -> None:
    """Every rate of a run of 100 steps, its arguments given as a mapping or as JSON."""
    arguments = {
        "learning_rate": RATE,
        "lr_scheduler_type": kind,
        "max_steps": 100,
        "adam_beta1": 0.9,
        "warmup_steps": warm,
    }
    made = import_text(json.dumps({**arguments, "lr_scheduler_kwargs": kwargs}), "args.json")
    assert made == import_text(
        json.dumps({**arguments, "lr_scheduler_kwargs": json.dumps(kwargs)}), "args.json"
    )
    assert made.left_out == ()
    clean(made)
    optimization = with_torchvision(lambda: import_module("transformers.optimization"))
    optimizer = torch.optim.AdamW(nn.Linear(1, 1).parameters(), lr=RATE)
    schedule = optimization.get_scheduler(
        kind, optimizer, int(warm * 100) if warm < 1 else warm, 100, scheduler_specific_kwargs=kwargs
    )
    theirs = []
    for _ in range(100):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    plan = layerlr.parse(made.text).resolve(nn.Linear(1, 1))
    assert [plan.at(step=k)["weight"]["lr"] for k in range(100)] == pytest.approx(theirs, rel=1e-9, abs=1e-15)


def test_a_plateau_of_transformers_waits_for_what_its_trainer_reports() -> None:
    """torch's ReduceLROnPlateau, told `eval_loss` after each evaluation."""
    arguments = {"lr_scheduler_type": "reduce_lr_on_plateau", "max_steps": 4, "learning_rate": RATE}
    kwargs = {"factor": 0.5, "patience": 0, "min_lr": 1e-5}
    made = import_text(
        json.dumps({**arguments, "lr_scheduler_kwargs": kwargs}), "args.json", kind="transformers"
    )
    model = nn.Linear(1, 1)
    plan = layerlr.parse(made.text).resolve(model)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    theirs = torch.optim.SGD(model.parameters(), lr=RATE)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **kwargs)
    for loss in (3.0, 2.0, 2.5, 2.4):
        optimizer.step()
        schedule.step()
        schedule.report(eval_loss=loss)
        plateau.step(loss)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
    assert theirs.param_groups[0]["lr"] < RATE


def test_steps_of_warmup_in_a_run_of_epochs_need_the_steps_of_an_epoch() -> None:
    """Said, and left out, or carried over where they are given."""
    text = json.dumps(
        {"learning_rate": RATE, "lr_scheduler_type": "linear", "num_train_epochs": 2, "warmup_steps": 50}
    )
    made = import_text(text, "args.json")
    assert "--steps-per-epoch" in str(made.left_out[0])
    assert "warmup" not in made.text.partition("version")[2]
    assert "warmup=50 steps" in import_text(text, "args.json", steps_per_epoch=100).text


def test_an_optimizer_that_rules_do_not_have_is_told_with_its_line() -> None:
    """AdamW stands in its place, and the file says so."""
    text = '{\n "learning_rate": 1e-3,\n "optim": "nonsense",\n "lr_scheduler_type": "linear",\n "num_train_epochs": 1\n}'
    made = import_text(text, "args.json")
    assert made.left_out[0].line == 3
    assert "args.json:3: no optimizer is called `nonsense`" in made.text
    assert layerlr.parse(made.text).epochs == 1


# ---------------------------------------------------------------- timm

TIMM = """\
model: resnet18
opt: sgd
momentum: 0.8
lr: 0.001
weight_decay: 0.05
warmup_lr: 1.0e-05
"""


TIMM_SCHEDULES = [
    "sched: cosine\nepochs: 20\nwarmup_epochs: 5\nmin_lr: 1.0e-04\n",
    "sched: cosine\nepochs: 20\nwarmup_epochs: 5\nwarmup_prefix: true\ncooldown_epochs: 4\nmin_lr: 1.0e-04\n",
    "sched: cosine\nepochs: 8\nwarmup_epochs: 2\nlr_cycle_limit: 3\nlr_cycle_decay: 0.5\nmin_lr: 1.0e-04\n",
    "sched: cosine\nepochs: 6\nwarmup_epochs: 2\nwarmup_prefix: true\nlr_cycle_limit: 2\nlr_cycle_mul: 2.0\n",
    "sched: cosine\nepochs: 20\nwarmup_epochs: 0\nlr_k_decay: 1.5\ncooldown_epochs: 3\nmin_lr: 1.0e-04\n",
    "sched: tanh\nepochs: 20\nwarmup_epochs: 3\nmin_lr: 1.0e-05\n",
    "sched: tanh\nepochs: 9\nwarmup_epochs: 3\nwarmup_prefix: true\nlr_cycle_limit: 2\ncooldown_epochs: 2\n",
    "sched: step\nepochs: 20\nwarmup_epochs: 3\ndecay_epochs: 6\ndecay_rate: 0.5\n",
    "sched: step\nepochs: 20\nwarmup_epochs: 3\ndecay_epochs: 2.4\ndecay_rate: 0.5\n",
    "sched: step\nepochs: 20\nwarmup_epochs: 3\ndecay_epochs: 6\ndecay_rate: 0.5\nwarmup_prefix: true\n",
    "sched: multistep\nepochs: 20\nwarmup_epochs: 0\ndecay_milestones: [8, 15]\n",
    "sched: multistep\nepochs: 20\nwarmup_epochs: 3\ndecay_milestones: [8, 15]\nwarmup_prefix: true\n",
    "sched: multistep\nepochs: 20\nwarmup_epochs: 9\ndecay_milestones: [4, 15]\n",
    "sched: poly\nepochs: 20\nwarmup_epochs: 2\ndecay_rate: 2.0\n",
    "sched: poly\nepochs: 10\nwarmup_epochs: 2\ndecay_rate: 0.5\nlr_cycle_limit: 2\nlr_k_decay: 2.0\n",
    "sched: constant\nepochs: 20\nwarmup_epochs: 2\n",
    "sched: wsd\nepochs: 22\nwarmup_epochs: 2\nmin_lr: 1.0e-05\n",
    "sched: wsd\nepochs: 20\nwarmup_epochs: 2\ndecay_epochs: 6\nlr_decay_fn: cosine\nwarmup_prefix: true\n",
    "sched: rsqrt\nepochs: 23\nwarmup_epochs: 3\nmin_lr: 1.0e-05\ncooldown_epochs: 2\n",
]
UPDATES = 4


@pytest.mark.parametrize("updates", [False, True], ids=["by epochs", "by updates"])
@pytest.mark.parametrize("more", TIMM_SCHEDULES)
def test_timm_schedules_step_by_step(more: str, updates: bool) -> None:
    """As its train.py steps them: once an epoch, or with `sched_on_updates` once an update."""
    yaml = import_module("yaml")
    timm = with_torchvision(lambda: import_module("timm.scheduler"))
    text = TIMM + more + f"sched_on_updates: {str(updates).lower()}\n"
    made = import_text(text, "args.yaml", steps_per_epoch=UPDATES)
    told = dict(yaml.safe_load(text))
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=RATE)
    keywords = timm.scheduler_kwargs(SimpleNamespace(**told))
    keywords["decay_epochs"] = told.get("decay_epochs")
    scheduler, epochs = timm.create_scheduler_v2(optimizer, updates_per_epoch=UPDATES, **keywords)
    theirs = []
    for update in range(epochs * UPDATES):
        theirs.append(optimizer.param_groups[0]["lr"])
        scheduler.step_update(update + 1)
        if (update + 1) % UPDATES == 0:
            scheduler.step((update + 1) // UPDATES)
    plan = layerlr.parse(made.text).resolve(nn.Linear(1, 1))
    assert plan.clock.total == len(theirs)
    ours = [plan.at(step=k)["weight"]["lr"] for k in range(len(theirs))]
    wrong = [
        k
        for k, (one, other) in enumerate(zip(ours, theirs, strict=True))
        if one != pytest.approx(other, rel=1e-9)
    ]
    told_of = [entry.what for entry in made.left_out if "one step earlier" in entry.what]
    marks = [mark * UPDATES - 1 for mark in told.get("decay_milestones", [])] if told_of else []
    assert set(wrong) <= {
        mark + UPDATES * told["warmup_epochs"] * told.get("warmup_prefix", 0) for mark in marks
    }


def test_timms_arguments_with_its_model_give_its_own_groups() -> None:
    """Layer decay, and the model's list of what is not decayed."""
    timm = with_torchvision(lambda: import_module("timm"))
    model = timm.create_model("vit_tiny_patch16_224")
    text = TIMM.replace("sgd", "adamw") + "layer_decay: 0.7\nsched: cosine\nepochs: 3\nwarmup_epochs: 1\n"
    made = import_text(text, "args.yaml", model=model)
    assert (made.kind, made.checked, made.differences) == ("timm", "timm", ())
    assert "0.7 ^ (last(i) - i + 1)" in made.text
    assert not made.left_out


def test_timms_layer_decay_without_a_model_is_told() -> None:
    """It cannot be worked out, and is not dropped in silence."""
    made = import_text(TIMM + "layer_decay: 0.7\nsched: none\n", "args.yaml")
    assert any("`layer_decay`" in entry.what and entry.line == 7 for entry in made.left_out)


# ---------------------------------------------------------------- axolotl, by its source

AXOLOTL = """\
base_model: some/model
micro_batch_size: 2
num_epochs: 2
learning_rate: 2e-5
weight_decay: 0.1
optimizer: adamw_torch
lr_scheduler: cosine
embedding_lr: 1e-6
lr_groups:
  - name: attention
    modules: [self_attn, mlp]
    lr: 1e-4
"""


def test_axolotls_groups() -> None:
    """Embeddings first, then what is not decayed at the plain rate, then the modules, as its mixin sorts them."""
    model = Language()
    made = import_text(AXOLOTL, "axolotl.yaml", model=model)
    plan = layerlr.parse(made.text).resolve(model, steps_per_epoch=10)
    told = plan.to_json()["parameters"]
    found = {name: (entry["options"]["lr"], entry["options"]["weight_decay"]) for name, entry in told.items()}
    assert found["model.embed_tokens.weight"] == found["lm_head.weight"] == found["lm_head.bias"] == (1e-6, 0)
    assert (
        found["model.layers.3.self_attn.q_proj.weight"] == found["model.layers.0.mlp.weight"] == (1e-4, 0.1)
    )
    assert found["model.layers.3.self_attn.q_proj.bias"] == (2e-5, 0)
    assert found["model.layers.3.self_attn.q_norm.weight"] == (2e-5, 0)  # a norm, by its name
    assert found["model.ln.weight"] == (2e-5, 0)
    clean(made, model)


def test_axolotl_freezes_all_but_what_a_pattern_begins() -> None:
    """A dot is a dot, a match is one at the start, and rows are told of."""
    model = Language()
    text = AXOLOTL + "unfrozen_parameters:\n  - ^lm_head.weight$[:4]\n  - model.layers.1\n"
    made = import_text(text, "axolotl.yaml", model=model)
    at = layerlr.parse(made.text).resolve(model, steps_per_epoch=10).at(epoch=0)
    trains = {name for name, options in at.items() if not options["frozen"]}
    assert "lm_head.weight" in trains
    assert "lm_head.bias" not in trains
    assert {name.split(".")[2] for name in trains if "layers" in name} == {"1", "10", "11"}
    assert any("rows" in entry.what and entry.line == 14 for entry in made.left_out)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("text", "name", "line", "message"),
    [
        ("{", "a.json", 1, "is no JSON"),
        ("a: [1", "a.yaml", 1, "is no YAML"),
        ("x = (", "a.py", 1, "is no Python"),
        ("a = ", "a.toml", 1, "is no TOML"),
        ("a: 1", "a.yaml", None, "is of no kind"),
        ("[1, 2]", "a.json", None, "is of no kind"),
        ("optim_wrapper = dict(\n  type='x')", "a.py", 1, "has no `optimizer`"),
        (
            "optim_wrapper = dict(\n optimizer=dict(\n  type='SGD', lr='fast'))",
            "a.py",
            3,
            "`lr` of sgd must be a number",
        ),
        (
            "optim_wrapper = dict(\n optimizer=dict(type='SGD', lr=1.),\n paramwise_cfg=dict(\n  norm_decay_mult=0.))",
            "a.py",
            4,
            "needs a `weight_decay`",
        ),
        ("base_model: a\ndatasets: b\nlearning_rate:\n  a: 1", "a.yaml", 3, "must be a number"),
        ('[[param_groups]]\npattern = ".*"', "a.toml", 1, "has no `optimizer_name`"),
        (
            '[[param_groups]]\noptimizer_name = "AdamW"\npattern = "(?=x)"\noptimizer_kwargs = {lr = 1}',
            "a.toml",
            3,
            "RE2",
        ),
        ("0:\n  params: [a.weight]\n2:\n  params: [b.weight]", "a.yaml", 1, "numbered 0, 1, 2"),
        ("a: " + "[" * 200, "a.yaml", 1, "deeply|no YAML"),
    ],
)
def test_faulty_sources_are_told_with_their_line(
    text: str, name: str, line: int | None, message: str
) -> None:
    """Never with a traceback of something else."""
    with pytest.raises(SourceFault, match=message) as caught:
        import_text(text, name)
    assert caught.value.line == line


def test_python_configurations_are_not_run() -> None:
    """What is no literal is told of, with its line; its code is not."""
    text = "import os\nos.abort()\noptim_wrapper = dict(optimizer=dict(\n type='AdamW', lr=2 * 1e-3,\n eps=os.getpid()))"
    made = import_text(text, "a.py")
    assert "** -> lr 2e-3" in made.text
    assert made.left_out[0].line == 5
    assert "os.getpid()" in made.left_out[0].what


def test_unknown_keys_are_told_with_the_near_miss() -> None:
    """Where they stand."""
    text = "optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1., weight_decay=1.),\n paramwise_cfg=dict(\n  norm_decay_mul=0.))"
    [entry] = import_text(text, "a.py").left_out
    assert entry.line == 3
    assert "did you mean `norm_decay_mult`?" in entry.what


@pytest.mark.parametrize("kind", ["transformers", "timm"])
@pytest.mark.parametrize("text", ['{"foo": 1}', "{}"])
def test_a_source_of_other_things_is_refused(kind: str, text: str) -> None:
    """A file of defaults that nobody asked for would be an invention."""
    with pytest.raises(SourceFault, match="nothing that is known"):
        import_text(text, "a.json", kind)


def test_a_slip_in_the_key_that_tells_the_kind_is_found() -> None:
    """The kind cannot be told, and the near miss says of which it might be."""
    text = '{"learning_rate": 1e-4, "lr_schedular_type": "cosine", "warmup_ratio": 0.1}'
    with pytest.raises(SourceFault) as caught:
        import_text(text, "a.json")
    assert "`lr_schedular_type`: did you mean `lr_scheduler_type` of transformers?" in str(caught.value.help)


def test_patterns_that_match_nothing_are_told_with_their_line() -> None:
    """And leave no rule behind that would be an error."""
    text = "optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1., weight_decay=1.),\n paramwise_cfg=dict(custom_keys={\n  'bakbone': dict(lr_mult=0.)}))"
    made = import_text(text, "a.py", model=Inventory.of(Language()))
    assert made.left_out[0].line == 3
    assert "bakbone" not in made.text.partition("version")[2]


# ---------------------------------------------------------------- layer decay of mmseg and mmdet, by its source


class ConvNeXt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.downsample_layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(4))
        self.stages = nn.ModuleList(nn.ModuleList(nn.Linear(2, 2) for _ in range(n)) for n in (3, 3, 9, 3))


class Segmentor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = ConvNeXt()
        self.decode_head = nn.Linear(2, 2)


@pytest.mark.parametrize("kind", ["layer_wise", "stage_wise"])
def test_layer_decay_of_convnext(kind: str) -> None:
    """Levels of mmseg's constructor: 12 layers, of which the third stage has a third of its blocks each."""
    text = (
        "optim_wrapper = dict(constructor='LearningRateDecayOptimizerConstructor',\n"
        " optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),\n"
        f" paramwise_cfg=dict(decay_rate=0.8, decay_type='{kind}', num_layers=6))"
    )
    model = Segmentor()
    made = import_text(text, "a.py", model=model)
    clean(made, model)
    at = layerlr.parse(made.text).resolve(model, epochs=1).at(epoch=0)

    def level(name: str) -> int:
        parts = name.split(".")
        if parts[0] != "backbone":
            return 7
        stage = int(parts[2])
        if kind == "stage_wise":
            return 0 if parts[1] == "downsample_layers" else stage + 1
        if parts[1] == "downsample_layers":
            return (0, 2, 3, 6)[stage]
        return 3 + int(parts[3]) // 3 if stage == 2 else (1, 2, 0, 6)[stage]

    for name, options in at.items():
        assert options["lr"] == pytest.approx(1e-3 * 0.8 ** (7 - level(name)), rel=1e-12)
        assert options["weight_decay"] == (0 if name.endswith("bias") else 0.05)


def test_torchtitans_schedule_by_its_source() -> None:
    """(k + 1) / w while it warms up, then flat, then a straight fall that would end one step behind the last."""
    group = {"pattern": ".*", "optimizer_name": "AdamW", "optimizer_kwargs": {"lr": 1.0}}
    source = {
        "optimizer": {"param_groups": [group]},
        "training": {"steps": 100},
        "lr_scheduler": {"warmup_steps": 10, "decay_ratio": 0.2},
    }
    plan = layerlr.parse(import_text(json.dumps(source), "t.json").text).resolve(nn.Linear(1, 1))
    ours = [plan.at(step=k)["weight"]["lr"] for k in range(100)]
    theirs = [(k + 1) / 10 if k < 10 else 1 - max(0, k + 1 - 81) / 20 for k in range(100)]
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_every_kind_is_told_by_its_content() -> None:
    """Each recognizes its own, and only that."""
    group = {"pattern": ".*", "optimizer_name": "AdamW", "optimizer_kwargs": {"lr": 1.0}}
    own = {
        "mmengine": {"optim_wrapper": {"optimizer": {"type": "SGD", "lr": 1}}},
        "finetuning-scheduler": {"0": {"params": ["a.weight"]}},
        "torchtitan": {"optimizer": {"param_groups": [group]}},
        "axolotl": {"base_model": "a", "micro_batch_size": 1, "learning_rate": 1e-3},
        "transformers": {"per_device_train_batch_size": 8, "num_train_epochs": 1, "learning_rate": 1e-3},
        "timm": {"opt": "sgd", "sched": "cosine", "lr": 0.1, "epochs": 10},
    }
    assert set(own) == set(kinds())
    for kind, data in own.items():
        assert import_text(json.dumps(data), "a.json").kind == kind
