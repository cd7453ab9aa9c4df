"""torch.distributed.checkpoint on 2 and 4 processes while layers are frozen, as docs/distributed.md has it."""

import copy
import warnings

import pytest
import torch
import torch.distributed.checkpoint as dcp
from ranks import batch, layers, loss, outcome, resolve, run
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    get_state_dict,
    set_optimizer_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

RULES = """
schedule cosine
** -> lr 1e-2
freeze stem.0 from epoch 1 until epoch 2
freeze mid.0 until epoch 2
freeze mid.1
"""
"""stem.0 trains, is frozen, trains; mid.0 is frozen from the start and thaws; mid.1 is frozen for ever."""
STOPS = [1, 3, 4]
END = 6


def made(kind, world, seed=0):
    model = layers(seed)
    if kind == "fsdp":
        mesh = init_device_mesh("cpu", (world,))
        for part in (model.stem, model.mid):
            fully_shard(part, mesh=mesh)
        model = fully_shard(model, mesh=mesh)
    else:
        model = DistributedDataParallel(model, find_unused_parameters=True)
    plan = resolve(RULES, model)
    optimizer = plan.optimizer(model)
    return model, optimizer, plan.schedule(model, optimizer)


def train(parts, start, stop, rank, world):
    model, optimizer, schedule = parts
    for step in range(start, stop):
        loss(model, batch(step, rank, world)).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return {
        name: (p.full_tensor() if hasattr(p, "full_tensor") else p).detach().clone()
        for name, p in model.named_parameters()
    }


def save(parts, folder):
    model, optimizer, schedule = parts
    with schedule.thawed():
        weights, moments = get_state_dict(model, optimizer)
    dcp.save(
        {"model": weights, "optimizer": moments, "schedule": schedule.state_dict()}, checkpoint_id=folder
    )


def load(parts, folder):
    model, optimizer, schedule = parts
    clock = {"schedule": schedule.state_dict()}
    with schedule.thawed():
        weights, moments = get_state_dict(model, optimizer)
        state = {"model": weights, "optimizer": moments}
        dcp.load(state, checkpoint_id=folder)
        set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
    dcp.load(clock, checkpoint_id=folder)
    schedule.load_state_dict(clock["schedule"])


def saved_and_loaded(kind, at, rank, world, folder):
    """The weights at the end of a run that was stopped, and of the one that went on in its place."""
    parts = made(kind, world)
    train(parts, 0, at, rank, world)
    save(parts, folder)
    expected = train(parts, at, END, rank, world)
    again = made(kind, world, seed=5)
    load(again, folder)
    return expected, train(again, at, END, rank, world)


def from_rank_zero(kind, at, rank, world):
    """Whole state that only the first process has, sent to the others, with nothing saved for what never stepped."""
    parts = made(kind, world)
    train(parts, 0, at, rank, world)
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    saved = copy.deepcopy(
        get_optimizer_state_dict(*parts[:2], options=StateDictOptions(full_state_dict=True))
    )
    again = made(kind, world)
    train(again, 0, at, rank, world)  # the same weights, and moments to be thrown away
    again[1].state.clear()
    with again[2].thawed():
        set_optimizer_state_dict(*again[:2], saved if rank == 0 else {}, options=options)
    return train(parts, at, END, rank, world), train(again, at, END, rank, world)


def every_rank(start, rank, world, folder):
    warnings.simplefilter("ignore")
    start()
    found = {}
    for kind in ("fsdp", "ddp"):
        for at in STOPS:
            place = f"{folder}/{kind}-{world}-{at}"
            found[kind, at] = outcome(lambda k=kind, a=at, p=place: saved_and_loaded(k, a, rank, world, p))
            found["sent", kind, at] = outcome(lambda k=kind, a=at: from_rank_zero(k, a, rank, world))
    return found


def taken_over(start, rank, world, folder, before):
    """A run that `before` processes saved, gone on with in `world`."""
    warnings.simplefilter("ignore")
    start()
    parts = made("fsdp", world, seed=5)
    load(parts, f"{folder}/fsdp-{before}-3")
    return train(parts, 3, END, rank, world)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dcp")


@pytest.fixture(scope="module")
def results(folder):
    return {world: run(every_rank, folder, world, str(folder)) for world in (2, 4)}


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("kind", ["fsdp", "ddp"])
@pytest.mark.parametrize("at", STOPS)
def test_a_run_saved_and_loaded_thawed_ends_with_the_same_bits(results, world, kind, at):
    """Frozen from the start, trained and frozen, frozen for ever: before, during and right after the freezes."""
    for result in results[world]:
        assert not isinstance(result[kind, at], str), result[kind, at]
        expected, found = result[kind, at]
        assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("kind", ["fsdp", "ddp"])
@pytest.mark.parametrize("at", STOPS)
def test_state_that_one_process_has_is_sent_to_all(results, world, kind, at):
    """What the checkpoint has no state for begins fresh on every process, not on the first alone."""
    for result in results[world]:
        assert not isinstance(result["sent", kind, at], str), result["sent", kind, at]
        expected, found = result["sent", kind, at]
        assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2)])
def test_a_run_goes_on_with_another_number_of_processes(results, folder, before, after):
    """To numerical tolerance: sums over batches come in another order."""
    expected, _ = results[before][0]["fsdp", 3]
    for found in run(taken_over, folder, after, str(folder), before):
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)
