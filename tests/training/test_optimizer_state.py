"""Optimizer state is loaded by parameter name: it survives other groups and edited rules."""

import copy
import io

import pytest
import torch
from nets import Net, images, resolve, seeded
from torch import nn

from layerlr_dsl.training.errors import ModelMismatch, StateNotCarried

BROAD = "** -> lr 1e-3, weight_decay 0.1\nfreeze stem until epoch 1"
# The same parameters in more groups and another order: the head comes first where it was last.
FINE = """
** -> lr 1e-3, weight_decay 0.1
** where ndim <= 1 -> weight_decay 0
head -> lr 1e-2
attention -> lr 5e-3
freeze stem until epoch 1
"""


def made(rules, make=torch.optim.AdamW, seed=0, **settings):
    model = seeded(Net, seed)
    plan = resolve(rules, model)
    optimizer = make(plan.param_groups(model), **{"lr": 1e-2, **settings})
    return model, optimizer, plan.schedule(model, optimizer)


def train(model, optimizer, schedule, steps=3):
    for seed in range(steps):
        model(images(seed)).square().sum().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def by_name(optimizer):
    return {
        name: optimizer.state[p]
        for group in optimizer.param_groups
        for name, p in zip(group["param_names"], group["params"], strict=True)
        if optimizer.state.get(p)
    }


def same_state(left, right):
    left, right = by_name(left), by_name(right)
    assert left.keys() == right.keys()
    for name, state in left.items():
        assert state.keys() == right[name].keys()
        assert all(
            torch.equal(torch.as_tensor(v), torch.as_tensor(right[name][k])) for k, v in state.items()
        ), name
    return True


@pytest.mark.parametrize(("old", "new"), [(BROAD, FINE), (FINE, BROAD)], ids=["split", "merged"])
def test_state_follows_the_names_when_groups_change(old, new):
    """Splitting, merging and reordering groups leaves every moment with its own parameter."""
    model, optimizer, schedule = made(old)
    train(model, optimizer, schedule)
    _, resumed, _ = made(new)
    resumed.load_state_dict(optimizer.state_dict())
    assert same_state(optimizer, resumed)
    assert len(resumed.param_groups) != len(optimizer.param_groups)


def test_reordered_groups_of_equal_size_do_not_swap_their_state():
    """Where shapes agree, loading by position would swap moments without a word."""
    model = nn.Module()
    model.a, model.b = nn.Linear(3, 3), nn.Linear(3, 3)
    optimizers = []
    for rules in ("a -> lr 1e-3\nb -> lr 1e-2", "b -> lr 1e-2\na -> lr 1e-3"):
        plan = resolve(rules, model)
        groups = plan.param_groups(model)
        optimizers.append(torch.optim.Adam(groups if not optimizers else groups[::-1], lr=1.0))
        schedule = plan.schedule(model, optimizers[-1])
    first, second = optimizers
    (model.a(torch.ones(1, 3)).sum() * 3 + model.b(torch.ones(1, 3)).sum()).backward()
    first.step()
    second.load_state_dict(first.state_dict())
    assert same_state(first, second)
    assert torch.equal(second.state[model.a.weight]["exp_avg"], first.state[model.a.weight]["exp_avg"])
    assert schedule.last_epoch == 0


def test_options_that_the_edited_rules_give_win_over_the_saved_ones():
    """A weight decay changed in the file must not be undone by the checkpoint; others come from it."""
    model, optimizer, schedule = made(BROAD, betas=(0.5, 0.6))
    train(model, optimizer, schedule)
    _, resumed, _ = made(BROAD.replace("weight_decay 0.1", "weight_decay 0.3"))
    resumed.load_state_dict(optimizer.state_dict())
    assert {g["weight_decay"] for g in resumed.param_groups} == {0.3}
    assert {g["betas"] for g in resumed.param_groups} == {(0.5, 0.6)}


