"""Every process holds a part of a model, and rules that were resolved for the whole mean what they mean in one process."""

import warnings

import pytest
import torch
import torch.distributed.checkpoint as dcp
from ranks import batch, outcome, run
from stages import (
    RULES,
    SPREAD,
    STEPS,
    Experts,
    alone,
    close,
    deep,
    loss,
    only_expert,
    reduce_shared,
    resolve,
    staged,
    stages,
    target,
    weights,
)
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.pipelining import (
    Schedule1F1B,
    ScheduleGPipe,
    ScheduleInterleaved1F1B,
    SplitPoint,
    pipeline,
)
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

WHOLE = list(dict(deep().named_parameters()))


def driven(part, pipe, first, last, ticks, optimizer, schedule, share=slice(None)):
    """Steps of a pipeline; the whole batch goes in at one end, its targets at the other."""
    modules = part if isinstance(part, list) else [part]
    for step in ticks:
        x = batch(step)[share]
        pipe.step(*([x] if first else []), **({"target": target(x)} if last else {}))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return weights(*modules)


def piped(kind, rank, world, rename=False):
    """One stage for each process."""
    part = stages(deep(), world)[rank]
    pipe = kind(staged([part], [rank], world)[0], 4, loss_fn=loss)
    held = dict(part.named_parameters()) if rename else part
    plan = resolve()
    optimizer = plan.optimizer(held)
    return driven(
        part, pipe, rank == 0, rank == world - 1, range(STEPS), optimizer, plan.schedule(held, optimizer)
    )


IDLE = "freeze layers.1, layers.2\nfreeze layers.3, layers.4 until epoch 1\n** -> lr 1e-2\noptimizer adamw\n"
"""Of four stages the second never trains, and the third does not at the start."""


def scaled(rank, world):
    """A GradScaler in each process, of which two have nothing to train."""
    part = stages(deep(), world)[rank]
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1000)
    scaler.scale(torch.zeros(1))  # its scale is made when it is first asked for
    pipe = Schedule1F1B(staged([part], [rank], world)[0], 4, loss_fn=lambda *both: scaler.scale(loss(*both)))
    plan = resolve(IDLE)
    optimizer = plan.optimizer(part)
    schedule = plan.schedule(part, optimizer)
    for step in range(STEPS):
        x = batch(step)
        pipe.step(*([x] if rank == 0 else []), **({"target": target(x)} if rank == world - 1 else {}))
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        optimizer.zero_grad()
    return weights(part)


def interleaved(rank, world):
    """Two stages for each process, bound as a list."""
    cut = stages(deep(), 2 * world)
    indices = [rank, rank + world]
    own = [cut[k] for k in indices]
    pipe = ScheduleInterleaved1F1B(staged(own, indices, 2 * world), 4, loss_fn=loss)
    plan = resolve()
    optimizer = plan.optimizer(own)
    schedule = plan.schedule(own, optimizer)
    return driven(own, pipe, rank == 0, rank == world - 1, range(STEPS), optimizer, schedule)


def traced(rank, world):
    """torch cuts the model itself, by tracing it."""
    points = {f"layers.{k}": SplitPoint.BEGINNING for k in (1, 3, 5)}
    stage = pipeline(deep(), (batch(0)[:2],), split_spec=points).build_stage(rank, torch.device("cpu"))
    plan = resolve()
    optimizer = plan.optimizer(stage.submod)
    schedule = plan.schedule(stage.submod, optimizer)
    pipe = ScheduleGPipe(stage, 4, loss_fn=loss)
    return driven(stage.submod, pipe, rank == 0, rank == world - 1, range(STEPS), optimizer, schedule)


