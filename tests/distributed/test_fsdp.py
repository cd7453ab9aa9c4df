"""FSDP2 (`fully_shard`): flags flip on sharded parameters, mixed inside one shard group, and runs resume."""

import warnings

import pytest
import torch
import torch.distributed.checkpoint as dcp
from ranks import alone, batch, layers, loss, outcome, resolve, run
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, MixedPrecisionPolicy, fully_shard

PATTERNS = {
    "nothing": "** -> lr 1e-2",
    "whole shard groups": "** -> lr 1e-2\nfreeze stem until epoch 2\nfreeze mid from epoch 1 until epoch 2",
    "mixed inside a shard group": (
        "** -> lr 1e-2\n**.weight -> lr 3e-3\nfreeze **.bias until epoch 1\nfreeze mid.0.weight from epoch 1"
    ),
    "all but the head": "** -> lr 1e-2\nfreeze stem, mid until epoch 2\nschedule cosine",
    "first thawed last": "** -> lr 1e-2\nfreeze stem, mid\nunfreeze mid then stem every 1 epochs starting at epoch 1",
}
RESUMED = "schedule cosine\n" + PATTERNS["mixed inside a shard group"]


def sharded(world, seed=0, **options):
    model = layers(seed)
    mesh = init_device_mesh("cpu", (world,))
    for part in (model.stem, model.mid):
        fully_shard(part, mesh=mesh, **options)
    return fully_shard(model, mesh=mesh, **options)


def made(rules, model):
    plan = resolve(rules, model)
    optimizer = torch.optim.AdamW(plan.param_groups(model), lr=1e-2)
    return optimizer, plan.schedule(model, optimizer)


def whole(model):
    return {name: p.full_tensor().detach() for name, p in model.named_parameters()}


