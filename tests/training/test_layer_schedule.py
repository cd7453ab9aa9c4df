"""LayerSchedule as a torch LRScheduler: the clock, the rates, its state, and how loops call it."""

import copy
import io
import math
import pickle
import sys
import warnings

import pytest
import torch
from nets import Stack, images, moved, resolve, seeded, snapshot
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.nn.utils import prune

import layerlr_dsl as layerlr
from layerlr_dsl.training.errors import ModelMismatch, ScheduleWarning, TrainingError
from layerlr_dsl.training.schedule import LayerSchedule

GRADUAL = """
optimizer adamw(weight_decay=0.05)
schedule cosine(warmup=2 steps, floor=0.1)
** -> lr 1e-3
head -> lr 1e-2
freeze stem
freeze mid until epoch 2 warmup 1 epochs
"""


def made(rules, model=None, epochs=4, steps=2, optimizer=None):
    model = model or seeded()
    plan = resolve(rules, model, epochs, steps)
    optimizer = optimizer or torch.optim.AdamW(plan.param_groups(model), lr=1e-3)
    return plan, model, optimizer, plan.schedule(model, optimizer)


def rates(optimizer):
    return {name: g["lr"] for g in optimizer.param_groups for name in g["param_names"]}


def test_it_is_a_real_lr_scheduler():
    """Frameworks check with isinstance and read last_epoch, base_lrs, _last_lr and get_last_lr."""
    _, _, optimizer, schedule = made(GRADUAL)
    assert isinstance(schedule, torch.optim.lr_scheduler.LRScheduler)
    assert isinstance(schedule, LayerSchedule)
    assert schedule.last_epoch == 0
    assert schedule.optimizer is optimizer
    assert len(schedule.base_lrs) == len(optimizer.param_groups)
    assert schedule.get_last_lr() == schedule._last_lr == [g["lr"] for g in optimizer.param_groups]


def test_rates_and_freezing_follow_the_plan_at_every_step():
    """At each step the live groups stand where plan.at says, warm-ups included, drawn without training."""
    plan, model, optimizer, schedule = made(GRADUAL)
    for step in range(9):
        expected = plan.at(step=step)
        for name, rate in rates(optimizer).items():
            if not name.startswith("stem"):
                assert rate == pytest.approx(expected[name]["lr"], rel=1e-12, abs=1e-15), (step, name)
        assert {n for n, p in model.named_parameters() if not p.requires_grad} == {
            n for n, options in expected.items() if options["frozen"]
        }
        schedule.step()


def test_construction_applies_the_first_tick():
    """Before any step the first rate is set and what starts frozen is frozen."""
    _, model, optimizer, _ = made(GRADUAL)
    assert {rates(optimizer)[n] for n in ("head.weight", "head.bias")} == {0.0}
    assert not model.stem[0].weight.requires_grad
    assert model.head.weight.requires_grad


def test_until_epoch_two_trains_from_epoch_two():
    """Windows are half open: epochs 0 and 1 are frozen, epoch 2 trains."""
    _, model, _, schedule = made("** -> lr 1e-3\nfreeze mid until epoch 2", steps=3)
    seen = []
    for _ in range(12):
        seen.append(model.mid[0].weight.requires_grad)
        schedule.step()
    assert seen == [False] * 6 + [True] * 6


def test_without_steps_per_epoch_a_step_is_an_epoch():
    """The clock counts what it was resolved for."""
    _, model, _, schedule = made("** -> lr 1e-3\nfreeze mid until epoch 2", steps=None)
    seen = []
    for _ in range(4):
        seen.append(model.mid[0].weight.requires_grad)
        schedule.step()
    assert seen == [False, False, True, True]


def test_epoch_argument_jumps():
    """step(epoch) puts everything where it is at that tick, forwards and back."""
    _, model, _, schedule = made("** -> lr 1e-3\nfreeze mid until epoch 2")
    schedule.step(6)
    assert schedule.last_epoch == 6
    assert model.mid[0].weight.requires_grad
    schedule.step(1)
    assert not model.mid[0].weight.requires_grad