def stages_of_shards():
    """Two stages, each sharded over two processes."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("pp", "dp"))
    at, share = mesh["pp"].get_local_rank(), mesh["dp"].get_local_rank()
    part = stages(deep(), 2)[at]
    for layer in part.layers.values():
        fully_shard(layer, mesh=mesh["dp"])
    fully_shard(part, mesh=mesh["dp"])
    pipe = ScheduleGPipe(staged([part], [at], 2, mesh["pp"].get_group())[0], 2, loss_fn=loss)
    plan = resolve()
    optimizer = plan.optimizer(part)
    schedule = plan.schedule(part, optimizer)
    cut = slice(share * 4, share * 4 + 4)
    return driven(part, pipe, at == 0, at == 1, range(STEPS), optimizer, schedule, cut)


def together(model, share=slice(None)):
    """Steps of a model that is all there, in whatever pieces its tensors are."""
    plan = resolve()
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    for step in range(STEPS):
        x = batch(step)[share]
        loss(model(x), target(x)).backward()
        optimizer.step()
        schedule.verify()
        schedule.step()
        optimizer.zero_grad()
    return weights(model)


def tensor_parallel(world):
    model = deep()
    cut = {f"layers.{k}.0": ColwiseParallel(output_layouts=Replicate()) for k in range(6)}
    return together(parallelize_module(model, init_device_mesh("cpu", (world,)), cut))


def sharded(rank, world, *shape):
    model = deep()
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("replicate", "shard")[-len(shape) :])
    for layer in model.layers.values():
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return together(model, slice(rank * 2, rank * 2 + 2))


def spread(rank, world):
    """Each process has one of the experts, and everything else."""
    model = only_expert(rank)
    plan = resolve(SPREAD, Experts)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    for step in range(STEPS):
        x = batch(step)
        (loss(model(x), target(x)) / world).backward()
        reduce_shared(model)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return weights(model)


def forgotten(rank, world):
    """A layer that is in no part."""
    part = stages(deep(), world)[rank]
    if "3" in part.layers:
        del part.layers["3"]
    plan = resolve()
    return plan.schedule(part, plan.optimizer(part))


def renamed(rank, world):
    """One process has a name that the rules were not resolved for."""
    part = stages(deep(), world)[rank]
    if rank == 2:
        part.layers["33"] = part.layers.pop("3")
    plan = resolve()
    if rank == 2:
        return outcome(lambda: plan.optimizer(part)), outcome(
            lambda: plan.schedule(part, torch.optim.AdamW(part.parameters()))
        )
    return plan.optimizer(part), outcome(lambda: plan.schedule(part, plan.optimizer(part)))


def other_rules(rank, world):
    """The rules of one process differ in what another one holds."""
    part = stages(deep(), world)[rank]
    plan = resolve(RULES if rank else RULES.replace("0.7", "0.8"))
    return plan.schedule(part, plan.optimizer(part))


FLAT = StateDictOptions(flatten_optimizer_state_dict=True)


def saved(rank, world, folder):
    """Three steps, a checkpoint, three more; at the third stage 3 is frozen, and what froze for ever has no state."""
    part = stages(deep(), world)[rank]
    pipe = Schedule1F1B(staged([part], [rank], world)[0], 4, loss_fn=loss)
    plan = resolve()
    optimizer = plan.optimizer(part)
    schedule = plan.schedule(part, optimizer)
    ends = rank == 0, rank == world - 1
    driven(part, pipe, *ends, range(3), optimizer, schedule)
    with schedule.thawed():
        model, moments = get_state_dict(part, optimizer, options=FLAT)
    state = {"model": model, "optimizer": moments, "schedule": schedule.state_dict()}
    dcp.save(state, checkpoint_id=folder)
    return driven(part, pipe, *ends, range(3, STEPS), optimizer, schedule)


def resumed(start, rank, world, folder):
    """Another number of stages goes on with what four have saved."""
    warnings.simplefilter("ignore")
    start()
    return outcome(lambda: gone_on(rank, world, folder))


def gone_on(rank, world, folder):
    part = stages(deep(5), world)[rank]
    pipe = Schedule1F1B(staged([part], [rank], world)[0], 4, loss_fn=loss)
    plan = resolve()
    optimizer = plan.optimizer(part)
    schedule = plan.schedule(part, optimizer)
    clock = {"schedule": schedule.state_dict()}
    dcp.load(clock, checkpoint_id=folder)
    schedule.load_state_dict(clock["schedule"])
    with schedule.thawed():
        model, moments = get_state_dict(part, optimizer, options=FLAT)
        state = {"model": model, "optimizer": moments}
        dcp.load(state, checkpoint_id=folder)
        set_state_dict(
            part,
            optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
            options=FLAT,
        )
    return driven(part, pipe, rank == 0, rank == world - 1, range(3, STEPS), optimizer, schedule)


def four(start, rank, world, folder):
    warnings.simplefilter("ignore")
    start()
    works = {
        "gpipe": lambda: piped(ScheduleGPipe, rank, world),
        "1f1b": lambda: piped(Schedule1F1B, rank, world),
        "by name": lambda: piped(Schedule1F1B, rank, world, rename=True),
        "interleaved": lambda: interleaved(rank, world),
        "scaled": lambda: scaled(rank, world),
        "traced": lambda: traced(rank, world),
        "tensor parallel": lambda: tensor_parallel(world),
        "fsdp": lambda: sharded(rank, world, 4),
        "hsdp": lambda: sharded(rank, world, 2, 2),
        "stages of shards": lambda: stages_of_shards(),
        "experts": lambda: spread(rank, world),
        "forgotten": lambda: forgotten(rank, world),
        "renamed": lambda: renamed(rank, world),
        "other rules": lambda: other_rules(rank, world),
        "saved": lambda: saved(rank, world, folder),
    }
    return {name: outcome(work) for name, work in works.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parts")


@pytest.fixture(scope="module")
def results(folder):
    return run(four, folder, 4, str(folder / "checkpoint"))


@pytest.fixture(scope="module")
def expected():
    return alone()


def found(results, what):
    """What each process came to, all of it without an error."""
    each = [result[what] for result in results]
    assert not [one for one in each if isinstance(one, str)], each
    return each


@pytest.mark.parametrize("kind", ["gpipe", "1f1b", "by name", "interleaved", "traced"])
def test_a_pipeline_of_four_processes_equals_one(results, expected, kind):
    """Every stage ends with the weights of one process, through freezes of whole stages and rates of the whole depth."""
    each = found(results, kind)
    assert sorted(name for one in each for name in one) == sorted(WHOLE)
    for one in each:
        close(one, expected)


def test_a_stage_that_is_frozen_steps_under_a_scaler(results):
    """GradScaler raises for an optimizer without any gradient; a stage may be frozen for a while, or for ever."""
    expected = alone(IDLE)
    for one in found(results, "scaled"):
        close(one, expected)


@pytest.mark.parametrize("kind", ["tensor parallel", "fsdp", "hsdp"])
def test_tensors_in_pieces_equal_one_process(results, expected, kind):
    """Under tensor parallelism, FSDP2 and HSDP all names are there, and the tensors are DTensors."""
    for one in found(results, kind):
        assert len(one) == len(WHOLE)
        close(one, expected)


def test_experts_that_are_spread_equal_one_process(results):
    """With an optimizer of their own; one process has nothing to train in its expert, another for a while."""
    expected = alone(SPREAD, kind=Experts)
    for rank, one in enumerate(found(results, "experts")):
        assert f"experts.{rank}.weight" in one
        close(one, expected)


def test_stages_that_are_sharded_too_equal_one_process(results, expected):
    """Two stages of a pipeline, each over two processes."""
    each = found(results, "stages of shards")
    assert len(each[0]) + len(each[2]) == len(WHOLE)
    for one in each:
        close(one, expected)


def test_a_layer_that_no_process_holds_is_an_error_in_all(results):
    """A part lacks names by right, the parts together do not."""
    for result in results:
        assert "ModelMismatch: no process holds layers.3.0.weight" in result["forgotten"]


def test_a_name_that_the_plan_does_not_know_is_said_in_every_process(results):
    """The process that has it says which name was meant, and the others whose it is."""
    for rank, result in enumerate(results):
        first, then = result["renamed"]
        assert rank != 2 or "knows no layers.33.0.weight" in first
        assert ("ModelMismatch" if rank == 2 else "RanksDiffer: rank 2") in then
        assert "layers.3.0.weight" in then


def test_parts_of_plans_that_differ_elsewhere_are_refused(results):
    """Agreement is of the whole plan, not of what a process holds."""
    for result in results:
        assert "RanksDiffer" in result["other rules"]


def test_a_pipeline_resumes_on_another_number_of_stages(results, folder, expected):
    """By name, through torch.distributed.checkpoint: from four stages on two, with what was frozen at the time."""
    for one in found(results, "saved"):
        close(one, expected)
    again = run(resumed, folder, 2, str(folder / "checkpoint"))
    assert not [one for one in again if isinstance(one, str)], again
    assert sorted(name for one in again for name in one) == sorted(WHOLE)
    for one in again:
        close(one, expected)
