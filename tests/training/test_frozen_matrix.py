"""Every optimizer in every style of loop: the bytes of what is frozen do not change."""

import copy
import pickle

import pytest
import torch
from nets import moved, resolve, snapshot
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.checkpoint import checkpoint

from layerlr_dsl.catalogue import optimizers as table

OPTIMIZERS = {
    "sgd": "momentum=0.9, nesterov=true",
    "adam": "amsgrad=true",
    "adamw": "",
    "rmsprop": "momentum=0.9, centered=true",
    "adagrad": "",
    "adadelta": "",
    "nadam": "",
    "radam": "",
    "adamax": "",
    "asgd": "",
    "rprop": "",
    "muon": "",
    "adafactor": "",
    "layer_adaptive": "",
    "lars": "momentum=0.9",
    "lamb": "",
}
SEVERAL = "muon beside adamw beside sgd"
TIMES = """
freeze blocks.0 until epoch 2
freeze blocks.1 from epoch 1 until epoch 2
"""


class Blocks(nn.Module):
    """Matrices, statistics and dropout, without the vectors that Muon refuses."""

    def __init__(self, checkpointed=False):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 4, bias=False), nn.BatchNorm1d(4, affine=False), nn.Dropout(0.2))
            for _ in range(2)
        )
        self.head = nn.Linear(4, 3, bias=False)
        self.checkpointed = checkpointed

    def forward(self, x):
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointed else block(x)
        return self.head(torch.tanh(x))


def rules_of(name):
    if name == SEVERAL:
        return (
            "optimizer adamw(weight_decay=0.1)\n** -> lr 1e-2\nblocks.0 -> optimizer muon(lr=0.05)\n"
            f"head -> optimizer sgd(lr=0.1, momentum=0.9){TIMES}"
        )
    decay = ", weight_decay 0.1" if "weight_decay" in table.find(name).options else ""
    return f"optimizer {name}({OPTIMIZERS[name]})\n** -> lr 5e-2{decay}{TIMES}"


class Run:
    """A training run whose every optimizer step is checked for frozen bytes."""

    def __init__(self, name, checkpointed=False):
        torch.manual_seed(0)
        self.model = Blocks(checkpointed)
        plan = resolve(rules_of(name), self.model, epochs=3, steps=2)
        self.optimizer = plan.optimizer(self.model)
        self.schedule = plan.schedule(self.model, self.optimizer)
        self.started = snapshot(self.model)
        self.seed = 0

    def loss(self):
        self.seed += 1
        x = torch.randn(6, 4, generator=torch.Generator().manual_seed(self.seed))
        return self.model(x).square().sum()

    def go(self, step):
        for tick in range(6):
            if tick % 2 == 0:
                self.model.train()
            still = [f"blocks.{i}" for i in range(2) if f"blocks.{i}.0.weight" in self.schedule.frozen]
            assert len(still) == [1, 1, 2, 2, 0, 0][tick]
            before = snapshot(self.model, still) if still else {}
            head = self.model.head.weight.detach().clone()
            step(self, tick)
            assert moved(before, self.model) == set(), tick
            assert not torch.equal(head, self.model.head.weight) or tick in SKIPPED.get(step, ())
            self.schedule.verify()
            self.schedule.step()
        trained = {n for n in moved(self.started, self.model) if n.endswith("weight")}
        assert trained == {"blocks.0.0.weight", "blocks.1.0.weight", "head.weight"}
        assert all(torch.isfinite(p).all() for p in self.model.parameters())


def plain(run, tick):
    run.optimizer.zero_grad()
    run.loss().backward()
    run.optimizer.step()


def zeroed_and_not_dropped(run, tick):
    run.optimizer.zero_grad(set_to_none=False)
    run.loss().backward()
    run.optimizer.step()


def never_zeroed(run, tick):
    run.loss().backward()
    run.optimizer.step()


def accumulated(run, tick):
    for _ in range(3):
        (run.loss() / 3).backward()
    run.optimizer.step()
    run.optimizer.zero_grad()