@pytest.mark.parametrize("with_schedule", [True, False])
def test_an_option_that_the_file_gives_no_more_does_not_come_back(with_schedule):
    """plan.optimizer has its options from the file alone; one that was taken out is not the checkpoint's to give."""
    model = seeded()
    old = resolve("optimizer adamw(eps=1e-5)\n** -> lr 1e-3, weight_decay 0.3", model)
    saved = old.optimizer(model)
    train(model, saved, old.schedule(model, saved))
    other = seeded()
    new = resolve("** -> lr 1e-3", other)
    resumed = new.optimizer(other)
    schedule = new.schedule(other, resumed) if with_schedule else None
    resumed.load_state_dict(saved.state_dict())
    assert {(g["weight_decay"], g["eps"]) for g in resumed.param_groups} == {(0.01, 1e-8)}
    assert by_name(resumed).keys() == by_name(saved).keys()
    assert schedule is None or not schedule.carried.options


def test_a_rate_changed_in_the_file_is_the_rate_after_loading():
    """An edited lr wins; an unedited one comes from the checkpoint, where torch's own scheduler may have moved it."""
    model, optimizer, schedule = made(BROAD)
    train(model, optimizer, schedule)
    for group in optimizer.param_groups:
        group["lr"] = 7e-4
    _, same, _ = made(BROAD)
    same.load_state_dict(optimizer.state_dict())
    assert {g["lr"] for g in same.param_groups} == {7e-4}
    _, edited, _ = made(BROAD.replace("lr 1e-3", "lr 2e-3"))
    edited.load_state_dict(optimizer.state_dict())
    assert {g["lr"] for g in edited.param_groups} == {2e-3}


@pytest.mark.parametrize("with_schedule", [True, False])
def test_the_rate_of_a_plain_optimizer_does_not_take_the_place_of_the_rules(with_schedule):
    """Whoever goes on by rules from a checkpoint of plain AdamW wants its moments, and the rates of the rules."""
    model = seeded()
    plain = torch.optim.AdamW(model.named_parameters(), lr=1e-5)
    model(images(0)).square().sum().backward()
    plain.step()
    plan = resolve(BROAD, model)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer) if with_schedule else None
    optimizer.load_state_dict(plain.state_dict())
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3}
    assert same_state(plain, optimizer)
    assert schedule is None or schedule.carried.complete


@pytest.mark.parametrize("order", ["optimizer first", "schedule first"])
def test_a_resumed_run_ends_with_the_same_bits(order):
    """Weights, moments and rates of a resumed run equal those of one that never stopped."""
    rules = "schedule cosine(warmup=2 steps)\n" + FINE
    model, optimizer, schedule = made(rules)
    train(model, optimizer, schedule)
    file = io.BytesIO()
    torch.save(
        [model.state_dict(), optimizer.state_dict(), schedule.state_dict(), torch.get_rng_state()], file
    )
    file.seek(0)
    train(model, optimizer, schedule, 4)
    weights, moments, clock, rng = torch.load(file, weights_only=True)
    again, fresh, resumed = made(rules, seed=9)
    again.load_state_dict(weights)
    if order == "optimizer first":
        fresh.load_state_dict(moments)
    resumed.load_state_dict(clock)
    if order == "schedule first":
        fresh.load_state_dict(moments)
    torch.set_rng_state(rng)
    train(again, fresh, resumed, 4)
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True)
    )
    assert same_state(optimizer, fresh)
    assert [g["lr"] for g in optimizer.param_groups] == [g["lr"] for g in fresh.param_groups]
    assert resumed.verify() > 0 or not resumed.frozen


def test_state_of_what_is_frozen_now_is_kept_for_its_thaw():
    """Loading under a freeze keeps the moments of a layer that trained before it froze."""
    rules = "** -> lr 1e-3\nfreeze mid from epoch 1 until epoch 2"
    model, optimizer, schedule = made(rules)
    train(model, optimizer, schedule)
    assert "mid.0.weight" in schedule.frozen
    _, fresh, resumed = made(rules)
    fresh.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    assert "mid.0.weight" in by_name(fresh)
    assert same_state(optimizer, fresh)


