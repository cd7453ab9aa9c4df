"""Several optimizers under one schedule: each can be stepped, zeroed, saved and loaded by itself."""

import copy

import pytest
import torch
from nets import Net, images, moved, resolve, seeded, snapshot
from torch import nn

from layerlr_dsl.optim import Several
from layerlr_dsl.training.errors import StateNotCarried

RULES = """
optimizer adamw
schedule cosine
** -> lr 1e-2
attention where ndim == 2 -> optimizer muon(lr=0.02)
attention where ndim == 1 -> optimizer sgd(lr=0.1)
freeze mid, attention.out_proj from epoch 1 until epoch 2
"""


def built(rules=RULES, seed=0):
    model = seeded(Net, seed)
    plan = resolve(rules, model)
    optimizer = plan.optimizer(model)
    return model, optimizer, plan.schedule(model, optimizer)


def backward(model, seed=0):
    model(images(seed)).square().sum().backward()


def named(optimizer):
    return {name for group in optimizer.param_groups for name in group["param_names"]}


def test_parts_are_real_optimizers_by_name():
    """The file's own is "default", the others have the names that the rules give."""
    _, optimizer, _ = built()
    kinds = {name: type(part).__name__ for name, part in optimizer.parts.items()}
    assert kinds == {"default": "AdamW", "muon": "Muon", "sgd": "SGD"}
    assert named(optimizer.parts["sgd"]) == {"attention.in_proj_bias", "attention.out_proj.bias"}


def test_a_part_steps_at_its_own_cadence_and_moves_nothing_else():
    """Three steps of one, one of another: each has moved its own parameters only, so often."""
    model, optimizer, schedule = built()
    muon, default = optimizer.parts["muon"], optimizer.parts["default"]
    before = snapshot(model)
    for seed in range(3):
        muon.zero_grad()
        backward(model, seed)
        muon.step()
    assert moved(before, model) & dict(model.named_parameters()).keys() == named(muon)
    default.step()
    assert {int(default.state[p]["step"]) for p in default.state} == {1}
    schedule.step()
    assert schedule.last_epoch == 1


def test_zeroing_a_part_leaves_the_gradients_of_the_others():
    """A critic that is zeroed five times leaves what the generator has accumulated."""
    model, optimizer, _ = built()
    backward(model)
    optimizer.parts["sgd"].zero_grad()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_gradient == dict(model.named_parameters()).keys() - named(optimizer.parts["sgd"])


@pytest.mark.parametrize("copied", [False, True], ids=["as made", "copied"])
def test_what_is_frozen_stands_still_whichever_part_is_stepped(copied):
    """A gradient that a loop left on a frozen parameter moves nothing, in a copy of the run neither."""
    run = built()
    if copied:
        run = copy.deepcopy(run)
    model, optimizer, schedule = run
    for seed in range(2):
        backward(model, seed)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    assert "attention.out_proj.weight" in schedule.frozen
    before = snapshot(model)
    backward(model)
    for name in schedule.frozen:
        model.get_parameter(name).grad = torch.ones_like(model.get_parameter(name))
    for part in optimizer.parts.values():
        part.step()
    changed = moved(before, model)
    assert not changed & schedule.frozen
    assert {"attention.in_proj_weight", "head.weight", "attention.in_proj_bias"} <= changed


def test_a_closure_of_a_part_cannot_bring_gradients_back():
    """What the closure computes for frozen parameters is dropped after it, before the step."""
    model, optimizer, schedule = built(RULES.replace("from epoch 1 until epoch 2", "until epoch 2"))
    before = snapshot(model)

    def closure():
        optimizer.zero_grad()
        backward(model)
        for name in schedule.frozen:
            model.get_parameter(name).grad = torch.ones_like(model.get_parameter(name))
        return 1.0

    assert optimizer.parts["default"].step(closure) == 1.0
    assert not moved(before, model) & schedule.frozen
    assert "head.weight" in moved(before, model)


