"""`requires_grad`: put right where others changed it, and given back where layerlr took it."""

import copy
import pickle
import warnings

import pytest
import torch
from nets import Stack, images, moved, resolve, seeded, snapshot
from torch import nn

from layerlr_dsl.training.errors import ScheduleWarning

THAW = "** -> lr 1e-2\nfreeze mid until epoch 1"


def made(rules, model=None, epochs=3, steps=2):
    model = model or seeded()
    plan = resolve(rules, model, epochs, steps)
    optimizer = torch.optim.AdamW(plan.param_groups(model), lr=1e-2)
    return model, optimizer, plan.schedule(model, optimizer)


def step(model, optimizer, schedule, seed=0):
    model(images(seed)).square().sum().backward()
    optimizer.step()
    schedule.step()


@pytest.mark.parametrize("to_none", [True, False])
def test_a_flag_that_is_taken_after_a_thaw_is_given_back_and_named(to_none):
    """A callback that puts flags back as they were before the thaw would stop the layer for good."""
    model, optimizer, schedule = made(THAW)
    for _ in range(2):
        step(model, optimizer, schedule)
        optimizer.zero_grad(set_to_none=to_none)
    model.mid.requires_grad_(False)
    with pytest.warns(ScheduleWarning, match=r"mid\.0\.weight.*given back"):
        step(model, optimizer, schedule)
    before = snapshot(model, ["mid.0", "mid.1.weight"])
    optimizer.zero_grad(set_to_none=to_none)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        step(model, optimizer, schedule)
    assert moved(before, model) == before.keys()