def clipped(run, tick):
    run.optimizer.zero_grad(set_to_none=False)
    run.loss().backward()
    parameters = list(run.model.parameters())
    live = [p.grad for p in parameters if p.requires_grad]
    expected = torch.nn.utils.get_total_norm(live)
    assert torch.nn.utils.clip_grad_norm_(parameters, 0.1) == expected
    run.optimizer.step()


def scaled(run, tick):
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    run.optimizer.zero_grad()
    scaler.scale(run.loss()).backward()
    if tick in SKIPPED[scaled]:
        run.model.head.weight.grad[0, 0] = float("inf") if tick == 1 else float("nan")
    scaler.step(run.optimizer)
    scaler.update()


def by_closure(run, tick):
    def closure():
        run.optimizer.zero_grad()
        loss = run.loss()
        loss.backward()
        return loss

    assert run.optimizer.step(closure) is not None


def meddled_with(run, tick):
    run.model.requires_grad_(True)
    plain(run, tick)
    for p in run.model.parameters():
        p.grad = torch.full_like(p, 0.5)
    run.optimizer.step()


def averaged(run, tick):
    plain(run, tick)
    average = AveragedModel(run.model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    average.update_parameters(run.model)
    update_bn([torch.randn(6, 4) for _ in range(2)], average)
    for index in range(2):
        if f"blocks.{index}.0.weight" in run.schedule.frozen:
            mine, theirs = (m.blocks[index][1].running_var for m in (run.model, average.module))
            assert torch.equal(mine, theirs)


def deep_copied(run, tick):
    run.model, run.optimizer, run.schedule = copy.deepcopy((run.model, run.optimizer, run.schedule))
    meddled_with(run, tick)


def pickled(run, tick):
    run.model, run.optimizer, run.schedule = pickle.loads(
        pickle.dumps((run.model, run.optimizer, run.schedule))
    )
    meddled_with(run, tick)


def resumed(run, tick):
    saved = run.model.state_dict(), run.optimizer.state_dict(), run.schedule.state_dict()
    saved = copy.deepcopy(saved)
    plan = run.schedule.plan
    run.model = Blocks()
    run.optimizer = plan.optimizer(run.model)
    run.schedule = plan.schedule(run.model, run.optimizer)
    for part, state in zip((run.model, run.optimizer, run.schedule), saved, strict=True):
        part.load_state_dict(state)
    plain(run, tick)


SKIPPED = {scaled: (1, 3)}
STYLES = (
    plain,
    zeroed_and_not_dropped,
    never_zeroed,
    accumulated,
    clipped,
    scaled,
    by_closure,
    meddled_with,
    averaged,
    deep_copied,
    pickled,
    resumed,
)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
@pytest.mark.parametrize("name", [*OPTIMIZERS, SEVERAL])
def test_frozen_bytes_do_not_change_and_thawed_ones_do(name, style):
    """Over windows that open and close, in this style of loop, nothing frozen moves and all else trains."""
    Run(name).go(style)


@pytest.mark.parametrize("name", [*OPTIMIZERS, SEVERAL])
def test_checkpointed_blocks_freeze_and_thaw_alike(name):
    """Non-reentrant activation checkpointing changes nothing of it."""
    Run(name, checkpointed=True).go(never_zeroed)


def test_a_scaler_steps_though_one_of_several_optimizers_has_nothing_to_do():
    """An optimizer all of whose parameters are frozen makes scaler.step raise; as part of Several it does not."""
    torch.manual_seed(0)
    model = Blocks()
    plan = resolve(
        "** -> lr 1e-2\nblocks -> optimizer muon(lr=0.05)\nfreeze blocks until epoch 1",
        model,
        epochs=3,
        steps=1,
    )
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for tick in range(2):
        before = snapshot(model, ["blocks", "head"])
        scaler.scale(model(torch.randn(6, 4)).square().sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert ("blocks.0.0.weight" in moved(before, model)) == (tick == 1)
        assert "head.weight" in moved(before, model)
        schedule.step()
        optimizer.zero_grad()
