"""The schedulefree package: its weights for an evaluation leave frozen layers alone."""

import copy

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr

schedulefree = pytest.importorskip("schedulefree")

NAMES = [
    "AdamWScheduleFree",
    "AdamWScheduleFreePaper",
    "AdamWScheduleFreeReference",
    "RAdamScheduleFree",
    "SGDScheduleFree",
    "SGDScheduleFreeReference",
]


def made(make):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    plan = layerlr.parse("** -> lr 1e-2\nfreeze 0 from epoch 1 until epoch 3").resolve(
        model, epochs=4, steps_per_epoch=8
    )
    optimizer = make(plan.param_groups(model))
    return model, optimizer, plan.schedule(model, optimizer)


def train(model, optimizer, schedule, steps):
    optimizer.train()
    for _ in range(steps):
        model(torch.ones(5, 3)).square().mean().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def wrapper(groups):
    return schedulefree.ScheduleFreeWrapper(torch.optim.SGD(groups, lr=1e-2), momentum=0.9)


@pytest.mark.parametrize(
    "make", [*(getattr(schedulefree, name) for name in NAMES if hasattr(schedulefree, name)), wrapper]
)
def test_what_froze_after_training_stands_still_through_evaluations(make):
    """Bytes are the same in eval, back in train, and at the end of the freeze; then the layer trains on."""
    model, optimizer, schedule = made(make)
    train(model, optimizer, schedule, 9)
    frozen, free = model[0].weight.detach().clone(), model[2].weight.detach().clone()
    optimizer.eval()
    assert torch.equal(frozen, model[0].weight)
    assert not torch.equal(free, model[2].weight)
    optimizer.train()
    train(model, optimizer, schedule, 14)
    assert torch.equal(frozen, model[0].weight)
    assert schedule.verify()
    train(model, optimizer, schedule, 4)
    assert not torch.equal(frozen, model[0].weight)


def test_a_run_with_evaluations_resumes_as_it_was():
    """Saved in mid-freeze, in train mode; what was held is held in the resumed run."""
    run = made(schedulefree.AdamWScheduleFree)
    train(*run, 12)
    states = [copy.deepcopy(part.state_dict()) for part in run]
    again = made(schedulefree.AdamWScheduleFree)
    for part, state in zip(again, states, strict=True):
        part.load_state_dict(state)
    for model, optimizer, schedule in (run, again):
        optimizer.eval()
        train(model, optimizer, schedule, 5)
    assert all(torch.equal(a, b) for a, b in zip(run[0].parameters(), again[0].parameters(), strict=True))
