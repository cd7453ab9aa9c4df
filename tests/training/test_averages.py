"""Averages of weights over a model with frozen layers, and optimizers that swap weights for an evaluation."""

import copy

import pytest
import torch
from nets import images, moved, resolve, seeded, snapshot
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn, update_bn

from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.training.errors import FrozenMoved

NEVER = "** -> lr 1e-1\nfreeze stem"
LATER = "** -> lr 1e-1\nfreeze stem from epoch 1"
WAYS = {
    "equal": {},
    "ema": {"multi_avg_fn": get_ema_multi_avg_fn(0.9)},
    "ema one by one": {"avg_fn": get_ema_avg_fn(0.9)},
    "with buffers": {"avg_fn": get_ema_avg_fn(0.9), "use_buffers": True},
}


def made(rules, before=None):
    model = seeded()
    with torch.no_grad():  # no binary fraction, so that averaging it rounds
        model.stem[1].running_mean.fill_(0.3)
        model.stem[1].running_var.fill_(2.7)
        model.stem[1].num_batches_tracked.fill_(41)
    average = before(model) if before else None
    plan = resolve(rules, model)
    optimizer = plan.optimizer(model)
    return model, optimizer, plan.schedule(model, optimizer), average


def train(model, optimizer, schedule, steps=6, each=None):
    for seed in range(steps):
        model.train()
        model(images(seed)).square().sum().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if each:
            each()