def test_lr_is_left_alone_where_the_file_gives_no_schedule():
    """A rate set by hand stays: only a schedule or a window writes lr."""
    _, _, optimizer, schedule = made("** -> lr 1e-3\nfreeze mid until epoch 2")
    optimizer.param_groups[0]["lr"] = 0.123
    for _ in range(8):
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.123


def test_a_window_moves_lr_and_weight_decay_and_gives_them_back():
    """At its opening and its end a window's options are written, at no other time."""
    rules = "** -> lr 1e-3, weight_decay 0.1\nhead -> lr 5e-3, weight_decay 0 from epoch 1 until epoch 2"
    _, _, optimizer, schedule = made(rules)
    seen = []
    for _ in range(6):
        group = next(g for g in optimizer.param_groups if "head.weight" in g["param_names"])
        seen.append((group["lr"], group["weight_decay"]))
        schedule.step()
    assert seen == [(1e-3, 0.1)] * 2 + [(5e-3, 0)] * 2 + [(1e-3, 0.1)] * 2


def test_a_scaled_window_scales_the_users_own_rate():
    """`lr *= 0.5` over a rate that only the user's optimizer knows multiplies that rate."""
    model = seeded()
    plan = resolve("head -> lr *= 0.5 until epoch 1", model)
    optimizer = torch.optim.AdamW(plan.param_groups(model), lr=0.08)
    schedule = plan.schedule(model, optimizer)
    assert rates(optimizer)["head.weight"] == pytest.approx(0.04)
    schedule.step()
    schedule.step()
    assert rates(optimizer)["head.weight"] == pytest.approx(0.08)
    assert rates(optimizer)["mid.0.weight"] == pytest.approx(0.08)


def test_a_thaw_warmup_without_a_schedule_ramps_to_the_rate_and_stays():
    """What thaws starts at 0, climbs in equal parts, and ends exactly at its own rate."""
    _, _, optimizer, schedule = made("** -> lr 1e-3\nfreeze mid until epoch 1 warmup 4 steps", epochs=8)
    seen = []
    for _ in range(10):
        seen.append(rates(optimizer)["mid.0.weight"])
        schedule.step()
    assert seen == pytest.approx([1e-3, 1e-3, 0, 2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3, 1e-3, 1e-3])


def test_state_is_plain_data_and_resumes_exactly():
    """state_dict survives torch.save and weights_only loading; a resumed schedule goes on as if never stopped."""
    _, _, whole_optimizer, whole = made(GRADUAL)
    _, _, _, first = made(GRADUAL)
    for _ in range(5):
        whole.step()
        first.step()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    _, model, optimizer, resumed = made(GRADUAL)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(4):
        assert rates(optimizer) == rates(whole_optimizer)
        assert resumed.frozen == whole.frozen
        assert resumed.last_epoch == whole.last_epoch
        resumed.step()
        whole.step()
    assert model.mid[0].weight.requires_grad


@pytest.mark.parametrize(("steps", "tick"), [(4, 12), (1, 3), (None, 3)])
def test_a_run_resumes_in_its_epoch_though_the_steps_of_an_epoch_changed(steps, tick):
    """Another batch size or number of processes makes other steps; what was epoch 3 is epoch 3."""
    _, _, _, first = made(GRADUAL)
    for _ in range(6):
        first.step()
    model = seeded()
    plan = resolve("** -> lr 1e-3\nfreeze stem until epoch 3\nfreeze mid until epoch 4", model, 5, steps)
    resumed = plan.schedule(model, torch.optim.AdamW(plan.param_groups(model)))
    resumed.load_state_dict(first.state_dict())
    assert resumed.last_epoch == tick
    assert {name.split(".")[0] for name in resumed.frozen} == {"mid"}


def test_a_foreign_state_is_refused():
    """The state of another scheduler is an error, not a silent reset."""
    _, _, _, schedule = made(GRADUAL)
    with pytest.raises(ValueError, match="no state of a layerlr schedule"):
        schedule.load_state_dict({"last_epoch": 3, "_step_count": 4})


