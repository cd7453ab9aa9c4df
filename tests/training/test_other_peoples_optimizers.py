"""Optimizers that find their own rate, wrap another, or get groups from someone who gives no names."""

import copy

import pytest
import torch
from nets import moved, resolve, seeded, snapshot, train
from torch import nn

from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.optim import build
from layerlr_dsl.training.errors import ModelMismatch, ScheduleWarning

RULES = "schedule cosine\n** -> lr 1e-2\nfreeze stem until epoch 1\nfreeze mid from epoch 2"


# ---------------------------------------------------------------- their own rate


def adafactor(library, groups, **settings):
    with_torchvision(lambda: __import__("torchvision"))
    module = pytest.importorskip({"transformers": "transformers", "timm": "timm.optim"}[library])
    return module.Adafactor(groups, **settings)


@pytest.mark.parametrize("library", ["transformers", "timm"])
def test_an_optimizer_that_finds_its_own_rate_is_frozen_and_thawed(library):
    """Adafactor(lr=None) has no rate to set; what the rules say of freezing holds all the same."""
    model = seeded()
    plan = resolve("** -> weight_decay 0\nfreeze stem until epoch 1\nfreeze mid from epoch 2", model)
    optimizer = adafactor(library, plan.param_groups(model), lr=None)
    schedule = plan.schedule(model, optimizer)
    before = snapshot(model)
    train(model, optimizer, schedule, 0, 2)
    assert not moved(before, model) & {"stem.0.weight", "stem.0.bias"}
    train(model, optimizer, schedule, 2, 5)
    assert "stem.0.weight" in moved(before, model)
    assert schedule.frozen >= {"mid.0.weight"}
    assert schedule.verify()
    resumed = adafactor(library, plan.param_groups(model), lr=None)
    clock = plan.schedule(model, resumed)
    resumed.load_state_dict(optimizer.state_dict())
    clock.load_state_dict(schedule.state_dict())
    train(model, resumed, clock, 5, 6)


def test_a_schedule_cannot_move_a_rate_that_is_the_optimizers_own():
    """It would do nothing; that is said before training, with both ways out."""
    model = seeded()
    plan = resolve("schedule cosine\n** -> weight_decay 0", model)
    optimizer = adafactor("transformers", plan.param_groups(model), lr=None)
    with pytest.raises(
        ModelMismatch, match=r"finds the rate of group .* by itself.*give it a rate in the rules"
    ):
        plan.schedule(model, optimizer)


def test_rates_that_such_an_optimizer_would_not_read_are_named():
    """transformers' Adafactor with relative_step takes a rate into its groups and computes another."""
    model = seeded()
    plan = resolve(RULES, model)
    optimizer = adafactor("transformers", plan.param_groups(model), lr=None)
    with pytest.warns(ScheduleWarning, match="relative_step"):
        plan.schedule(model, optimizer)


# ---------------------------------------------------------------- wrappers


def lookahead(library, base):
    with_torchvision(lambda: __import__("torchvision"))
    module = pytest.importorskip({"timm": "timm.optim", "pytorch_optimizer": "pytorch_optimizer"}[library])
    return module.Lookahead(base, k=2)


def wrapped(library, seed=0):
    model = seeded(seed=seed)
    plan = resolve(RULES, model)
    optimizer = lookahead(library, torch.optim.AdamW(plan.param_groups(model)))
    return model, optimizer, plan.schedule(model, optimizer)


@pytest.mark.parametrize("library", ["timm", "pytorch_optimizer"])
def test_lookahead_around_an_optimizer_moves_nothing_frozen(library):
    """Slow weights of a layer that froze after training do not pull it back; rates are the schedule's."""
    model, optimizer, schedule = wrapped(library)
    train(model, optimizer, schedule, 0, 4)
    assert "mid.0.weight" in schedule.frozen
    before = snapshot(model)
    train(model, optimizer, schedule, 4, 7)
    changed = moved(before, model)
    assert not changed & schedule.frozen
    assert "head.weight" in changed
    expected = schedule.plan.at(step=7)["head.weight"]["lr"]
    assert {group["lr"] for group in optimizer.param_groups} == {expected}
    assert schedule.verify()


