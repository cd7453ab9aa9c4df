"""DeepSpeed on real processes: what its ZeRO stages can carry out is right, and the rest is refused before a step."""

import importlib
import os
import traceback
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.torchvision_compat import with_torchvision

pytestmark = [
    pytest.mark.skipif(find_spec("deepspeed") is None, reason="see make test-frameworks"),
    pytest.mark.timeout(1200),  # every stage with one process and with two, before the first test
]

RULES = {
    "nothing frozen": "** -> lr 1e-2\n2 -> lr 2e-2",
    "frozen for ever": "** -> lr 1e-2\n2.bias -> lr 2e-2\nfreeze 0",
    "frozen, then thawed": "** -> lr 1e-2\nfreeze 0 until epoch 1",
    "frozen later": "** -> lr 1e-2\nfreeze 0 from epoch 1",
    "frozen by a metric": "** -> lr 1e-2\nfreeze 0 until loss stops falling for 1 epochs",
}
CONSTANT = ("nothing frozen", "frozen for ever")
STAGES = (0, 1, 2, 3)
TRAINERS = [
    *(("by rules", stage, "freeze bert.embeddings") for stage in STAGES),
    *(("by rules", stage, "freeze bert.embeddings until epoch 1") for stage in (0, 2, 3)),
    ("a pair", 0, "freeze bert.embeddings until epoch 1"),
    ("a pair", 2, "freeze bert.embeddings"),
]
STEPS = 12


def network(width=4):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2))


def batch(step, rank=0, world=1):
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(step)).chunk(world)[rank]


def built(rules, model):
    plan = layerlr.parse("schedule cosine\n" + rules).resolve(model, epochs=3, steps_per_epoch=4)
    optimizer = plan.optimizer(model)
    return optimizer, plan.schedule(model, optimizer)


def alone(rules):
    """The weights after each step without DeepSpeed, in one process."""
    model = network()
    optimizer, schedule = built(rules, model)
    seen = []
    for step in range(STEPS):
        model(batch(step)).square().mean().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        seen.append([p.detach().clone() for p in model.parameters()])
    return seen


# ---------------------------------------------------------------- in the processes of a run


def configuration(stage, world, **more):
    return {
        "train_micro_batch_size_per_gpu": 8 // world,
        "zero_optimization": {"stage": stage},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        **more,
    }


def whole(model, stage):
    import deepspeed

    if stage < 3:
        return [p.detach().clone() for p in model.parameters()]
    with deepspeed.zero.GatheredParameters(list(model.parameters())):
        return [p.detach().clone() for p in model.parameters()]


def train(engine, schedule, start, stop, rank, world, stage):
    seen = []
    for step in range(start, stop):
        loss = engine(batch(step, rank, world)).square().mean()
        engine.backward(loss)
        engine.step()
        schedule.verify()
        seen.append(whole(engine.module, stage))
    return seen


def engine_for(rules, stage, world, model=None, **more):
    import deepspeed

    model = network() if model is None else model
    optimizer, schedule = built(rules, model)
    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=optimizer,
        lr_scheduler=schedule,
        config=configuration(stage, world, **more),
    )
    return engine, schedule


def trained(rules, stage, rank, world):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        engine, schedule = engine_for(rules, stage, world)
        seen = train(engine, schedule, 0, STEPS, rank, world, stage)
    ours = [str(w.message) for w in caught if w.category.__module__.startswith("layerlr")]
    rates = {group["name"]: group["lr"] for group in schedule.optimizer.param_groups}
    return seen, rates, schedule.last_epoch, ours


def resumed(stage, rank, world, folder):
    """The weights at the end of a run, and of one that was saved by the engine and loaded in its middle."""
    rules = RULES["frozen for ever"]
    engine, schedule = engine_for(rules, stage, world)
    train(engine, schedule, 0, 6, rank, world, stage)
    engine.save_checkpoint(folder)
    expected = train(engine, schedule, 6, STEPS, rank, world, stage)[-1]
    again, clock = engine_for(rules, stage, world)
    again.load_checkpoint(folder)
    assert clock.last_epoch == 6
    return expected, train(again, clock, 6, STEPS, rank, world, stage)[-1]


def initialized_first(rules, stage, rank, world):
    import deepspeed

    model = network()
    plan = layerlr.parse("schedule cosine\n" + rules).resolve(model, epochs=3, steps_per_epoch=4)
    optimizer = plan.optimizer(model)
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=configuration(stage, world))
    schedule = plan.schedule(engine, optimizer)
    for step in range(STEPS):
        engine.backward(engine(batch(step, rank, world)).square().mean())
        engine.step()
        schedule.step()
    return [whole(model, stage)], {group["name"]: group["lr"] for group in optimizer.param_groups}


