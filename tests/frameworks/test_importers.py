"""Configurations as rules, held to the code of tools that the project's own environment does not have."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.importers import import_text
from layerlr_dsl.importers.importing import findings
from layerlr_dsl.model.inventory import Inventory


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.conv = nn.Conv2d(4, 4, 3, groups=4)
        self.mlp = nn.Linear(4, 4)


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.backbone = nn.Module()
        self.backbone.stem = nn.Conv2d(3, 4, 3)
        self.backbone.bn = nn.BatchNorm2d(4)
        self.backbone.blocks = nn.ModuleList(Block() for _ in range(3))
        self.neck = nn.GroupNorm(2, 4)
        self.head = nn.Linear(4, 2)


# ---------------------------------------------------------------- mmengine

PARAMWISE: list[dict[str, Any]] = [
    {},
    {"norm_decay_mult": 0.0},
    {"bias_decay_mult": 0.5, "bias_lr_mult": 2.0},
    {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0, "dwconv_decay_mult": 0.3, "flat_decay_mult": 0.7},
    {"custom_keys": {"backbone": {"lr_mult": 0.1}}, "norm_decay_mult": 0.0},
    {
        "custom_keys": {
            "backbone": {"lr_mult": 0.1},
            "backbone.blocks": {"lr_mult": 0.2, "decay_mult": 0.0},
            "blocks.1": {"decay_mult": 3.0},
            "norm": {"decay_mult": 0.0},
            ".scale": {"decay_mult": 0.0},
            "head": {"lr_mult": 10, "eps": 1e-6},
        },
        "bias_decay_mult": 0.0,
        "bypass_duplicate": True,
    },
    {"custom_keys": {"conv": {"lr_mult": 0.5}, "stem": {"lr_mult": 0.3}}},  # as long: the alphabet decides
]


@pytest.mark.parametrize("paramwise", PARAMWISE, ids=lambda p: ",".join(p) or "none")
def test_mmengines_groups(paramwise: dict[str, Any]) -> None:
    """Parameter by parameter, by mmengine's own constructor."""
    pytest.importorskip("mmengine")
    model = Detector()
    wrapper = {
        "type": "OptimWrapper",
        "optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.05},
        "paramwise_cfg": paramwise,
    }
    made = import_text(json.dumps({"optim_wrapper": wrapper}), "config.json", model=model)
    assert (made.kind, made.checked) == ("mmengine", "mmengine")
    assert made.differences == ()
    assert findings(made.text, Inventory.of(model)) == ()


EPOCHS, PER_EPOCH = 12, 10


def _rise(end: int, **more: Any) -> dict[str, Any]:
    return {"type": "LinearLR", "start_factor": 1e-3, "by_epoch": False, "begin": 0, "end": end, **more}


def _cosine(**more: Any) -> dict[str, Any]:
    return {"type": "CosineAnnealingLR", **more}