def unsaid(state_dict):
    """As plain torch saves it: without a word of what made it."""
    return {key: value for key, value in state_dict.items() if key != "layerlr"}


@pytest.mark.parametrize("as_saved", [dict, unsaid])
def test_what_cannot_be_carried_is_listed(as_saved):
    """Parameters that are gone, new ones and reshaped ones are named; the rest is taken over."""
    model, optimizer, schedule = made("** -> lr 1e-3")
    train(model, optimizer, schedule)
    other = seeded()
    other.head = nn.Linear(4, 7)
    other.extra = nn.Linear(2, 2)
    del other.mid[0].bias
    other.mid[0].register_parameter("bias", None)
    plan = resolve("** -> lr 1e-3", other)
    resumed = torch.optim.AdamW(plan.param_groups(other))
    schedule = plan.schedule(other, resumed)
    with pytest.warns(StateNotCarried) as caught:
        resumed.load_state_dict(as_saved(optimizer.state_dict()))
    text = str(caught[0].message)
    assert "no such parameter here: mid.0.bias" in text
    assert "another shape ((3, 4) in the checkpoint, (7, 4) here): head.weight" in text
    assert "what is not carried over begins afresh" in text
    assert "unknown to the checkpoint: extra.weight, extra.bias" in text
    assert schedule.carried.dropped.keys() == {"mid.0.bias", "head.weight", "head.bias"}
    assert schedule.carried.fresh == ("extra.weight", "extra.bias")
    assert "stem.0.weight" in by_name(resumed)
    other(images()).sum().backward()
    resumed.step()


@pytest.mark.parametrize("as_saved", [dict, unsaid])
def test_state_of_another_optimizer_is_left_behind_and_named(as_saved):
    """Momentum buffers mean nothing to Adam, which would die on them at its next step."""
    model, optimizer, schedule = made("** -> lr 1e-3", torch.optim.SGD, momentum=0.9)
    train(model, optimizer, schedule)
    other, adam, _ = made("** -> lr 1e-3")
    with pytest.warns(StateNotCarried, match="state of another optimizer: stem"):
        adam.load_state_dict(as_saved(optimizer.state_dict()))
    other(images()).sum().backward()
    adam.step()


@pytest.mark.parametrize(
    ("saved", "loaded"), [({"foreach": True}, {"fused": True}), ({"fused": True}, {"foreach": True})]
)
def test_how_a_step_is_computed_stays_as_the_optimizer_was_built(saved, loaded):
    """A checkpoint of a fused run resumes with the loop of this machine, and on its device."""
    model, optimizer, schedule = made(FINE, **saved)
    train(model, optimizer, schedule)
    other, resumed, clock = made(FINE, **loaded)
    resumed.load_state_dict(optimizer.state_dict())
    assert all(g[key] == value for g in resumed.param_groups for key, value in loaded.items())
    train(other, resumed, clock, 1)


def test_a_checkpoint_without_names_loads_as_torch_does():
    """Where no names were saved, position is all there is; torch drops what is not in the checkpoint, we keep names."""
    model, optimizer, schedule = made(BROAD)
    train(model, optimizer, schedule)
    nameless = copy.deepcopy(optimizer.state_dict())
    for group in nameless["param_groups"]:
        del group["param_names"], group["name"]
    _, resumed, _ = made(BROAD)
    resumed.load_state_dict(nameless)
    assert same_state(optimizer, resumed)
    labels = [(g["name"], g["param_names"]) for g in optimizer.param_groups]
    assert [(g["name"], g["param_names"]) for g in resumed.param_groups] == labels
    nameless["param_groups"].pop()
    with pytest.raises(ValueError, match="number of parameter groups"):
        resumed.load_state_dict(nameless)