def partitioned_from_the_start(rank, world):
    """ZeRO 3 that partitions the weights as the model is made: rules look at their whole shapes."""
    import deepspeed

    with deepspeed.zero.Init(config_dict_or_path=configuration(3, world)):
        model = network()
    rules = (
        "** -> lr 1e-2\n** where ndim == 1 -> weight_decay 0\n** where numel >= 16 -> lr 2e-2\nfreeze 0.bias"
    )
    engine, schedule = engine_for(rules, 3, world, model)
    train(engine, schedule, 0, 2, rank, world, 3)
    return {
        n: (g["lr"], g["weight_decay"]) for g in schedule.optimizer.param_groups for n in g["param_names"]
    }


def several(stage, rank, world):
    rules = "** -> lr 1e-2\n0.weight -> optimizer muon(lr=0.02)"
    engine, schedule = engine_for(rules, stage, world)
    return train(engine, schedule, 0, STEPS, rank, world, stage)


def with_trainer(kind, stage, rules, folder):
    """Which parameters a Trainer of transformers has moved under DeepSpeed, with the schedule's warnings."""
    with_torchvision(lambda: importlib.import_module("torchvision"))
    import transformers

    from layerlr_dsl.training import transformers as ours

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(transformers.BertConfig(vocab_size=10, **sizes))
    rows = [{"input_ids": [1, 2, 3, i % 7], "labels": i % 2} for i in range(16)]
    args = transformers.TrainingArguments(
        folder,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        num_train_epochs=2,
        per_device_train_batch_size=4,
        deepspeed=configuration(stage, 2),
    )
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    rules = layerlr.parse(f"schedule linear\n** -> lr 1e-2\n{rules}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if kind == "by rules":
            trainer = ours.LayerTrainer(model, args, train_dataset=rows, rules=rules)
        else:
            pair = ours.optimizers(rules, model, args, rows)
            trainer = transformers.Trainer(model, args, train_dataset=rows, optimizers=pair)
        trainer.train()
    told = [str(w.message) for w in caught if w.category.__module__.startswith("layerlr")]
    return {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}, told


def outcome(call):
    try:
        return call()
    except Exception as fault:
        return f"{type(fault).__name__}: {fault}\n{traceback.format_exc()}"


def work(rank, world, folder):
    os.environ.update(
        DS_ACCELERATOR="cpu",
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT="29541",
    )
    torch.set_num_threads(1)
    import logging

    logging.disable(logging.WARNING)
    torch.distributed.init_process_group("gloo", f"file://{folder}/store{world}", rank=rank, world_size=world)
    import deepspeed

    # Compiling it takes minutes, and a run that was killed leaves a lock that the next waits at for ever.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="gloo")
    found = {}
    for stage in STAGES:
        for name, rules in RULES.items():
            found[stage, name] = outcome(lambda r=rules, s=stage: trained(r, s, rank, world))
        place = f"{folder}/checkpoint-{stage}-{world}"
        found["resumed", stage] = outcome(lambda s=stage, p=place: resumed(s, rank, world, p))
        found["several", stage] = outcome(lambda s=stage: several(s, rank, world))
        for name in CONSTANT:
            found["late", stage, name] = outcome(
                lambda s=stage, n=name: initialized_first(RULES[n], s, rank, world)
            )
    found["partitioned"] = outcome(lambda: partitioned_from_the_start(rank, world))
    if world == 1:
        for kind, stage, rules in TRAINERS:
            found["trainer", kind, stage, rules] = outcome(
                lambda k=kind, s=stage, r=rules: with_trainer(k, s, r, folder)
            )
    torch.save(found, f"{folder}/{world}.{rank}.pt")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deepspeed")
    for world in (1, 2):
        mp.spawn(work, (world, str(folder)), nprocs=world)
    return {
        world: [torch.load(Path(folder, f"{world}.{rank}.pt"), weights_only=False) for rank in range(world)]
        for world in (1, 2)
    }


@pytest.fixture(scope="module")
def expected():
    return {name: alone(rules) for name, rules in RULES.items() if "metric" not in name}


def close(found, wanted):
    assert not isinstance(found, str), found
    for step, (mine, theirs) in enumerate(zip(found, wanted, strict=True)):
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda m, s=step: f"step {s}: {m}")


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("name", [name for name in RULES if "metric" not in name])
def test_stage_0_carries_out_everything(results, expected, name, world):
    """Freezing, thawing and rates are those of a plain loop, step by step, and nothing is warned of."""
    for result in results[world]:
        assert not isinstance(result[0, name], str), result[0, name]
        seen, _, steps, warned = result[0, name]
        close(seen, expected[name])
        assert (steps, warned) == (STEPS, [])


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("name", CONSTANT)
def test_stages_1_to_3_carry_out_what_stays_frozen(results, expected, name, stage, world):
    """Flags are set before DeepSpeed copies what trains; rates differ by group, and frozen weights stand still."""
    for result in results[world]:
        assert not isinstance(result[stage, name], str), result[stage, name]
        seen, rates, steps, warned = result[stage, name]
        close(seen, expected[name])
        assert (steps, warned) == (STEPS, [])
        assert len(rates) == 2


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("name", [name for name in RULES if name not in CONSTANT])
def test_stages_1_to_3_refuse_what_changes_before_a_step(results, name, stage, world):
    """What froze would go on moving, what thawed would never train; the reason and the ways out are named."""
    for result in results[world]:
        text = result[stage, name]
        assert isinstance(text, str)
        assert text.startswith("TrainingError: the optimizer steps copies of the parameters")
        assert "freeze or thaw 0 in mid-run" in text
        assert "ZeRO stage 0" in text
        assert "in _begin" in text  # ahead of the first forward pass


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_resumes_from_the_engines_own_checkpoint(results, stage, world):
    """With layers frozen for ever: moments, clock and rates come back."""
    for result in results[world]:
        assert not isinstance(result["resumed", stage], str), result["resumed", stage]
        wanted, found = result["resumed", stage]
        close([found], [wanted])


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_schedule_that_comes_too_late_to_freeze_is_refused(results, stage, world):
    """The copies were made with everything in them; where nothing freezes, the rates are driven all the same."""
    for result in results[world]:
        text = result["late", stage, "frozen for ever"]
        assert isinstance(text, str)
        assert "Call plan.schedule(model, optimizer) first" in text
        assert not isinstance(result["late", stage, "nothing frozen"], str), result[
            "late", stage, "nothing frozen"
        ]
        _, rates = result["late", stage, "nothing frozen"]
        assert rates == result[stage, "nothing frozen"][1]


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("name", CONSTANT)
def test_a_schedule_may_come_late_at_stage_0(results, expected, name, world):
    """There the optimizer goes on holding the model's own parameters."""
    for result in results[world]:
        assert not isinstance(result["late", 0, name], str), result["late", 0, name]
        close(result["late", 0, name][0], expected[name][-1:])


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("stage", STAGES)
def test_several_optimizers_are_right_or_refused(results, stage, world):
    """Stage 0 steps them as they are; the others step groups of one optimizer one by one."""
    for result in results[world]:
        found = result["several", stage]
        if stage:
            assert isinstance(found, str)
            assert "the rules ask for several" in found
        else:
            close(found, alone("** -> lr 1e-2\n0.weight -> optimizer muon(lr=0.02)"))