CONVERTED = {"by_epoch": True, "convert_to_iter_based": True}
SCHEDULES: dict[str, list[dict[str, Any]]] = {
    "drops": [{"type": "MultiStepLR", "milestones": [4, 8], "gamma": 0.5}],
    "drops from later on, cut off": [{"type": "MultiStepLR", "milestones": [3, 9], "begin": 2, "end": 10}],
    "steps": [{"type": "StepLR", "step_size": 3, "gamma": 0.5}],
    "mmdet": [_rise(25), {"type": "MultiStepLR", "begin": 0, "end": 12, "milestones": [8, 11]}],
    "drops within the warm-up": [
        _rise(50),
        {"type": "MultiStepLR", "by_epoch": False, "milestones": [20, 70]},
    ],
    "rise by epochs": [
        {"type": "LinearLR", "start_factor": 0.1, "end": 4},
        {"type": "MultiStepLR", "milestones": [8]},
    ],
    "rise converted": [
        {"type": "LinearLR", "start_factor": 0.1, "end": 4, **CONVERTED},
        {"type": "MultiStepLR", "milestones": [8]},
    ],
    "cosine": [_cosine(T_max=12, eta_min=1e-4)],
    "cosine by a share": [_cosine(T_max=12, end=12, eta_min_ratio=0.1, **CONVERTED)],
    "cosine that ends": [_cosine(T_max=8, end=8, eta_min=1e-3)],
    "cosine that ends, converted": [_cosine(T_max=8, end=8, eta_min=1e-3, **CONVERTED)],
    "cosine that is cut off": [_cosine(T_max=20)],
    "cosine that rises again": [_cosine(T_max=5)],
    "cosine behind a gap": [_rise(15), _cosine(begin=30, end=120, by_epoch=False)],
    "rtmdet": [_rise(20), _cosine(begin=6, end=12, T_max=6, eta_min=5e-4, **CONVERTED)],
    "mmpretrain": [_rise(3, **CONVERTED), _cosine(begin=3, eta_min=1e-5)],
    "mae": [_rise(3, **CONVERTED), _cosine(begin=3, end=12, T_max=9, **CONVERTED)],
    "yolox but for its warm-up": [
        _cosine(begin=2, T_max=10, end=10, eta_min=5e-4, **CONVERTED),
        {"type": "ConstantLR", "factor": 1, "begin": 10, "end": 12},
    ],
    "poly": [{"type": "PolyLR", "power": 0.9}],
    "poly that ends": [{"type": "PolyLR", "power": 2.0, "end": 6, "eta_min": 1e-3}],
    "poly that ends, converted": [{"type": "PolyLR", "power": 0.5, "end": 6, "eta_min": 1e-4, **CONVERTED}],
    "exponential": [_rise(13), {"type": "ExponentialLR", "gamma": 0.9}],
    "exponential by steps": [
        {"type": "ExponentialLR", "gamma": 0.99, "by_epoch": False, "begin": 5, "end": 50}
    ],
    "linear fall": [{"type": "LinearLR", "start_factor": 1.0, "end_factor": 0.1, "begin": 4, "end": 9}],
    "constant": [{"type": "ConstantLR", "factor": 0.5, "begin": 0, "end": 4, "by_epoch": False}],
    "three": [
        _rise(10),
        {
            "type": "LinearLR",
            "start_factor": 1.0,
            "end_factor": 0.2,
            "by_epoch": False,
            "begin": 10,
            "end": 60,
        },
        _cosine(begin=60, end=120, by_epoch=False),
    ],
    "mmseg": [
        _rise(15),
        {"type": "PolyLR", "eta_min": 1e-5, "power": 0.9, "begin": 15, "end": 120, "by_epoch": False},
    ],
}


def _by_mmengine(parts: list[dict[str, Any]]) -> list[float]:
    """The rate at each step, by its own schedulers, with the end that its runner gives them."""
    from mmengine import optim

    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1e-2)
    made = []
    for part in parts:
        told = {"by_epoch": True, **part}
        cls = getattr(optim, told.pop("type"))
        told.setdefault("end", EPOCHS if told["by_epoch"] else EPOCHS * PER_EPOCH)
        converted = told.pop("convert_to_iter_based", False)
        make = functools.partial(cls.build_iter_from_epoch, epoch_length=PER_EPOCH) if converted else cls
        made.append(make(optimizer, **told))
    rates = []
    for step in range(EPOCHS * PER_EPOCH):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for one in made:
            if not one.by_epoch or (step + 1) % PER_EPOCH == 0:
                one.step()
    return rates


OF_STEPS = [
    name for name, parts in SCHEDULES.items() if not any(part.get("by_epoch", True) for part in parts)
]
RUNS = [*((name, False) for name in SCHEDULES), *((name, True) for name in OF_STEPS)]


@pytest.mark.parametrize(("name", "iterations"), RUNS)
def test_mmengines_schedules_step_by_step(name: str, iterations: bool) -> None:
    """Alone, one behind the other and together, by epochs, by steps and converted, in runs that count either."""
    pytest.importorskip("mmengine")
    length = {"max_iters": EPOCHS * PER_EPOCH} if iterations else {"max_epochs": EPOCHS}
    parts = SCHEDULES[name]
    config = {
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 1e-2}},
        "param_scheduler": parts,
        "train_cfg": length,
    }
    made = import_text(json.dumps(config), "config.json", steps_per_epoch=None if iterations else PER_EPOCH)
    assert made.left_out == ()
    plan = layerlr.parse(made.text).resolve(nn.Linear(1, 1))
    ours = [plan.at(step=k)["weight"]["lr"] for k in range(EPOCHS * PER_EPOCH)]
    assert ours == pytest.approx(_by_mmengine(parts), rel=1e-9, abs=1e-16)


# ---------------------------------------------------------------- torchtitan


def _titan() -> Any:
    return pytest.importorskip("torchtitan.components.optimizer.lr_scheduler")