def test_loading_by_name_survives_a_copied_optimizer():
    """deepcopy drops hooks; the copied run still loads by name."""
    model, optimizer, schedule = made(BROAD)
    train(model, optimizer, schedule)
    _, copied, _ = copy.deepcopy(made(FINE))
    copied.load_state_dict(optimizer.state_dict())
    assert same_state(optimizer, copied)


def test_loading_thawed_keeps_state_that_torch_drops_for_frozen_parameters():
    """torch's set_optimizer_state_dict skips what does not require a gradient at that moment."""
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    rules = "** -> lr 1e-3\nfreeze mid from epoch 1 until epoch 2"
    model, optimizer, schedule = made(rules)
    train(model, optimizer, schedule)
    saved = get_optimizer_state_dict(model, optimizer)
    other, fresh, resumed = made(rules, seed=3)
    resumed.load_state_dict(schedule.state_dict())
    with resumed.thawed():
        set_optimizer_state_dict(other, fresh, saved, options=StateDictOptions(strict=False))
    assert same_state(optimizer, fresh)
    assert not other.mid[0].weight.requires_grad
    assert resumed.last_epoch == 3


def test_state_is_moved_between_groups_of_the_distributed_format_by_name():
    """With torch.distributed.checkpoint too, edited rules and other groups keep every moment in its place."""
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    model, optimizer, schedule = made(BROAD)
    train(model, optimizer, schedule)
    other, fresh, resumed = made(FINE, seed=3)
    with resumed.thawed():
        saved = get_optimizer_state_dict(model, optimizer)
        set_optimizer_state_dict(other, fresh, saved, options=StateDictOptions(strict=False))
    assert same_state(optimizer, fresh)
    names = [name for group in fresh.param_groups for name in group["param_names"]]
    assert sorted(names) == sorted(n for n, _ in other.named_parameters())


def test_several_optimizers_load_by_name_under_edited_rules():
    """A layer that moves from one optimizer to another starts fresh there; the rest keeps what it had."""
    rules = "optimizer adamw\n** -> lr 1e-3\n**.weight where ndim == 2 -> optimizer muon(lr=0.02)"
    edited = "optimizer adamw\n** -> lr 1e-3\nattention.**.weight where ndim == 2 -> optimizer muon(lr=0.02)"
    model = seeded()
    plan = resolve(rules, model)
    optimizer = plan.optimizer(model)
    train(model, optimizer, plan.schedule(model, optimizer))
    other = seeded(seed=4)
    plan = resolve(edited, other)
    resumed = plan.optimizer(other)
    with pytest.warns(StateNotCarried, match="state of another optimizer: .*head.weight"):
        resumed.load_state_dict(optimizer.state_dict())
    kept, had = by_name(resumed), by_name(optimizer)
    assert had.keys() - kept.keys() == {"head.weight"}
    assert all(torch.equal(kept[n]["exp_avg"], had[n]["exp_avg"]) for n in kept if "exp_avg" in kept[n])
    assert "momentum_buffer" in kept["attention.out_proj.weight"]
    train(other, resumed, plan.schedule(other, resumed), 1)


def test_state_loads_by_name_before_there_is_a_schedule_too():
    """plan.optimizer knows the names from the start."""
    model, optimizer, schedule = made(BROAD)
    train(model, optimizer, schedule)
    other = seeded(seed=4)
    resumed = resolve(FINE, other).optimizer(other)
    resumed.load_state_dict(optimizer.state_dict())
    assert same_state(optimizer, resumed)
    assert {g["weight_decay"] for g in resumed.param_groups} == {0.0, 0.1}