@pytest.mark.parametrize("copied", [False, True])
def test_a_layer_trains_though_its_flag_is_taken_at_every_step(copied):
    """Given back when a step is due is too late for that step: from the third on it comes ahead of the forward pass."""
    model, optimizer, schedule = made(THAW)
    for seed in range(6):
        if seed == 5 and copied:
            model, optimizer, schedule = copy.deepcopy((model, optimizer, schedule))
        if seed > 1:
            model.mid.requires_grad_(False)
        before = snapshot(model, ["mid.0", "mid.1.weight"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if seed == 2 else "error", ScheduleWarning)
            step(model, optimizer, schedule, seed)
        assert moved(before, model) == (before.keys() if seed > 3 else set())
        optimizer.zero_grad()


def test_players_of_one_schedule_may_have_their_flags_off_in_turns():
    """Each is looked at when its own optimizer steps; the other's flags are off then, and that is no news."""
    model = nn.ModuleDict({"maker": Stack(), "judge": Stack()})
    rules = "** -> lr 1e-2\nfreeze maker.layers.0, judge.layers.0 until epoch 1"
    plan = resolve(rules, model, 3, 2)
    groups = {player: [] for player in model}
    for group in plan.param_groups(model):
        for player, own in groups.items():
            names = [name for name in group["param_names"] if name.startswith(player)]
            own.append({**group, "params": [model.get_parameter(n) for n in names], "param_names": names})
    optimizers = {
        player: torch.optim.AdamW([g for g in own if g["params"]]) for player, own in groups.items()
    }
    schedule = plan.schedule(model, list(optimizers.values()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        for tick in range(6):
            before = snapshot(model, ["maker.layers.0", "judge.layers.0"])
            for player, other in (("maker", "judge"), ("judge", "maker")):
                held = [(p, p.requires_grad) for p in model[other].parameters()]
                model[other].requires_grad_(False)
                model["judge"](model["maker"](torch.randn(3, 4))).square().mean().backward()
                optimizers[player].step()
                optimizers[player].zero_grad()
                for parameter, flag in held:
                    parameter.requires_grad_(flag)
            schedule.step()
            assert moved(before, model) == (before.keys() if tick > 1 else set())


def test_a_flag_that_is_taken_in_the_turn_of_its_own_optimizer_is_named():
    """Where each parameter has an optimizer, too."""
    model = seeded()
    plan = resolve(THAW, model, 3, 2)
    groups = [
        {**group, "params": [p], "param_names": [name]}
        for group in plan.param_groups(model)
        for name, p in zip(group["param_names"], group["params"], strict=True)
    ]
    optimizers = [torch.optim.AdamW([group]) for group in groups]
    schedule = plan.schedule(model, optimizers)
    schedule.step(2)
    model.mid[0].requires_grad_(False)
    model(images(0)).square().sum().backward()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for optimizer in optimizers:
            optimizer.step()
    assert any("mid.0.weight: the rules train these now" in str(w.message) for w in caught)
    assert model.mid[0].weight.requires_grad


def test_a_flag_that_no_rule_owns_is_named_and_left_alone():
    """Whoever takes it may mean it; but the rules give it a rate, and it trains nothing."""
    model, optimizer, schedule = made(THAW)
    model.head.requires_grad_(False)
    with pytest.warns(ScheduleWarning, match=r"head\.weight, head\.bias.*Freeze them in the rules"):
        step(model, optimizer, schedule)
    assert not model.head.weight.requires_grad
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        step(model, optimizer, schedule)


def test_a_flag_that_is_set_on_what_is_frozen_is_taken_again_and_named_once():
    """It does not move in any case, but backward works for nothing."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze mid")
    before = snapshot(model, ["mid"])
    model.requires_grad_(True)
    with pytest.warns(ScheduleWarning, match=r"mid\.0\.weight.*taken again"):
        step(model, optimizer, schedule)
    assert not model.mid[0].weight.requires_grad
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        model.requires_grad_(True)
        step(model, optimizer, schedule)
    assert moved(before, model) == set()


def test_players_whose_flags_are_off_in_the_other_ones_turn_are_right():
    """A GAN toggles flags between its turns; at the step of its own optimizer each has them on."""
    maker, judge = Stack(), Stack()
    parts = [made("** -> lr 1e-2\nfreeze layers.0 until epoch 1", net) for net in (maker, judge)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        for _ in range(4):
            for net, optimizer, schedule in parts:
                other = judge if net is maker else maker
                held = [(p, p.requires_grad) for p in other.parameters()]
                other.requires_grad_(False)
                judge(maker(torch.randn(3, 4))).square().mean().backward()
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                for parameter, flag in held:
                    parameter.requires_grad_(flag)
    assert all(p.requires_grad for p in (*maker.parameters(), *judge.parameters()))


def test_taking_no_flags_costs_no_warning_anywhere():
    """The states that the rules themselves bring about are the right ones."""
    rules = "** -> lr 1e-2\nfreeze stem\nfreeze mid until epoch 1\nfreeze head from epoch 1 until epoch 2"
    model, optimizer, schedule = made(rules)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        for seed in range(6):
            step(model, optimizer, schedule, seed)
            optimizer.zero_grad()


# ---------------------------------------------------------------- the next stage in the same process


def ended(schedule):
    schedule.release()


def dropped(schedule):
    del schedule


@pytest.mark.parametrize("end", [ended, dropped])
@pytest.mark.parametrize("handed", [lambda m: m, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_what_an_earlier_schedule_froze_did_not_come_frozen(end, handed):
    """A second stage that says nothing of it trains it, in a copy of the model as well; norms go on too."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze stem, mid")
    step(model, optimizer, schedule)
    assert not model.stem[1].training
    end(schedule)
    model = handed(model)
    plan = resolve("** -> lr 1e-2\nhead -> lr 1e-3", model)
    assert {group.kind for group in plan.groups} == {"trains"}
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    schedule = plan.schedule(model, optimizer)
    before = snapshot(model, ["stem.0", "stem.1", "mid"])
    step(model, optimizer, schedule)
    assert moved(before, model) == before.keys()


def test_what_the_model_itself_froze_stays_so_in_every_stage():
    """Only what layerlr took is given back."""
    model = seeded()
    model.stem.requires_grad_(False)
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze mid", model)
    step(model, optimizer, schedule)
    plan = resolve("** -> lr 1e-2", model)
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    schedule = plan.schedule(model, optimizer)
    before = snapshot(model, ["stem.0.weight", "stem.1.weight"])
    step(model, optimizer, schedule)
    assert moved(before, model) == set()
    assert {group.kind for group in plan.groups} == {"trains", "model"}


def test_a_freeze_that_ends_over_what_came_frozen_is_told_of_when_training_begins():
    """Validating the file says nothing of it: another callback froze the model before the rules were resolved."""
    model = seeded()
    model.mid.requires_grad_(False)
    with pytest.warns(ScheduleWarning, match=r"came frozen with the model.*write `unfreeze mid at epoch 1`"):
        made(THAW, model)


def test_rules_resolve_alike_before_and_during_a_freeze():
    """Resolving again in mid-run, as a retry with another batch size does, finds the model as it came."""
    model = seeded()
    model.head.bias.requires_grad_(False)
    fresh = resolve(THAW, model)
    optimizer = torch.optim.AdamW(fresh.param_groups(model))
    schedule = fresh.schedule(model, optimizer)
    assert resolve(THAW, model).to_json() == fresh.to_json()
    schedule.step(2)
    assert resolve(THAW, model).to_json() == fresh.to_json()


def test_parameters_that_were_replaced_while_frozen_did_not_come_frozen_either():
    """load_state_dict(assign=True) keeps the flag of the old object on the new one."""
    model, _, _ = made("** -> lr 1e-2\nfreeze mid")
    model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()}, assign=True)
    assert not model.mid[0].weight.requires_grad
    plan = resolve("** -> lr 1e-2", model)
    plan.schedule(model, torch.optim.AdamW(plan.param_groups(model)))
    assert all(p.requires_grad for p in model.parameters())


def test_a_schedule_of_a_part_leaves_the_other_parts_alone():
    """Two schedules over two parts of a model: what one froze stays frozen when the other is made."""
    model = seeded()
    made("** -> lr 1e-2\nfreeze 0", model.stem)
    made("** -> lr 1e-2\nfreeze 0", model.mid)
    assert not model.stem[0].weight.requires_grad
    assert not model.mid[0].weight.requires_grad


def test_a_released_model_scripts_whatever_was_frozen():
    """What is noted for the next stage is plain data."""
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model, _, schedule = made("** -> lr 1e-2\nfreeze 0, 1", model)
    model(torch.randn(3, 4))
    schedule.release()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(model.eval())
    assert torch.equal(scripted(torch.ones(1, 4)), model(torch.ones(1, 4)))