@pytest.mark.parametrize("library", ["timm", "pytorch_optimizer"])
def test_lookahead_resumes_exactly(library):
    """Fast and slow weights, moments and counts come back in a run that is built anew."""
    whole = wrapped(library)
    train(*whole, 0, 8)
    first = wrapped(library)
    train(*first, 0, 5)
    saved = [copy.deepcopy(part.state_dict()) for part in first]
    second = wrapped(library, seed=4)
    for part, state in zip(second, saved, strict=True):
        part.load_state_dict(state)
    train(*second, 5, 8)
    pairs = zip(whole[0].state_dict().values(), second[0].state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_slow_weights_shown_for_an_evaluation_leave_frozen_layers():
    """pytorch_optimizer's Lookahead swaps them in and out by two methods of its own."""
    model, optimizer, schedule = wrapped("pytorch_optimizer")
    train(model, optimizer, schedule, 0, 5)
    before = snapshot(model)
    optimizer.backup_and_load_cache()
    assert "head.weight" in moved(before, model)
    assert not moved(before, model) & schedule.frozen
    optimizer.clear_and_load_backup()
    assert not moved(before, model)


# ---------------------------------------------------------------- groups that others add


GIVEN = {
    "list": lambda layer: list(layer.parameters()),
    "iterator": lambda layer: layer.parameters(),
    "one": lambda layer: layer.weight,
}


@pytest.mark.parametrize("given", GIVEN)
def test_a_group_without_names_can_be_added(given):
    """Callbacks and tools add groups as they always did; torch alone wants names for all groups or none."""
    model, extra = seeded(), nn.Linear(3, 3, bias=False)
    plan = resolve(RULES, model)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    optimizer.add_param_group({"params": GIVEN[given](extra), "lr": 0.5})
    extra(torch.ones(1, 3)).sum().backward()
    before = extra.weight.detach().clone()
    train(model, optimizer, schedule, 0, 3)
    assert not torch.equal(before, extra.weight)
    assert optimizer.param_groups[-1]["lr"] == 0.5


@pytest.mark.parametrize("copied", [False, True], ids=["as made", "copied"])
def test_state_of_an_added_group_is_loaded_again(copied):
    """It is added again in the same way, and known by its place."""

    def made():
        model, extra = seeded(), nn.Linear(3, 3)
        plan = resolve(RULES, model)
        optimizer = plan.optimizer(model)
        run = model, optimizer, plan.schedule(model, optimizer), extra
        model, optimizer, schedule, extra = copy.deepcopy(run) if copied else run
        optimizer.add_param_group({"params": list(extra.parameters()), "lr": 0.5})
        return model, optimizer, schedule, extra

    model, optimizer, schedule, extra = made()
    extra(torch.ones(1, 3)).sum().backward()
    train(model, optimizer, schedule, 0, 3)
    again, resumed, clock, other = made()
    resumed.load_state_dict(optimizer.state_dict())
    clock.load_state_dict(schedule.state_dict())
    assert torch.equal(resumed.state[other.weight]["exp_avg"], optimizer.state[extra.weight]["exp_avg"])
    train(again, resumed, clock, 3, 4)


def test_a_group_with_names_keeps_them():
    """Pairs of name and parameter, and names beside parameters, are taken as torch takes them."""
    model, extra = seeded(), nn.Linear(3, 3)
    optimizer = resolve(RULES, model).optimizer(model)
    optimizer.add_param_group({"params": list(extra.named_parameters(prefix="extra"))})
    assert optimizer.param_groups[-1]["param_names"] == ["extra.weight", "extra.bias"]


# ---------------------------------------------------------------- what older releases saved


@pytest.mark.parametrize("name", ["lamb", "lars", "layer_adaptive"])
@pytest.mark.parametrize("pickled", [False, True])
def test_ours_take_what_a_release_with_fewer_options_has_saved(name, pickled):
    """Options that came later have their defaults, whether a state dict or a pickle lacks them."""
    layer = nn.Linear(3, 3)
    optimizer = build(name, [{"params": list(layer.parameters())}], {"lr": 0.1})
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    kept = {"params", "lr", "betas", "eps", "weight_decay", "momentum"}
    if pickled:
        state = optimizer.__getstate__()
        state["defaults"] = {key: value for key, value in state["defaults"].items() if key in kept}
        state["param_groups"] = [{k: v for k, v in g.items() if k in kept} for g in state["param_groups"]]
        older = type(optimizer).__new__(type(optimizer))
        older.__setstate__(state)
    else:
        saved = optimizer.state_dict()
        saved["param_groups"] = [{k: v for k, v in g.items() if k in kept} for g in saved["param_groups"]]
        older = build(name, [{"params": list(layer.parameters())}], {"lr": 0.1})
        older.load_state_dict(saved)
    before = layer.weight.detach().clone()
    older.step()
    assert not torch.equal(before, layer.weight)


def test_betas_that_came_back_from_json_as_a_list_are_no_other_betas():
    """Merged groups agree in them, and they go back into the form that the optimizer has."""
    model = seeded()
    plan = resolve("** -> lr 1e-2\nhead -> weight_decay 0", model)
    optimizer = torch.optim.AdamW(plan.param_groups(model), betas=[0.5, 0.9])
    plan.schedule(model, optimizer)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["betas"] = (0.5, 0.9)
    merged = resolve("** -> lr 1e-2", model)
    resumed = torch.optim.AdamW(merged.param_groups(model))
    schedule = merged.schedule(model, resumed)
    resumed.load_state_dict(saved)
    assert resumed.param_groups[0]["betas"] == (0.5, 0.9)
    assert "betas" not in " ".join(schedule.carried.options)