def test_the_schedule_drives_every_part():
    """Its rates are in the groups that the parts step with, after a part has loaded a state by itself too."""
    model, optimizer, schedule = built()
    backward(model)
    optimizer.step()
    for part in optimizer.parts.values():
        part.load_state_dict(copy.deepcopy(part.state_dict()))
    for _ in range(4):
        schedule.step()
    expected = schedule.plan.at(step=4)
    for part in optimizer.parts.values():
        for group in part.param_groups:
            assert group["lr"] == pytest.approx(expected[group["param_names"][0]]["lr"])
    assert schedule.get_last_lr() == [group["lr"] for group in optimizer.param_groups]


def test_a_part_is_saved_and_loaded_by_itself_and_by_name():
    """Under edited rules, with other groups in another order, each moment goes to its own parameter."""
    model, optimizer, _ = built()
    for seed in range(2):
        backward(model, seed)
        optimizer.step()
    edited = RULES.replace("** -> lr 1e-2", "** -> lr 1e-2\nhead -> lr 3e-2\nstem -> lr 1e-3, weight_decay 0")
    other, resumed, _ = built(edited, seed=3)
    resumed.parts["default"].load_state_dict(copy.deepcopy(optimizer.parts["default"].state_dict()))
    assert len(resumed.parts["default"].param_groups) > len(optimizer.parts["default"].param_groups)
    for name in named(optimizer.parts["default"]):
        old = optimizer.state[model.get_parameter(name)]
        new = resumed.state[other.get_parameter(name)]
        assert torch.equal(old["exp_avg"], new["exp_avg"])
    assert not resumed.parts["muon"].state


def test_two_of_a_kind_under_names_of_their_own_are_two():
    """A generator and a critic under AdamW each are stepped, saved and loaded apart."""
    model = nn.ModuleDict({"generator": nn.Linear(3, 3), "critic": nn.Linear(3, 3)})
    plan = resolve("generator -> lr 1e-2\ncritic -> lr 1e-2, weight_decay 0", model)
    groups = {group["name"].split(".")[0]: group for group in plan.param_groups(model)}
    optimizer = Several(
        [torch.optim.AdamW([groups["generator"]]), torch.optim.AdamW([groups["critic"]])],
        names=["default", "critic"],
    )
    schedule = plan.schedule(model, optimizer)
    assert [group["optimizer"] for group in optimizer.param_groups] == ["default", "critic"]
    (model["generator"](torch.ones(1, 3)) + model["critic"](torch.ones(1, 3))).sum().backward()
    optimizer.parts["critic"].step()
    assert set(optimizer.state) == set(model["critic"].parameters())
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    assert set(optimizer.state) == set(model["critic"].parameters())
    schedule.step()


@pytest.mark.parametrize("names", [["a"], ["a", "a"]])
def test_names_must_be_one_for_each(names):
    """Two optimizers of one name could not be told apart."""
    made = [torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1) for _ in range(2)]
    with pytest.raises(ValueError, match="as many different names"):
        Several(made, names=names)


# ---------------------------------------------------------------- a list that the loop keeps

LISTED = "schedule cosine\n** -> lr 1e-2\nhead -> lr 3e-2\nfreeze stem until epoch 1\nfreeze mid from epoch 2"


def stepped_in_backward(optimizers):
    """As torch's tutorial on memory has it: each parameter is stepped and zeroed while gradients come in."""

    def step(parameter):
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in optimizers:
        parameter.register_post_accumulate_grad_hook(step)


def train_whole(model, optimizer, schedule, steps):
    for seed in range(steps):
        torch.manual_seed(seed)
        backward(model, seed)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def in_backward(seed=0):
    model = seeded(Net, seed)
    plan = resolve(LISTED, model)
    optimizers = {
        p: torch.optim.AdamW([{**group, "params": [p], "param_names": [name]}])
        for group in plan.param_groups(model)
        for name, p in zip(group["param_names"], group["params"], strict=True)
    }
    stepped_in_backward(optimizers)  # before anything freezes: torch takes such hooks for what trains only
    return model, optimizers, plan.schedule(model, list(optimizers.values()))