def test_rates_are_written_to_the_groups_that_loading_puts_in_place():
    """optimizer.load_state_dict replaces the group dicts; a reference kept from before would go stale."""
    _, _, optimizer, schedule = made(GRADUAL)
    optimizer.load_state_dict(optimizer.state_dict())
    schedule.step()
    schedule.step()
    assert rates(optimizer)["head.weight"] == pytest.approx(1e-2)


def test_tensor_rates_are_filled_in_place_and_not_shared():
    """A tensor lr given as the default is one object in all groups; each gets its own, and keeps it."""
    model = seeded(Stack)
    plan = resolve("schedule cosine\nlayers.0 -> weight_decay 0.1\nlayers.1 -> weight_decay 0.2", model)
    optimizer = torch.optim.AdamW(plan.param_groups(model), lr=torch.tensor(0.1), foreach=False)
    schedule = plan.schedule(model, optimizer)
    tensors = [g["lr"] for g in optimizer.param_groups]
    assert len({id(t) for t in tensors}) == len(tensors) == 3
    for _ in range(4):
        schedule.step()
    assert all(g["lr"] is t for g, t in zip(optimizer.param_groups, tensors, strict=True))
    assert [float(t) for t in tensors] == pytest.approx([0.05] * 3)
    last = schedule.get_last_lr()
    last[0].zero_()
    assert float(tensors[0]) == pytest.approx(0.05)


def test_a_simulation_without_training_advances_quietly():
    """People draw schedules by calling step() alone; that must neither stall nor warn."""
    _, _, _, schedule = made(GRADUAL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(8):
            schedule.step()
    assert schedule.last_epoch == 8


def test_real_optimizer_steps_are_not_counted():
    """get_optimizer_state_dict takes a real optimizer step; the clock must not move by it."""
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    _, model, optimizer, schedule = made("** -> lr 1e-3\nfreeze mid until step 1")
    before = snapshot(model)
    get_optimizer_state_dict(model, optimizer)
    assert schedule.last_epoch == 0
    assert moved(before, model) == set()
    assert not model.mid[0].weight.requires_grad


def test_a_training_parameter_missing_from_the_optimizer_is_named():
    """Filtered out when the optimizer was built, it would never train and its gradient would grow for ever."""
    model = seeded()
    plan = resolve("** -> lr 1e-3\nfreeze mid until epoch 2", model)
    for parameter in model.mid.parameters():
        parameter.requires_grad_(False)
    optimizer = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)
    with pytest.raises(ModelMismatch, match=r"mid\.0\.weight, mid\.0\.bias.*plan\.param_groups"):
        plan.schedule(model, optimizer)


def test_options_that_the_own_optimizer_lacks_are_named():
    """torch takes any key in a group and says nothing; betas mean nothing to SGD."""
    model = seeded(Stack)
    plan = resolve("** -> lr 1e-2, betas (0.8, 0.9), weight_decay 0.1", model)
    with pytest.warns(ScheduleWarning, match="SGD has no betas, which the rules give") as caught:
        plan.schedule(model, torch.optim.SGD(plan.param_groups(model)))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan.schedule(model, torch.optim.AdamW(plan.param_groups(model)))


def test_parameters_replaced_before_the_schedule_are_named():
    """to_empty after the optimizer was built leaves it with dead objects."""
    with torch.device("meta"):
        model = Stack()
    plan = resolve("** -> lr 1e-3", model)
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    model.to_empty(device="cpu")
    with pytest.raises(ModelMismatch, match=r"layers\.0\.weight.*to_empty"):
        plan.schedule(model, optimizer)


