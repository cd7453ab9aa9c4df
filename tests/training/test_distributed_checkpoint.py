"""torch.distributed.checkpoint while layers are frozen: in memory, on disk, in every form of its state."""

import copy

import pytest
import torch
import torch.distributed.checkpoint as dcp
from nets import Net, resolve, seeded, train
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    get_state_dict,
    set_optimizer_state_dict,
    set_state_dict,
)

RULES = """
schedule cosine
** -> lr 1e-2
freeze stem from epoch 1 until epoch 3
freeze mid until epoch 2
freeze attention.out_proj
"""
"""stem trains, is frozen, trains; mid is frozen from the start and thaws; out_proj is frozen for ever."""
MOMENTS = [1, 3, 4, 5, 7]
"""Steps to stop after, two an epoch: before any change, during each freeze, right at each thaw."""
END = 8


def made(seed=0, make=None, rules=RULES):
    model = seeded(Net, seed)
    plan = resolve(rules, model)
    optimizer = plan.optimizer(model) if make is None else make(plan.param_groups(model))
    return model, optimizer, plan.schedule(model, optimizer)


def weights(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def whole(make=None):
    run = made(make=make)
    train(*run, 0, END)
    return weights(run[0])


def stopped(at, make=None):
    run = made(make=make)
    train(*run, 0, at)
    return run


def ends_alike(run, at, make=None):
    train(*run, at, END)
    found, expected = weights(run[0]), whole(make)
    return [name for name, value in expected.items() if not torch.equal(found[name], value)] == []


def on_disk(run, folder):
    model, optimizer, schedule = run
    with schedule.thawed():
        own, moments = get_state_dict(model, optimizer)
    dcp.save({"model": own, "optimizer": moments, "schedule": schedule.state_dict()}, checkpoint_id=folder)


def from_disk(run, folder, first="optimizer"):
    model, optimizer, schedule = run
    clock = {"schedule": schedule.state_dict()}
    if first == "schedule":
        dcp.load(clock, checkpoint_id=folder)
        schedule.load_state_dict(clock["schedule"])
    with schedule.thawed():
        own, moments = get_state_dict(model, optimizer)
        state = {"model": own, "optimizer": moments}
        dcp.load(state, checkpoint_id=folder)
        set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
    if first == "optimizer":
        dcp.load(clock, checkpoint_id=folder)
        schedule.load_state_dict(clock["schedule"])


@pytest.mark.parametrize("first", ["optimizer", "schedule"])
@pytest.mark.parametrize("at", MOMENTS)
def test_a_run_saved_and_loaded_thawed_ends_as_one_that_never_stopped(at, first, tmp_path):
    """At any time, whichever part is loaded first, with torch's strict checks on; every moment comes back."""
    on_disk(stopped(at), tmp_path)
    run = made(seed=5)
    from_disk(run, tmp_path, first)
    assert run[2].last_epoch == at
    assert not run[0].attention.out_proj.weight.requires_grad
    assert ends_alike(run, at)


@pytest.mark.parametrize("form", ["nested", "flat", "whole"])
@pytest.mark.parametrize("at", MOMENTS)
def test_what_was_saved_without_thawing_is_loaded_thawed(at, form):
    """What had not stepped has no state there; torch wants some, or makes up its own, and must not."""
    options = StateDictOptions(full_state_dict=form == "whole", flatten_optimizer_state_dict=form == "flat")
    model, optimizer, schedule = stopped(at)
    saved = copy.deepcopy(get_optimizer_state_dict(model, optimizer, options=options))
    run = made(seed=5)
    run[0].load_state_dict(weights(model))
    run[2].load_state_dict(schedule.state_dict())
    with run[2].thawed():
        set_optimizer_state_dict(run[0], run[1], saved, options=options)
    assert ends_alike(run, at)


def test_the_schedule_may_be_loaded_inside(tmp_path):
    """What it freezes is frozen when the block ends; the optimizer's state is loaded for all of it all the same."""
    model, optimizer, schedule = stopped(5)
    with schedule.thawed():
        saved = copy.deepcopy(get_optimizer_state_dict(model, optimizer))
    run = made(seed=5)
    run[0].load_state_dict(weights(model))
    with run[2].thawed():
        run[2].load_state_dict(schedule.state_dict())
        set_optimizer_state_dict(run[0], run[1], saved)
        assert run[0].stem[0].weight.requires_grad
    assert not run[0].stem[0].weight.requires_grad
    assert run[2].frozen == schedule.frozen
    assert ends_alike(run, 5)


def test_saving_moves_nothing_and_leaves_no_state_behind():
    """State of what has not stepped yet is made up in the checkpoint alone."""
    model, optimizer, schedule = stopped(1)
    before, flags = weights(model), {n: p.requires_grad for n, p in model.named_parameters()}
    held = set(optimizer.state)
    with schedule.thawed():
        saved = get_optimizer_state_dict(model, optimizer)
    assert "mid.0.weight" in saved["state"]
    assert "attention.out_proj.weight" not in saved["state"]
    assert set(optimizer.state) == held
    assert flags == {n: p.requires_grad for n, p in model.named_parameters()}
    assert all(torch.equal(value, before[name]) for name, value in weights(model).items())
    train(model, optimizer, schedule, 1, END)
    assert all(torch.equal(value, whole()[name]) for name, value in weights(model).items())


def test_what_never_trains_costs_no_state():
    """Moments for a frozen backbone would be twice its size, in memory and on disk."""
    model, optimizer, schedule = made(rules="** -> lr 1e-2\nfreeze ** except head")
    with schedule.thawed():
        saved = get_optimizer_state_dict(model, optimizer)
        assert saved["state"].keys() == {"head.weight", "head.bias"}
        set_optimizer_state_dict(model, optimizer, saved)
    assert {id(p) for p in optimizer.state} <= {id(p) for p in model.head.parameters()}


def test_a_block_that_fails_leaves_all_as_it_was():
    """Flags, torch's functions and the guard are back, whatever happened."""
    from torch.distributed.checkpoint import state_dict as module

    model, optimizer, schedule = stopped(3)
    load = module._load_optim_state_dict
    flags = {n: p.requires_grad for n, p in model.named_parameters()}
    with pytest.raises(RuntimeError, match="on purpose"), schedule.thawed():
        raise RuntimeError("on purpose")
    assert module._load_optim_state_dict is load
    assert flags == {n: p.requires_grad for n, p in model.named_parameters()}
    before = model.stem[0].weight.detach().clone()
    model.stem[0].weight.grad = torch.ones_like(model.stem[0].weight)
    optimizer.step()
    assert torch.equal(before, model.stem[0].weight)


@pytest.mark.parametrize(
    "make",
    [
        lambda groups: torch.optim.SGD(groups, lr=1e-2, momentum=0.9),
        lambda groups: torch.optim.SGD(groups, lr=1e-2),
        lambda groups: torch.optim.Adagrad(groups, lr=1e-2),
        lambda groups: torch.optim.AdamW(groups, lr=1e-2, amsgrad=True, foreach=True),
        lambda groups: torch.optim.NAdam(groups, lr=1e-2),
    ],
    ids=["momentum", "sgd", "adagrad", "amsgrad", "nadam"],
)
@pytest.mark.parametrize("at", [3, 4])
def test_other_optimizers_too(make, at, tmp_path):
    """Those without state, with state from the start, and with more of it."""
    on_disk(stopped(at, make), tmp_path)
    run = made(5, make)
    from_disk(run, tmp_path)
    assert ends_alike(run, at, make)


def test_an_optimizer_that_counts_in_its_groups_too(tmp_path):
    """The count is in the template, since torch has taken a step to make it."""
    zoo = pytest.importorskip("pytorch_optimizer")

    def make(groups):
        return zoo.AdaBelief(groups, lr=1e-2)

    on_disk(stopped(5, make), tmp_path)
    run = made(5, make)
    from_disk(run, tmp_path)
    assert {group["step"] for group in run[1].param_groups} == {5}
    assert ends_alike(run, 5, make)


@pytest.mark.parametrize("at", [3, 4])
def test_several_optimizers_too(at, tmp_path):
    """Each part's state goes to the part that holds the parameter."""
    rules = RULES + "attention.in_proj_weight -> optimizer muon(lr=0.02)"
    whole_run, run, again = made(rules=rules), made(rules=rules), made(5, rules=rules)
    train(*whole_run, 0, END)
    train(*run, 0, at)
    on_disk(run, tmp_path)
    from_disk(again, tmp_path)
    train(*again, at, END)
    assert all(torch.equal(value, weights(again[0])[name]) for name, value in weights(whole_run[0]).items())