def train_in_backward(model, schedule, steps, start=0):
    for seed in range(start, steps):
        torch.manual_seed(seed)
        backward(model, seed)
        schedule.step()


def test_one_schedule_drives_an_optimizer_for_every_parameter():
    """Stepped in the backward pass, with layers that thaw and freeze, it ends as one optimizer for all does."""
    one = seeded(Net)
    plan = resolve(LISTED, one)
    optimizer = plan.optimizer(one)
    train_whole(one, optimizer, plan.schedule(one, optimizer), 6)
    model, _, schedule = in_backward()
    before = snapshot(model, ["mid.0"])
    train_in_backward(model, schedule, 6)
    assert schedule.frozen == {name for name, _ in model.named_parameters() if name.startswith("mid")}
    assert moved(before, model)
    assert schedule.verify()
    for (name, mine), theirs in zip(model.named_parameters(), one.parameters(), strict=True):
        assert torch.equal(mine, theirs), name


def test_the_optimizers_of_a_list_are_saved_and_loaded_one_by_one():
    """Each replaces its groups when it loads; the schedule drives those that are there now."""
    whole, _, schedule = in_backward()
    train_in_backward(whole, schedule, 6)
    model, optimizers, schedule = in_backward()
    train_in_backward(model, schedule, 3)
    saved = [copy.deepcopy(o.state_dict()) for o in optimizers.values()]
    again, fresh, clock = in_backward(seed=4)
    again.load_state_dict(model.state_dict())
    for optimizer, state in zip(fresh.values(), saved, strict=True):
        optimizer.load_state_dict(state)
    clock.load_state_dict(schedule.state_dict())
    train_in_backward(again, clock, 6, start=3)
    for (name, mine), theirs in zip(again.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(mine, theirs), name


def test_a_list_of_two_each_with_its_own_cadence():
    """A discriminator every step, a generator every other: one clock, one set of rules, both frozen as they say."""
    model = nn.ModuleDict({"gen": nn.Linear(3, 3), "disc": nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))})
    plan = resolve("** -> lr 1e-2\nfreeze disc.0 until epoch 1\nfreeze gen from epoch 1", model, steps=4)
    gen = torch.optim.Adam(model["gen"].parameters(), lr=1e-2)
    disc = torch.optim.Adam(model["disc"].parameters(), lr=1e-2)
    schedule = plan.schedule(model, [gen, disc])
    seen = []
    for step in range(8):
        disc.zero_grad()
        gen.zero_grad()
        model["disc"](model["gen"](torch.ones(2, 3))).sum().backward()
        disc.step()
        if step % 2:
            gen.step()
        seen.append(tuple(len(o.state) for o in (gen, disc)))
        schedule.step()
    assert seen[3] == (2, 2)
    assert seen[4] == (2, 4)
    assert {int(gen.state[p]["step"]) for p in gen.state} == {2}
    assert schedule.frozen == {"gen.weight", "gen.bias"}


def test_parameters_that_no_optimizer_of_the_list_holds_are_named():
    """A list that forgets one would train all but that."""
    from layerlr_dsl.training.errors import ModelMismatch

    model = seeded(Net)
    plan = resolve("** -> lr 1e-2", model)
    lists = [torch.optim.Adam(model.stem.parameters()), torch.optim.Adam(model.mid.parameters())]
    with pytest.raises(ModelMismatch, match=r"head\.weight"):
        plan.schedule(model, lists)


def test_state_of_a_layer_that_moves_to_another_part_is_kept_or_named():
    """From one AdamW to a second of another name its moments go along; from Muon to AdamW they cannot."""
    model, optimizer, _ = built()
    backward(model)
    optimizer.step()
    edited = RULES.replace("attention where ndim == 2 -> optimizer muon(lr=0.02)\n", "")
    other, resumed, _ = built(edited)
    with pytest.warns(StateNotCarried, match="state of another optimizer: attention"):
        resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert set(resumed.parts) == {"default", "sgd"}
    backward(other)
    resumed.step()