@pytest.mark.parametrize("decay", [None, 0.2, 0.95])
@pytest.mark.parametrize("kind", ["linear", "sqrt", "cosine"])
def test_torchtitans_schedule_step_by_step(decay: float | None, kind: str) -> None:
    """Every rate of a run of 100 steps."""
    container = _titan().LRSchedulersContainer
    optimizer = torch.optim.AdamW(nn.Linear(1, 1).parameters(), lr=1e-3)
    config = container.Config(warmup_steps=10, decay_ratio=decay, decay_type=kind, min_lr_factor=0.1)
    schedulers = config.build(optimizers=[optimizer], training_steps=100)
    theirs = []
    for _ in range(100):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedulers.step()
    group = {"pattern": ".*", "optimizer_name": "AdamW", "optimizer_kwargs": {"lr": 1e-3}}
    told = {"warmup_steps": 10, "decay_type": kind, "min_lr_factor": 0.1}
    told |= {} if decay is None else {"decay_ratio": decay}
    source = {"optimizer": {"param_groups": [group]}, "training": {"steps": 100}, "lr_scheduler": told}
    plan = layerlr.parse(import_text(json.dumps(source), "t.json").text).resolve(nn.Linear(1, 1))
    ours = [plan.at(step=k)["weight"]["lr"] for k in range(100)]
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_torchtitans_groups() -> None:
    """The first pattern that is found somewhere in a name decides, by torchtitan's own sorting."""
    from types import SimpleNamespace

    container = pytest.importorskip("torchtitan.components.optimizer.optimizer").OptimizersContainer
    model = Detector()
    groups = [
        {
            "pattern": r"\.bias$",
            "optimizer_name": "AdamW",
            "optimizer_kwargs": {"lr": 1e-3, "weight_decay": 0.0},
        },
        {"pattern": "blocks|stem", "optimizer_name": "Adam", "optimizer_kwargs": {"lr": 5e-4}},
        {"pattern": "^head", "optimizer_name": "AdamW", "optimizer_kwargs": {"lr": 2e-3}},
        {"pattern": ".*", "optimizer_name": "AdamW", "optimizer_kwargs": {"lr": 1e-4, "betas": [0.9, 0.95]}},
    ]
    made = import_text(json.dumps({"param_groups": groups}), "t.json", kind="torchtitan", model=model)
    built, _ = container._build_param_groups(model, [SimpleNamespace(**g) for g in groups], {})
    plan = layerlr.parse(made.text).resolve(model, epochs=1)
    told, at = plan.to_json(), plan.at(epoch=0)
    kinds = {name: group["optimizer"] for group in told["groups"] for name in group["parameters"]}
    usual = {"weight_decay": {"AdamW": 0.01, "Adam": 0.0}}
    for kind, many in built.items():
        for group in many:
            for name in group["param_names"]:
                assert kinds[name].lower() == kind.lower()
                assert at[name]["lr"] == group["lr"]
                assert at[name]["weight_decay"] == group.get("weight_decay", usual["weight_decay"][kind])
                assert tuple(at[name]["betas"]) == tuple(group.get("betas", (0.9, 0.999)))


# ---------------------------------------------------------------- finetuning-scheduler

PHASES = """\
0:
  max_transition_epoch: 2
  params:
  - head.weight
  - head.bias
1:
  max_transition_epoch: 3
  params:
  - layer2.*
  lr: 1.0e-03
2:
  max_transition_epoch: 5
  params:
  - layer1.*
"""


def test_finetuning_schedulers_phases_epoch_by_epoch(tmp_path: Any) -> None:
    """What trains and at what rate, in a run of Lightning with its own callback."""
    pytest.importorskip("finetuning_scheduler")
    import lightning.pytorch as pl
    from finetuning_scheduler import FinetuningScheduler

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer1, self.layer2, self.head = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)
            self.seen: list[dict[str, float]] = []

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.layer2(self.layer1(x)))

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            [optimizer] = self.trainer.optimizers
            names = {id(p): n for n, p in self.named_parameters() if p.requires_grad}
            groups = [
                (names[id(p)], g["lr"]) for g in optimizer.param_groups for p in g["params"] if id(p) in names
            ]
            self.seen.append(dict(groups))
            return self(batch[0]).square().mean()

        def configure_optimizers(self) -> Any:
            trained = [p for p in self.parameters() if p.requires_grad]
            return torch.optim.AdamW(trained, lr=1e-3)

    (tmp_path / "phases.yaml").write_text(PHASES)
    callback = FinetuningScheduler(
        ft_schedule=str(tmp_path / "phases.yaml"),
        epoch_transitions_only=True,
        restore_best=False,
        allow_untested=True,
    )
    module = Module()
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(2, 2)), batch_size=2)
    trainer = pl.Trainer(
        max_epochs=5,
        callbacks=[callback],
        accelerator="cpu",
        logger=False,
        default_root_dir=tmp_path,
        enable_progress_bar=False,
    )
    trainer.fit(module, data)
    made = import_text(PHASES, "phases.yaml", model=Module())
    plan = layerlr.parse(made.text).resolve(Module(), epochs=5)
    ours = [{n: o["lr"] for n, o in plan.at(epoch=k).items() if not o["frozen"]} for k in range(5)]
    assert ours == module.seen