def test_a_layer_put_in_the_place_of_another_is_named():
    """A new head in mid-run is in no group, and would never train; no boundary of freezing is near."""
    model = seeded(Stack)
    plan = resolve("** -> lr 1e-3", model)
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    schedule = plan.schedule(model, optimizer)
    for _ in range(2):
        model(torch.randn(2, 4)).sum().backward()
        optimizer.step()
        schedule.step()
    model.layers[2] = torch.nn.Linear(4, 4, bias=False)
    model(torch.randn(2, 4)).sum().backward()
    before = snapshot(model)
    with pytest.raises(ModelMismatch, match=r"layers\.2\.weight.*another object"):
        optimizer.step()
    assert moved(before, model) == set()


def test_pruning_in_mid_run_renames_a_parameter_and_does_not_replace_it():
    """torch's prune leaves the same object as weight_orig, which the optimizer goes on training."""
    model = seeded(Stack)
    plan = resolve("** -> lr 1e-3\nfreeze layers.0 until epoch 1", model)
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    schedule = plan.schedule(model, optimizer)
    for layer in model.layers:
        prune.l1_unstructured(layer, "weight", 0.5)
    for tick in range(4):
        before = snapshot(model)
        model(torch.randn(2, 4)).sum().backward()
        optimizer.step()
        assert ("layers.0.weight_orig" in moved(before, model)) == (tick >= 2)
        assert schedule.verify() == (1 if tick < 2 else 0)
        schedule.step()


def test_wrapping_a_layer_in_mid_run_replaces_no_parameter():
    """A wrapper that comes between changes no name and no object."""
    model = seeded(Stack)
    plan = resolve("** -> lr 1e-3\nfreeze layers.0", model)
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    schedule = plan.schedule(model, optimizer)
    model.layers[1] = checkpoint_wrapper(model.layers[1])
    before = snapshot(model)
    model(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    assert moved(before, model) == {"layers.1.weight", "layers.2.weight"}
    assert schedule.verify() == 1


@pytest.mark.parametrize("when", ["step", "verify", "in mid-run"])
def test_parameters_replaced_after_the_schedule_are_named(when):
    """load_state_dict(assign=True) replaces parameters behind the optimizer's back."""
    model = seeded(Stack)
    plan = resolve("** -> lr 1e-3\nfreeze layers.0", model)
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    schedule = plan.schedule(model, optimizer)
    for _ in range(3 if when == "in mid-run" else 0):
        model(torch.randn(2, 4)).sum().backward()
        optimizer.step()
        schedule.step()
    model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()}, assign=True)
    if when == "verify":
        with pytest.raises(ModelMismatch, match=r"layers\.1\.weight"):
            schedule.verify()
        return
    model(torch.randn(2, 4)).sum().backward()
    before = snapshot(model)
    with pytest.raises(ModelMismatch, match=r"layers\.1\.weight"):
        optimizer.step()
    assert moved(before, model) == set()