def test_rates_are_the_schedules_right_after_loading():
    """An edited schedule counts from the first step after loading, whichever part was loaded first."""
    model, optimizer, schedule = made("schedule cosine\n" + BROAD)
    train(model, optimizer, schedule)
    _, fresh, resumed = made("schedule linear\n" + BROAD)
    resumed.load_state_dict(schedule.state_dict())
    fresh.load_state_dict(optimizer.state_dict())
    expected = resumed.plan.at(step=3)["head.weight"]["lr"]
    assert {g["lr"] for g in fresh.param_groups} == {expected}


def counted(optimizer):
    return [group["step"] for group in optimizer.param_groups]


@pytest.mark.parametrize(("old", "new"), [(BROAD, FINE), (FINE, BROAD)], ids=["split", "merged"])
def test_what_an_optimizer_counts_in_its_groups_goes_into_other_groups(old, new):
    """A Lamb that forgot its step count would divide moments of a long run by the first step's correction."""
    zoo = pytest.importorskip("pytorch_optimizer")
    model, optimizer, schedule = made(old, zoo.Lamb)
    train(model, optimizer, schedule)
    _, resumed, _ = made(new, zoo.Lamb)
    resumed.load_state_dict(optimizer.state_dict())
    assert same_state(optimizer, resumed)
    assert counted(optimizer) == [3] * len(optimizer.param_groups)
    assert counted(resumed) == [3] * len(resumed.param_groups)


def test_counts_of_merged_groups_that_differ_are_those_of_most_parameters():
    """There is but one count for them all; the text says that it was chosen."""
    zoo = pytest.importorskip("pytorch_optimizer")
    model, optimizer, schedule = made(FINE, zoo.Lamb)
    train(model, optimizer, schedule)
    saved = optimizer.state_dict()
    few = min(saved["param_groups"], key=lambda group: len(group["params"]))
    few["step"] = 1
    _, resumed, _ = made("** -> lr 1e-3", zoo.Lamb)
    with pytest.warns(StateNotCarried, match="taken from most parameters, .*: step of"):
        resumed.load_state_dict(saved)
    assert counted(resumed) == [3]


def test_a_new_layer_among_old_ones_shares_their_count():
    """The group's count is one for all; a group of new layers alone begins to count when it steps."""
    zoo = pytest.importorskip("pytorch_optimizer")
    model, optimizer, schedule = made(BROAD, zoo.Lamb)
    train(model, optimizer, schedule)
    other = seeded()
    other.extra = nn.Linear(2, 2)
    plan = resolve(BROAD + "\nextra -> lr 1", other)
    resumed = zoo.Lamb(plan.param_groups(other), lr=1e-2)
    schedule = plan.schedule(other, resumed)
    with pytest.warns(StateNotCarried, match="unknown to the checkpoint: extra"):
        resumed.load_state_dict(optimizer.state_dict())
    assert {g["name"]: g.get("step") for g in resumed.param_groups}["extra"] is None
    assert sum(g.get("step") == 3 for g in resumed.param_groups) == len(resumed.param_groups) - 1
    assert schedule.carried.fresh == ("extra.weight", "extra.bias")


def test_the_count_of_another_optimizer_is_not_taken_for_ones_own():
    """AdaBelief and Lamb both count in `step`, and neither's moments mean anything to the other."""
    zoo = pytest.importorskip("pytorch_optimizer")
    model, optimizer, schedule = made(BROAD, zoo.SM3, momentum=0.9)
    train(model, optimizer, schedule)
    _, resumed, _ = made(BROAD, zoo.Lamb)
    with pytest.warns(StateNotCarried, match="state of another optimizer"):
        resumed.load_state_dict(optimizer.state_dict())
    assert not any("step" in group for group in resumed.param_groups)


def test_options_that_the_rules_give_stay_theirs_in_a_foreign_optimizer_too():
    """What it counts comes from the checkpoint, the weight decay from the edited file."""
    pytest.importorskip("pytorch_optimizer")
    model = seeded()
    rules = "optimizer adabelief\n** -> lr 1e-3, weight_decay 0.1"
    plan = resolve(rules, model)
    optimizer = plan.optimizer(model)
    train(model, optimizer, plan.schedule(model, optimizer))
    other = seeded()
    resumed = resolve(rules.replace("0.1", "0.3"), other).optimizer(other)
    resumed.load_state_dict(optimizer.state_dict())
    assert counted(resumed) == [3]
    assert {g["weight_decay"] for g in resumed.param_groups} == {0.3}