def equal(left, right):
    return all(
        torch.equal(a, b)
        for a, b in zip(left.state_dict().values(), right.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("when", ["before the schedule", "after it"])
@pytest.mark.parametrize("rules", [NEVER, LATER], ids=["frozen from the start", "frozen after training"])
@pytest.mark.parametrize("way", WAYS)
def test_what_is_frozen_is_in_an_average_as_it_is_in_the_model(way, rules, when):
    """Equal numbers average to another one by rounding, and an average lags behind what froze."""
    average = (lambda model: AveragedModel(model, **WAYS[way])) if when == "before the schedule" else None
    model, optimizer, schedule, average = made(rules, average)
    average = average or AveragedModel(model, **WAYS[way])
    train(model, optimizer, schedule, each=lambda: average.update_parameters(model))
    assert schedule.frozen
    assert equal(average.module.stem, model.stem)
    assert not equal(average.module.head, model.head)


def test_an_average_copied_back_moves_nothing_frozen():
    """As Lightning's callbacks do at the end of a fit; the proof at the end holds."""
    model, optimizer, schedule, average = made(LATER, lambda m: AveragedModel(m, avg_fn=get_ema_avg_fn(0.9)))
    train(model, optimizer, schedule, each=lambda: average.update_parameters(model))
    before = snapshot(model)
    for own, averaged in zip(model.parameters(), average.module.parameters(), strict=True):
        own.data.copy_(averaged.data)
    assert moved(before, model)
    assert not moved(before, model) & schedule.frozen
    assert schedule.verify()


def test_an_average_of_what_trains_is_torchs_own():
    """Nothing but what is frozen is touched; a model without a schedule is averaged as ever."""
    model, optimizer, schedule, average = made(
        "** -> lr 1e-1", lambda m: AveragedModel(m, avg_fn=get_ema_avg_fn(0.5))
    )
    plain = nn.Linear(2, 2)
    plain_average = AveragedModel(plain)
    expected = [p.detach().clone() for p in model.parameters()]

    def each():
        average.update_parameters(model)
        for place, parameter in enumerate(model.parameters()):
            now = parameter.detach()
            expected[place] = (
                now.clone() if average.n_averaged == 1 else 0.5 * expected[place] + (1 - 0.5) * now
            )

    train(model, optimizer, schedule, each=each)
    plain_average.update_parameters(plain)
    assert all(torch.equal(a, b) for a, b in zip(expected, average.module.parameters(), strict=True))
    assert equal(plain, plain_average.module)


def test_an_average_thaws_with_its_model():
    """What has thawed is averaged like the rest."""
    model, optimizer, schedule, average = made("** -> lr 1e-1\nfreeze stem until epoch 1", AveragedModel)
    train(model, optimizer, schedule, each=lambda: average.update_parameters(model))
    assert not schedule.frozen
    assert not equal(average.module.stem, model.stem)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("averaged", [False, True], ids=["the model", "its average"])
def test_statistics_that_are_measured_anew_leave_frozen_layers_out(averaged, mode, momentum):
    """update_bn clears all of them, whatever mode the layer is in and however it counts its momentum."""

    def norms(model):
        model.stem[1].momentum = model.mid[1].momentum = momentum
        return AveragedModel(model) if averaged else model

    model, optimizer, schedule, subject = made(NEVER, norms)
    train(model, optimizer, schedule)
    if averaged:
        subject.update_parameters(model)
        subject = AveragedModel(model)
    getattr(model, mode)()
    before = snapshot(model, ["stem"])
    update_bn([images(seed) for seed in range(3)], subject)
    root = subject.module if averaged else subject
    assert equal(root.stem, model.stem)
    assert not moved(before, model)
    assert int(root.mid[1].num_batches_tracked) == 3
    assert schedule.verify()


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_statistics_measured_in_an_average_that_began_before_the_freeze_leave_it_out(mode):
    """update_bn at the end of a run clears all of them in an average that was made when everything trained."""
    model, optimizer, schedule, average = made(LATER, AveragedModel)
    train(model, optimizer, schedule, each=lambda: average.update_parameters(model))
    getattr(average, mode)()
    update_bn([images(seed) for seed in range(3)], average)
    assert schedule.frozen
    assert equal(average.module.stem, model.stem)
    assert int(average.module.mid[1].num_batches_tracked) == 3
    assert schedule.verify()


def test_an_average_lets_go_of_what_thaws():
    """Statistics that were held in it from a freeze on are measured with the others after the thaw."""
    rules = "** -> lr 1e-1\nfreeze stem from epoch 1 until epoch 2"
    model, optimizer, schedule, average = made(rules, AveragedModel)
    train(model, optimizer, schedule, each=lambda: average.update_parameters(model), steps=7)
    assert not schedule.frozen
    update_bn([images(seed) for seed in range(3)], average)
    assert int(average.module.stem[1].num_batches_tracked) == 3


@pytest.mark.parametrize("rules", [NEVER, LATER], ids=["frozen from the start", "frozen after training"])
@pytest.mark.parametrize("kind", ["ModelEmaV2", "ModelEmaV3"])
def test_an_average_of_timms_holds_what_is_frozen_as_it_is(kind, rules):
    """Lagging behind, it would put weights below a layer that this has never seen."""
    ema = with_torchvision(lambda: pytest.importorskip("timm.utils.model_ema"))
    model, optimizer, schedule, average = made(rules, lambda m: getattr(ema, kind)(m, decay=0.9))
    train(model, optimizer, schedule, each=lambda: average.update(model))
    assert schedule.frozen
    assert equal(average.module.stem, model.stem)
    assert not equal(average.module.head, model.head)
    model.load_state_dict(average.module.state_dict())
    assert schedule.verify()


def test_other_buffers_are_cleared_and_put_back_where_they_are_replaced():
    """Lightning puts new tensors in the place of the statistics, with every layer's mode as it was."""
    model, optimizer, schedule, _ = made(NEVER)
    train(model, optimizer, schedule)
    before = snapshot(model, ["stem"])
    norm = model.stem[1]
    norm.running_mean, norm.running_var = torch.zeros(4), torch.ones(4)
    kept, norm.momentum = norm.momentum, None
    norm.num_batches_tracked *= 0
    model(images())
    norm.momentum = kept
    assert not moved(before, model)
    assert schedule.verify()


def test_the_proof_names_an_average_among_what_may_have_moved_frozen_weights():
    """It cannot know who wrote; it can say who usually does."""
    model, optimizer, schedule, _ = made(NEVER)
    train(model, optimizer, schedule)
    with torch.no_grad():
        model.stem[0].weight.mul_(0.9).add_(model.stem[0].weight / 9)
    with pytest.raises(FrozenMoved, match="average of weights that was copied over them"):
        schedule.verify()


# ---------------------------------------------------------------- optimizers with an eval mode


SWAPPING = {
    "ScheduleFreeAdamW": ("train", "eval"),
    "ScheduleFreeSGD": ("train", "eval"),
    "SPlus": ("train", "eval"),
}


def swapping(name, rules):
    zoo = pytest.importorskip("pytorch_optimizer")
    model = seeded()
    plan = resolve(rules, model)
    optimizer = getattr(zoo, name)(plan.param_groups(model), lr=1e-1)
    return model, optimizer, plan.schedule(model, optimizer)


@pytest.mark.parametrize("copied", [False, True], ids=["as made", "copied"])
@pytest.mark.parametrize("name", SWAPPING)
def test_an_evaluation_with_averaged_weights_leaves_what_froze_after_training(name, copied):
    """eval() puts the average in the model and train() takes it out, to within rounding: not in frozen layers."""
    run = swapping(name, LATER)
    run[1].train()
    train(*run, steps=3)
    model, optimizer, schedule = copy.deepcopy(run) if copied else run
    assert "stem.0.weight" in schedule.frozen
    before = snapshot(model)
    for _ in range(3):
        optimizer.eval()
        assert not moved(before, model) & schedule.frozen
        assert "head.weight" in moved(before, model)
        optimizer.train()
    assert not moved(before, model) & schedule.frozen
    assert schedule.verify()
    if not copied:  # a copy of these optimizers cannot step, with us or without
        train(model, optimizer, schedule, steps=1)
        assert schedule.verify()


def test_an_optimizer_is_whole_again_after_an_evaluation():
    """Groups hold what they held, and what thaws swaps with the rest."""
    model, optimizer, schedule = swapping(
        "ScheduleFreeAdamW", "** -> lr 1e-1\nfreeze stem from epoch 1 until epoch 2"
    )
    optimizer.train()
    train(model, optimizer, schedule, steps=3)
    held = [list(map(id, group["params"])) for group in optimizer.param_groups]
    optimizer.eval()
    optimizer.train()
    assert [list(map(id, group["params"])) for group in optimizer.param_groups] == held
    train(model, optimizer, schedule, steps=2)
    assert not schedule.frozen
    before = snapshot(model)
    optimizer.eval()
    assert "stem.0.weight" in moved(before, model)


def test_a_wrapper_that_swaps_is_held_too():
    """The methods may be those of a wrapper around the optimizer that steps."""
    zoo = pytest.importorskip("pytorch_optimizer")
    model = seeded()
    plan = resolve(LATER, model)
    optimizer = zoo.ScheduleFreeWrapper(torch.optim.SGD(plan.param_groups(model), lr=1e-1))
    schedule = plan.schedule(model, optimizer)
    optimizer.train()
    train(model, optimizer, schedule, steps=3)
    before = snapshot(model)
    optimizer.eval()
    assert not moved(before, model) & schedule.frozen
    assert "head.weight" in moved(before, model)
    schedule.release()
    optimizer.train()
    optimizer.eval()


def test_several_optimizers_pass_their_modes_on():
    """One part has modes and refuses to step in the wrong one, the other has none."""
    pytest.importorskip("pytorch_optimizer")
    model = seeded()
    rules = LATER + "\nattention where ndim == 2 -> optimizer muon"
    plan = resolve("optimizer schedulefreeadamw\n" + rules, model)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    optimizer.train()
    train(model, optimizer, schedule, steps=3)
    before = snapshot(model)
    optimizer.eval()
    changed = moved(before, model)
    assert "head.weight" in changed
    assert not changed & schedule.frozen
    assert not any(name.startswith("attention.in_proj_weight") for name in changed)