def test_an_optimizer_that_was_given_the_new_parameters_goes_on():
    """accelerate swaps parameters in the optimizer when it shards; then the new objects are frozen instead."""
    model = seeded(Stack)
    plan = resolve("** -> lr 1e-3\nfreeze layers.0 until epoch 1", model)
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    schedule = plan.schedule(model, optimizer)
    model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()}, assign=True)
    for group in optimizer.param_groups:
        group["params"] = [dict(model.named_parameters())[name] for name in group["param_names"]]
    model.requires_grad_(True)
    before = snapshot(model)
    model(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    schedule.step()
    assert moved(before, model) == {"layers.1.weight", "layers.2.weight"}
    assert not model.layers[0].weight.requires_grad
    schedule.step()
    assert model.layers[0].weight.requires_grad


def test_parameters_that_the_plan_does_not_know_are_left_alone():
    """A group the user adds of his own keeps its rate and its flag."""
    model = seeded(Stack)
    plan = resolve("schedule cosine\n** -> lr 1e-3", model)
    own = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    optimizer = torch.optim.AdamW(
        [*plan.param_groups(model), {"params": [own], "param_names": ["own"], "lr": 0.7}]
    )
    schedule = plan.schedule(model, optimizer)
    for _ in range(8):
        schedule.step()
    assert optimizer.param_groups[-1]["lr"] == 0.7
    assert not own.requires_grad


def test_layers_that_came_after_the_rules_are_named():
    """A deeper model than was resolved trains without its last layer: said, unless the user holds it himself."""
    plan = resolve("** -> lr 1e-3", seeded(Stack))
    model = seeded(Stack)
    model.layers.append(torch.nn.Linear(2, 2))
    optimizer = plan.optimizer(model)
    with pytest.warns(
        ScheduleWarning, match=r"layers\.3\.weight, layers\.3\.bias: the model has them"
    ) as told:
        plan.schedule(model, optimizer)
    assert told[0].filename == __file__
    optimizer.add_param_group({"params": list(model.layers[3].parameters()), "lr": 0.1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan.schedule(model, optimizer)
        model.layers[3].requires_grad_(False)
        plan.schedule(model, plan.optimizer(model))


def test_one_group_for_everything_is_enough_where_only_freezing_is_asked_for():
    """A file of freezes works with AdamW(model.parameters()); one of rates does not, and the error says why."""
    model = seeded()
    plan = resolve("freeze stem\nfreeze mid until epoch 1", model)
    schedule = plan.schedule(model, torch.optim.AdamW(model.parameters(), lr=0.1))
    assert "mid.0.weight" in schedule.frozen
    layered = resolve("** -> lr 1e-3\nhead -> lr 1e-2", model)
    with pytest.raises(ModelMismatch, match=r"mixes parameters.*plan\.param_groups"):
        layered.schedule(model, torch.optim.AdamW(model.parameters(), lr=0.1))


def test_an_option_that_the_users_optimizer_lacks_is_named():
    """A window over betas cannot be carried out by SGD."""
    model = seeded()
    plan = resolve("** -> lr 1e-3\nhead -> betas (0.8, 0.9) from epoch 1", model)
    groups = [{k: v for k, v in g.items() if k != "betas"} for g in plan.param_groups(model)]
    with pytest.warns(ScheduleWarning, match="SGD has no betas"):
        schedule = plan.schedule(model, torch.optim.SGD(groups, lr=0.1))
    schedule.step()
    with pytest.raises(ModelMismatch, match=r"betas of group .*no such option"):
        schedule.step()


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_a_copied_run_trains_and_freezes_like_the_original(how):
    """deepcopy and pickle drop optimizer hooks; the copy must still hold what is frozen."""
    _, model, optimizer, schedule = made("** -> lr 1e-3\nfreeze mid until epoch 1\nfreeze stem", steps=3)
    model(images()).sum().backward()
    optimizer.step()
    schedule.step()
    run = (model, optimizer, schedule)
    model, optimizer, schedule = copy.deepcopy(run) if how == "deepcopy" else pickle.loads(pickle.dumps(run))
    assert schedule.optimizer is optimizer
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 100.0)
    before = snapshot(model)
    model.train()
    model(images())
    optimizer.step()
    assert moved(before, model) == {n for n in before if n.startswith(("attention", "head"))}
    schedule.step()
    schedule.step()
    assert model.mid[0].weight.requires_grad
    assert model.mid[1].training
    assert run[0].mid[0].weight.requires_grad is False


def test_the_schedule_does_not_keep_the_optimizer_in_a_cycle():
    """The hooks on the optimizer refer to the schedule weakly, so both go when the last reference does."""
    import weakref

    _, _, optimizer, schedule = made(GRADUAL)
    alive = weakref.ref(schedule)
    del schedule
    assert alive() is None
    optimizer.step()


def test_the_last_rate_of_a_run_is_never_negative_or_nan():
    """Past the end of the run rates stay finite."""
    _, _, optimizer, schedule = made(GRADUAL)
    for _ in range(40):
        schedule.step()
    assert all(math.isfinite(rate) and rate >= 0 for rate in rates(optimizer).values())


@pytest.mark.parametrize("tensors", [False, True], ids=["numbers", "tensor rates"])
def test_a_step_reads_nothing_back_from_a_tensor(tensors):
    """Reading a value is what makes a host wait for a GPU; neither between boundaries nor at them is there one."""
    from layerlr_dsl.training.compiling import tensor_rates

    _, model, optimizer, schedule = made(GRADUAL)
    if tensors:
        tensor_rates(optimizer)
        schedule.step(0)
    for seed in range(6):
        model(images(seed)).sum().backward()
        optimizer.step()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            schedule.step()
        optimizer.zero_grad()
        names = {event.name for event in profile.events()}
        assert not names & {"aten::item", "aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal"}


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        ("** -> lr 1e-2\nfreeze mid from epoch 1", "change later what is frozen"),
        ("** -> lr 1e-2\nfreeze mid until loss stops falling for 1 epochs", "change later what is frozen"),
        ("schedule cosine\n** -> lr 1e-2", "tensor_rates"),
        ("** -> lr 1e-2\nhead -> lr 1 from epoch 1\nfreeze mid", None),
    ],
)
def test_a_cuda_graph_of_the_step_is_refused_where_it_would_outlive_its_phase(rules, refused):
    """A captured step repeats what it was captured with; what the rules change later is an error at capture."""
    _, _, _, schedule = made(rules)
    captured = schedule._freezer.guard.captured
    if refused is None:
        assert captured()
    else:
        with pytest.raises(TrainingError, match=refused):
            captured()