def steps(model, optimizer, schedule, ticks, rank, world):
    for step in ticks:
        still = {n: p.to_local().clone() for n, p in model.named_parameters() if n in schedule.frozen}
        loss(model, batch(step, rank, world)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        assert all(torch.equal(dict(model.named_parameters())[n].to_local(), v) for n, v in still.items())
        schedule.verify()
        schedule.step()
        optimizer.zero_grad()
    return whole(model)


def train(rules, rank, world, **options):
    model = sharded(world, **options)
    return steps(model, *made(rules, model), range(6), rank, world)


def trained_in_half(rules, rank, world):
    """What moved over the run, with gathered parameters and gradients in bfloat16."""
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    model = sharded(world, mp_policy=policy)
    before = whole(model)
    after = steps(model, *made(rules, model), range(6), rank, world)
    return {name for name in before if not torch.equal(before[name], after[name])}


def adafactor(world):
    model = sharded(world)
    plan = resolve("optimizer adafactor\n** -> lr 1e-2\nhead -> optimizer adamw", model)
    return plan.schedule(model, plan.optimizer(model))


def schedule_then_shard(rank, world):
    """The optimizer holds whole parameters that fully_shard replaces."""
    model = layers()
    optimizer, schedule = made(PATTERNS["whole shard groups"], model)
    mesh = init_device_mesh("cpu", (world,))
    fully_shard(model, mesh=mesh)
    return steps(model, optimizer, schedule, range(1), rank, world)


def optimizer_then_shard(rank, world):
    model = layers()
    plan = resolve("** -> lr 1e-2", model)
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    fully_shard(model, mesh=init_device_mesh("cpu", (world,)))
    return plan.schedule(model, optimizer)


def flags_are_taken(world):
    model = sharded(world)
    _, schedule = made(PATTERNS["whole shard groups"], model)
    return {n for n, p in model.named_parameters() if not p.requires_grad} == schedule.frozen


def tampered(rank, world):
    """One rank's shard moves; that rank names the tensor, and the other finds nothing."""
    model = sharded(world)
    _, schedule = made(PATTERNS["whole shard groups"], model)
    if rank == 1:
        model.stem[0].weight.to_local().add_(1e-6)
    return schedule.verify()


def older_fsdp():
    model = FullyShardedDataParallel(layers(), device_id=torch.device("cpu"), use_orig_params=True)
    return made("** -> lr 1e-2\nfreeze stem until epoch 1", model)


def saved(rank, world, folder):
    """Three steps, a checkpoint, three more."""
    model = sharded(world)
    optimizer, schedule = made(RESUMED, model)
    steps(model, optimizer, schedule, range(3), rank, world)
    with schedule.thawed():
        weights, moments = get_state_dict(model, optimizer)
    dcp.save(
        {"model": weights, "optimizer": moments, "schedule": schedule.state_dict()}, checkpoint_id=folder
    )
    return steps(model, optimizer, schedule, range(3, 6), rank, world)


def loaded(rank, world, folder):
    model = sharded(world, seed=5)
    optimizer, schedule = made(RESUMED, model)
    with schedule.thawed():
        weights, moments = get_state_dict(model, optimizer)
        state = {"model": weights, "optimizer": moments, "schedule": schedule.state_dict()}
        dcp.load(state, checkpoint_id=folder)
        set_state_dict(
            model,
            optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
            options=StateDictOptions(strict=False),
        )
    schedule.load_state_dict(state["schedule"])
    assert schedule.last_epoch == 3
    return steps(model, optimizer, schedule, range(3, 6), rank, world)


def two_ranks(start, rank, world, folder):
    warnings.simplefilter("ignore")
    start()
    found = {name: outcome(lambda r=rules: train(r, rank, world)) for name, rules in PATTERNS.items()}
    kept = PATTERNS["mixed inside a shard group"]
    found["kept whole"] = outcome(lambda: train(kept, rank, world, reshard_after_forward=False))
    for name, rules in PATTERNS.items():
        found["half", name] = outcome(lambda r=rules: trained_in_half(r, rank, world))
    found["adafactor"] = outcome(lambda: adafactor(world))
    found["schedule, then shard"] = outcome(lambda: schedule_then_shard(rank, world))
    found["optimizer, then shard"] = outcome(lambda: optimizer_then_shard(rank, world))
    found["flags"] = outcome(lambda: flags_are_taken(world))
    found["tampered"] = outcome(lambda: tampered(rank, world))
    found["older"] = outcome(older_fsdp)
    found["saved"] = outcome(lambda: saved(rank, world, folder))
    found["loaded"] = outcome(lambda: loaded(rank, world, folder))
    return found


def one_rank(start, rank, world, folder):
    warnings.simplefilter("ignore")
    start()
    return {"loaded": outcome(lambda: loaded(rank, world, folder))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fsdp")


@pytest.fixture(scope="module")
def results(folder):
    return run(two_ranks, folder, 2, str(folder / "checkpoint"))


def close(found, expected):
    assert not isinstance(found, str), found
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("pattern", PATTERNS)
def test_sharded_training_equals_one_process(results, pattern):
    """Every pattern of freezing over shards gives what one process gives on the joined batch."""
    expected = alone(PATTERNS[pattern])
    for result in results:
        close(result[pattern], expected)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_units_that_were_frozen_thaw_under_mixed_precision(results, pattern):
    """fully_shard notes the gradients' dtype when it first runs, none for a frozen unit, which then could not thaw."""
    every = set(alone(PATTERNS[pattern]))
    for result in results:
        assert result["half", pattern] == every


def test_adafactor_over_shards_is_refused_by_name(results):
    """torch's own step fails there with words about placements; the refusal says what to choose."""
    for result in results:
        assert (
            "TrainingError: torch's Adafactor cannot step parameters that fully_shard" in result["adafactor"]
        )
        assert "stem.0.weight" in result["adafactor"]


def test_parameters_kept_whole_after_forward_are_no_replacement(results):
    """reshard_after_forward=False leaves other objects in the module for a while."""
    for result in results:
        close(result["kept whole"], alone(PATTERNS["mixed inside a shard group"]))


def test_flags_are_flipped_on_the_sharded_parameters(results):
    """Under FSDP2 freezing takes the flag, which saves the work, and does not only drop gradients."""
    assert all(result["flags"] is True for result in results)


@pytest.mark.parametrize("order", ["schedule, then shard", "optimizer, then shard"])
def test_an_optimizer_built_before_sharding_is_refused(results, order):
    """It would train nothing and say nothing; the error names the parameters and the order."""
    for result in results:
        assert "ModelMismatch" in result[order]
        assert "fully_shard" in result[order]
        assert "stem.0.weight" in result[order]


def test_each_rank_verifies_its_own_shards(results):
    """A shard that moved is named where it lies."""
    assert results[0]["tampered"] == 4
    assert "FrozenMoved" in results[1]["tampered"]
    assert "stem.0.weight" in results[1]["tampered"]


def test_the_older_fsdp_is_refused_with_the_way_out(results):
    """Flat parameters cannot be frozen in part."""
    for result in results:
        assert "TrainingError" in result["older"]
        assert "fully_shard" in result["older"]


def test_a_resumed_run_on_as_many_processes_ends_with_the_same_bits(results):
    """torch.distributed.checkpoint with everything thawed brings back every moment, frozen ones too."""
    for result in results:
        assert not isinstance(result["loaded"], str), result["loaded"]
        assert all(torch.equal(result["loaded"][n], v) for n, v in result["saved"].items())


def test_a_run_resumes_on_another_number_of_processes(results, folder):
    """A checkpoint of two processes goes on in one, to numerical tolerance."""
    expected = results[0]["saved"]
    assert not isinstance(expected, str), expected
    close(run(one_rank, folder, 1, str(folder / "checkpoint"))[0]["loaded"], expected)