def test_tensors_that_count_in_a_group_are_not_shared_by_groups_that_split():
    """apex's capturable FusedAdam counts in a tensor: one that two groups held would run twice as fast."""
    model, optimizer, schedule = made(BROAD, Counting)
    train(model, optimizer, schedule)
    other, resumed, clock = made(FINE, Counting)
    resumed.load_state_dict(optimizer.state_dict())
    train(other, resumed, clock, 2)
    assert [int(count) for count in counted(resumed)] == [5] * len(resumed.param_groups)
    assert [int(count) for count in counted(optimizer)] == [3] * len(optimizer.param_groups)


class Counting(torch.optim.SGD):
    """Keeps its count where and how apex.optimizers.FusedAdam(capturable=True) does."""

    def step(self, closure=None):
        for group in self.param_groups:
            group.setdefault("step", torch.zeros(1, dtype=torch.int))
            group["step"] += 1
        return super().step(closure)


def test_an_older_checkpoint_that_lacks_an_option_keeps_its_state():
    """A release that adds an option must not take what an older one saved for another optimizer's."""
    model = seeded()
    plan = resolve("optimizer lamb\n** -> lr 1e-3", model)
    optimizer = plan.optimizer(model)
    train(model, optimizer, plan.schedule(model, optimizer))
    saved = unsaid(optimizer.state_dict())
    for group in saved["param_groups"]:
        for option in ("adapt", "bias_correction", "capturable", "maximize"):
            del group[option]
    other = seeded(seed=4)
    plan = resolve("optimizer lamb\n** -> lr 1e-3", other)
    resumed = plan.optimizer(other)
    resumed.load_state_dict(saved)
    assert same_state(optimizer, resumed)
    train(other, resumed, plan.schedule(other, resumed), 1)


def test_state_of_a_large_table_with_more_rows_is_left_behind_without_a_step_of_that_size():
    """A vocabulary that grew: what is too large to be stepped for judging is judged by a smaller one alike."""
    saved, table = nn.Embedding(30_000, 64), nn.Embedding(30_008, 64)
    optimizers = []
    for model in (saved, table):
        plan = resolve("** -> lr 1e-3", model)
        optimizers.append(torch.optim.Adam(plan.param_groups(model)))
        schedule = plan.schedule(model, optimizers[-1])
    saved(torch.arange(9)).sum().backward()
    optimizers[0].step()
    with pytest.warns(
        StateNotCarried,
        match=r"another shape \(\(30000, 64\) in the checkpoint, \(30008, 64\) here\): weight",
    ):
        optimizers[1].load_state_dict(unsaid(optimizers[0].state_dict()))
    assert schedule.carried.kept == 0


def test_judging_a_checkpoint_draws_no_random_numbers():
    """A run that restores its generators before its optimizer must go on with the same numbers."""
    zoo = pytest.importorskip("pytorch_optimizer")
    model, optimizer, schedule = made("** -> lr 1e-3", zoo.SGDP, momentum=0.9)
    train(model, optimizer, schedule)
    _, resumed, _ = made("** -> lr 1e-3", Noisy)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with pytest.warns(StateNotCarried):
        resumed.load_state_dict(unsaid(optimizer.state_dict()))
    assert torch.equal(torch.get_rng_state(), before)


class Noisy(torch.optim.Adam):
    def step(self, closure=None):
        torch.rand(3)
        return super().step(closure)


STAGES = """
** -> lr 1e-3
stage first for 1 epoch
head -> lr 2e-3
stage second, fresh optimizer
head -> lr 1e-2
"""