def test_lazy_parameters_freeze_before_they_have_a_shape():
    """A lazy layer is frozen when the schedule is made, and takes its shape at the first forward pass."""
    model = torch.nn.Sequential(torch.nn.LazyLinear(4), torch.nn.LazyBatchNorm1d(), torch.nn.Linear(4, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan = resolve("** -> lr 1e-2\nfreeze 0, 1 until epoch 1", model)
        optimizer = torch.optim.AdamW(plan.param_groups(model))
        schedule = plan.schedule(model, optimizer)
        model(torch.randn(3, 5))
    before = snapshot(model)
    model.train()
    model(torch.randn(3, 5)).sum().backward()
    optimizer.step()
    schedule.verify()
    assert moved(before, model) == {"2.weight", "2.bias"}


def test_parametrized_weights_freeze_under_their_originals():
    """weight_norm keeps two tensors in place of one; naming the layer freezes both."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    torch.nn.utils.parametrizations.weight_norm(model[0])
    _, _, optimizer, schedule = made("** -> lr 1e-2\nfreeze 0 until epoch 1", model)
    assert "0.parametrizations.weight.original0" in schedule.frozen
    before = snapshot(model)
    model(torch.randn(3, 4)).sum().backward()
    optimizer.step()
    assert moved(before, model) == {"1.weight", "1.bias"}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda rules: pickle.loads(pickle.dumps(rules))])
def test_rules_travel_to_other_processes(copied):
    """A spawned trainer pickles the module that holds them; they resolve there as they do here."""
    rules = layerlr.parse("** -> lr 1e-3\nlayers.<i> -> lr 1e-2 * i\nfreeze layers.0 until epoch 1")
    here, there = (one.resolve(seeded(Stack), epochs=2) for one in (rules, copied(rules)))
    assert there.to_json() == here.to_json()
    assert copied(here).at(epoch=1) == here.at(epoch=1)


@pytest.mark.parametrize("warmup", ["warmup=5%", ""])
def test_a_step_between_two_changes_calls_little(warmup):
    """Every step of training pays for it: nothing is asked that only some schedules need."""
    model = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(7)))
    rules = f"schedule cosine({warmup})\n" + "".join(f"{i} -> lr {i + 1}e-4\n" for i in range(7))
    plan = layerlr.parse(rules).resolve(model, epochs=100, steps_per_epoch=100)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    optimizer.step()
    for _ in range(20):
        schedule.step()
    calls = []
    before = sys.getprofile()
    sys.setprofile(
        lambda frame, event, argument: calls.append(event) if event in ("call", "c_call") else None
    )
    try:
        schedule.step()
    finally:
        sys.setprofile(before)
    assert len(calls) <= 16  # some are for loops of others, where those are imported