@pytest.mark.parametrize("world", [1, 2])
def test_weights_that_are_partitioned_from_the_start_have_their_shapes(results, world):
    """ZeRO 3 leaves tensors without elements, which `ndim` and `numel` must not be misled by."""
    for result in results[world]:
        found = result["partitioned"]
        assert not isinstance(found, str), found
        assert {name: decay for name, (_, decay) in found.items()} == {
            "0.weight": 0.01,
            "2.weight": 0.01,
            "2.bias": 0.0,
        }
        assert found["0.weight"][0] == pytest.approx(2 * found["2.weight"][0])


@pytest.mark.parametrize("stage", STAGES)
def test_a_trainer_by_rules_keeps_what_is_frozen_for_ever(results, stage):
    """The flags are set before it hands the model to DeepSpeed."""
    found = results[1][0]["trainer", "by rules", stage, "freeze bert.embeddings"]
    assert not isinstance(found, str), found
    moved, told = found
    assert "classifier.weight" in moved
    assert not any(name.startswith("bert.embeddings") for name in moved)
    assert told == []


def test_a_trainer_by_rules_thaws_at_stage_0_and_is_refused_at_others(results):
    """What the stages can carry out is the same as without a Trainer."""
    thawing = "freeze bert.embeddings until epoch 1"
    moved, told = results[1][0]["trainer", "by rules", 0, thawing]
    assert any(name.startswith("bert.embeddings") for name in moved)
    assert told == []
    for stage in (2, 3):
        assert "in mid-run" in results[1][0]["trainer", "by rules", stage, thawing]


@pytest.mark.parametrize("place", [place for place in TRAINERS if place[0] == "a pair"])
def test_a_pair_that_a_trainer_drops_is_refused(results, place):
    """Under DeepSpeed a Trainer makes an optimizer and a scheduler of its own without a word, whatever it was given."""
    text = results[1][0][("trainer", *place)]
    assert isinstance(text, str)
    assert "LayerTrainer" in text
    assert "in _begin" in text  # ahead of the first forward pass