@pytest.mark.parametrize("name", ["AdaBelief", "SPAM", "Prodigy"])
def test_a_stage_with_a_fresh_optimizer_begins_as_one_that_was_just_built(name):
    """Moments, counts in groups, a distance estimated so far, counts under no parameter: all of it begins anew."""
    make = getattr(pytest.importorskip("pytorch_optimizer"), name)
    model, optimizer, schedule = made(STAGES, make)
    train(model, optimizer, schedule, 2)
    assert schedule.stage == "second"
    _, fresh, _ = made(STAGES, make)
    assert not by_name(optimizer)
    for group, new in zip(optimizer.param_groups, fresh.param_groups, strict=True):
        assert {k: v for k, v in group.items() if k not in ("params", "lr")} == {
            k: v for k, v in new.items() if k not in ("params", "lr")
        }
    loose = [{k: v for k, v in o.state.items() if isinstance(k, str)} for o in (optimizer, fresh)]
    assert loose[0] == loose[1]
    train(model, optimizer, schedule, 1)


@pytest.mark.parametrize("gone", [("exp_avg",), ("exp_avg_sq", "step"), ("step", "exp_avg", "exp_avg_sq")])
def test_entries_that_were_taken_out_of_a_checkpoint_are_missed(gone):
    """What is left of a parameter's state is of no use: it starts fresh, and the warning says why."""
    model, optimizer, schedule = made(BROAD)
    train(model, optimizer, schedule)
    saved = copy.deepcopy(optimizer.state_dict())
    place = next(iter(saved["state"]))
    for entry in gone:
        del saved["state"][place][entry]
    if not saved["state"][place]:
        del saved["state"][place]
    _, other, _ = made(BROAD)
    with pytest.warns(StateNotCarried, match=r"gone from the checkpoint since it was saved \(.*exp_avg"):
        other.load_state_dict(saved)
    assert len(by_name(other)) == len(by_name(optimizer)) - 1


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda state: state.pop("last_epoch"), "last_epoch"),
        (lambda state: state.pop("plateaus"), "plateaus"),
        (lambda state: state.update(last_epoch="x"), "last_epoch"),
        (lambda state: state.update(_step_count=-5), "_step_count"),
        (lambda state: state.update(steps_per_epoch=0), "steps_per_epoch"),
        (lambda state: state.update(steps_per_epoch="x"), "steps_per_epoch"),
        (lambda state: state.update(version=0), "another version"),
    ],
    ids=["no tick", "no plateaus", "no number", "negative", "no steps", "no number of steps", "version"],
)
def test_a_damaged_state_of_a_schedule_is_refused(damage, named):
    """It would fail in the middle of loading, or go on somewhere else."""
    _, _, schedule = made(BROAD)
    state = schedule.state_dict()
    damage(state)
    with pytest.raises(ValueError, match=named):
        schedule.load_state_dict(state)


@pytest.mark.parametrize("scheduled", ["before", "after", "never"])
def test_state_without_names_of_a_resized_layer_is_refused_when_it_is_loaded(scheduled):
    """torch loads it, and fails at the first step; the layer, both shapes and a way out are told before that."""
    saved, resized = nn.Linear(4, 3), nn.Linear(4, 5)
    optimizer = torch.optim.AdamW(saved.parameters())
    saved(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    plan = resolve("** -> lr 1e-3", resized)
    plain = torch.optim.AdamW(plan.param_groups(resized))
    into = plan.optimizer(resized) if scheduled == "never" else plain
    if scheduled == "before":
        plan.schedule(resized, into)

    def load():
        into.load_state_dict(optimizer.state_dict())
        plan.schedule(resized, into)

    with pytest.raises(
        ModelMismatch, match=r"`weight` is of another shape \(\(3, 4\) .*, \(5, 4\) here\)"
    ) as refused:
        load()
    assert ("make the schedule before" if scheduled == "after" else "begin afresh") in str(refused.value)
