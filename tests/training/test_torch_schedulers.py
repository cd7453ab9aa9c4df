"""torch's own schedulers beside ours, before it, after it and around it."""

import copy
import pickle
import warnings

import pytest
import torch
from nets import resolve, seeded
from torch.optim import lr_scheduler as torch_schedulers

from layerlr_dsl.training.errors import ScheduleWarning

RULES = "** -> lr 1e-3\nhead -> lr 1e-2\nfreeze mid until epoch 1"
STEPS = 8

SCHEDULERS = {
    "LambdaLR": lambda o: torch_schedulers.LambdaLR(o, lambda t: 1 / (1 + t)),
    "MultiplicativeLR": lambda o: torch_schedulers.MultiplicativeLR(o, lambda t: 0.9),
    "StepLR": lambda o: torch_schedulers.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: torch_schedulers.MultiStepLR(o, [2, 5], 0.5),
    "ConstantLR": lambda o: torch_schedulers.ConstantLR(o, 0.5, 3),
    "LinearLR": lambda o: torch_schedulers.LinearLR(o, 0.1, total_iters=4),
    "ExponentialLR": lambda o: torch_schedulers.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: torch_schedulers.PolynomialLR(o, STEPS),
    "CosineAnnealingLR": lambda o: torch_schedulers.CosineAnnealingLR(o, STEPS),
    "CosineAnnealingWarmRestarts": lambda o: torch_schedulers.CosineAnnealingWarmRestarts(o, 3),
    "CyclicLR": lambda o: torch_schedulers.CyclicLR(o, 1e-4, 1e-2, 3, cycle_momentum=False),
    "OneCycleLR": lambda o: torch_schedulers.OneCycleLR(o, [0.1] * len(o.param_groups), STEPS + 1),
    "SequentialLR": lambda o: torch_schedulers.SequentialLR(
        o, [torch_schedulers.LinearLR(o, 0.1, total_iters=3), torch_schedulers.StepLR(o, 2)], [3]
    ),
    "ReduceLROnPlateau": lambda o: torch_schedulers.ReduceLROnPlateau(o, patience=1),
}


def drive(optimizer, scheduler, ours=None):
    seen = []
    for step in range(STEPS):
        optimizer.step()
        scheduler.step(1.0) if isinstance(scheduler, torch_schedulers.ReduceLROnPlateau) else scheduler.step()
        if ours is not None:
            ours.step()
        seen.append([(g["lr"], g.get("betas"), step) for g in optimizer.param_groups])
    return seen


@pytest.mark.parametrize("before", [True, False], ids=["made before ours", "made after ours"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_torch_scheduler_drives_our_groups_as_if_ours_were_not_there(name, before):
    """Rates are those that the scheduler gives plain groups, and our schedule freezes and thaws beside it."""
    model = seeded()
    plan = resolve(RULES, model)
    plain = torch.optim.AdamW(
        [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": g["lr"]} for g in plan.param_groups(model)]
    )
    expected = drive(plain, SCHEDULERS[name](plain))
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = SCHEDULERS[name](optimizer) if before else None
        ours = plan.schedule(model, optimizer)
        scheduler = scheduler or SCHEDULERS[name](optimizer)
        assert not model.mid[0].weight.requires_grad
        assert drive(optimizer, scheduler, ours) == expected
    assert model.mid[0].weight.requires_grad


@pytest.mark.parametrize(
    ("rules", "driven", "warned"),
    [
        ("** -> lr 1e-3\nfreeze mid until epoch 1 warmup 1 epochs", True, True),
        ("** -> lr 1e-3\nhead -> lr 1e-2 until epoch 1", True, True),
        ("** -> lr 1e-3\nhead -> lr 1e-2 until epoch 1", False, False),
        ("** -> lr 1e-3\nfreeze mid until epoch 1 warmup 1 epochs", False, False),
        ("** -> lr 1e-3\nfreeze mid until epoch 1", True, False),
        ("schedule cosine\n" + RULES + " warmup 1 epochs", False, False),
    ],
)
def test_rates_that_are_written_over_another_scheduler_are_told(rules, driven, warned):
    """A window or a thaw warm-up sets what the rules give; what a torch scheduler had made of it is lost."""
    model = seeded()
    plan = resolve(rules, model)
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    ours = plan.schedule(model, optimizer)
    theirs = torch_schedulers.ExponentialLR(optimizer, 0.9 if driven else 1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(STEPS):
            optimizer.step()
            theirs.step()
            ours.step()
    messages = [str(w.message) for w in caught]
    assert len(messages) == warned, messages
    assert all("something else drives it" in message for message in messages)
    assert all(w.filename == __file__ for w in caught)


def test_a_resumed_window_is_no_other_scheduler():
    """A checkpoint brings rates that the window had written; loading them tells of nobody else."""
    rules = "** -> lr 1e-3\nhead -> lr 1e-2 from epoch 1\nfreeze mid until epoch 1 warmup 1 epochs"
    model = seeded()
    plan = resolve(rules, model)
    first = torch.optim.AdamW(plan.param_groups(model))
    ours = plan.schedule(model, first)
    for _ in range(3):
        ours.step()
    again = torch.optim.AdamW(plan.param_groups(model))
    resumed = plan.schedule(model, again)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.load_state_dict(first.state_dict())
        resumed.load_state_dict(ours.state_dict())
        resumed.step()
    ours.step()
    assert [g["lr"] for g in again.param_groups] == [g["lr"] for g in first.param_groups]


@pytest.mark.parametrize("name", ["OneCycleLR", "StepLR", "CosineAnnealingLR"])
def test_a_torch_scheduler_resumes_on_our_optimizer(name):
    """Rates, and the momentum that OneCycleLR moves, come from the checkpoint where the rules say nothing of them."""

    def made():
        model = seeded()
        plan = resolve(RULES, model)
        optimizer = plan.optimizer(model)
        return optimizer, plan.schedule(model, optimizer), SCHEDULERS[name](optimizer)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = made()
        for _ in range(3):
            for part in parts:
                part.step()
        again = made()
        for part, saved in zip(again, [part.state_dict() for part in parts], strict=True):
            part.load_state_dict(saved)
        for _ in range(3):
            there, here = (
                [(g["lr"], g["betas"]) for g in optimizer.param_groups] for optimizer, *_ in (parts, again)
            )
            assert here == there
            for part in (*parts, *again):
                part.step()


# ---------------------------------------------------------------- ours inside of torch's containers


COSINE = "schedule cosine\n** -> lr 1e-3\nhead -> lr 1e-2\nfreeze mid until epoch 1"
PLAIN = "** -> lr 1e-3\nhead -> lr 1e-2\nfreeze mid until epoch 1"


def ours(rules=COSINE, steps=4):
    model = seeded()
    plan = resolve(rules, model, 4, steps)
    optimizer = torch.optim.AdamW(plan.param_groups(model), lr=1e-3)
    return model, optimizer, plan.schedule(model, optimizer)


def course(model, optimizer, scheduler, steps):
    """The rates and whether `mid` trains, at each step."""
    seen = []
    for _ in range(steps):
        seen.append(([g["lr"] for g in optimizer.param_groups], model.mid[0].weight.requires_grad))
        optimizer.step()
        scheduler.step()
    return seen


def alone(rules, steps):
    return course(*ours(rules), steps)


@pytest.fixture
def strict():
    """No warning at all, torch's included."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("rules", [COSINE, PLAIN])
def test_after_a_warmup_of_torchs_ours_begins_at_its_milestone(rules, strict):
    """SequentialLR([LinearLR, ours]): rates and thaws are ours from there on, and frozen is frozen before."""
    model, optimizer, schedule = ours(rules)
    initial = [g["initial_lr"] for g in optimizer.param_groups]
    warmup = torch_schedulers.LinearLR(optimizer, 0.25, total_iters=3)
    both = torch_schedulers.SequentialLR(optimizer, [warmup, schedule], [3])
    seen = course(model, optimizer, both, 13)
    assert [thawed for _, thawed in seen[:3]] == [False] * 3
    assert [rates for rates, _ in seen[:3]] == [
        pytest.approx([rate * (0.25 + 0.25 * k) for rate in initial]) for k in range(3)
    ]
    assert seen[3:] == alone(rules, 10)
    assert both.get_last_lr() == [g["lr"] for g in optimizer.param_groups]


def test_before_a_scheduler_of_torchs_ours_goes_first(strict):
    """SequentialLR([ours, CosineAnnealingLR]) hands over at its milestone."""
    model, optimizer, schedule = ours()
    after = torch_schedulers.CosineAnnealingLR(optimizer, 8)
    both = torch_schedulers.SequentialLR(optimizer, [schedule, after], [6])
    seen = course(model, optimizer, both, 8)
    assert seen[:6] == alone(COSINE, 6)
    assert seen[6][0] == [g["initial_lr"] for g in optimizer.param_groups]
    assert schedule.last_epoch == 5


def test_between_two_of_torchs_ours_holds_in_between(strict):
    """It begins at its milestone and ends at the next."""
    model, optimizer, schedule = ours()
    first = torch_schedulers.ConstantLR(optimizer, 0.5, 100)
    last = torch_schedulers.ConstantLR(optimizer, 0.1, 100)
    whole = torch_schedulers.SequentialLR(optimizer, [first, schedule, last], [2, 9])
    seen = course(model, optimizer, whole, 11)
    assert seen[2:9] == alone(COSINE, 7)
    assert seen[9][0] == pytest.approx([0.1 * g["initial_lr"] for g in optimizer.param_groups])


def test_chained_with_another_both_are_stepped():
    """Ours sets its rate, what comes after multiplies it, as with torch's LambdaLR; that this is no product is told."""
    model, optimizer, schedule = ours()
    factor = torch_schedulers.ExponentialLR(optimizer, 0.5)
    chained = torch_schedulers.ChainedScheduler([schedule, factor])
    with pytest.warns(ScheduleWarning, match="lasts one step"):
        seen = course(model, optimizer, chained, 6)
    expected = alone(COSINE, 6)
    assert [thawed for _, thawed in seen] == [thawed for _, thawed in expected]
    for (rates, _), (full, _) in zip(seen[1:], expected[1:], strict=True):
        assert rates == pytest.approx([rate / 2 for rate in full])
    assert chained.get_last_lr() == [g["lr"] for g in optimizer.param_groups]


@pytest.mark.parametrize("stop", [1, 5])
@pytest.mark.parametrize("how", ["state", "pickle", "deepcopy"])
def test_a_container_with_ours_in_it_resumes(stop, how, strict):
    """Before its milestone and after."""

    def made():
        model, optimizer, schedule = ours()
        warmup = torch_schedulers.LinearLR(optimizer, 0.25, total_iters=3)
        return model, optimizer, torch_schedulers.SequentialLR(optimizer, [warmup, schedule], [3])

    whole = course(*made(), 12)
    first = made()
    course(*first, stop)
    if how == "state":
        again = made()
        again[1].load_state_dict(first[1].state_dict())
        again[2].load_state_dict(first[2].state_dict())
    else:
        again = copy.deepcopy(first) if how == "deepcopy" else pickle.loads(pickle.dumps(first))
    assert course(*again, 12 - stop) == whole[stop:]


def test_a_waiting_schedule_misses_no_step(strict):
    """It is not left out: its turn has not come, however long the warm-up."""
    model, optimizer, schedule = ours()
    warmup = torch_schedulers.LinearLR(optimizer, 0.25, total_iters=40)
    both = torch_schedulers.SequentialLR(optimizer, [warmup, schedule], [40])
    course(model, optimizer, both, 45)
    assert schedule.last_epoch == 5


def test_what_would_thaw_after_the_turn_of_ours_is_told():
    """SequentialLR steps only the one whose turn it is; a thaw that comes later never does."""
    model, optimizer, schedule = ours("schedule cosine\n** -> lr 1e-3\nfreeze mid until epoch 3")
    after = torch_schedulers.CosineAnnealingLR(optimizer, 8)
    both = torch_schedulers.SequentialLR(optimizer, [schedule, after], [6])
    with pytest.warns(ScheduleWarning, match="SequentialLR"):
        course(model, optimizer, both, 40)


def test_last_epoch_is_where_a_run_goes_on(strict):
    """As with torch's own: the groups have their initial rates from before, and the next step is the one after."""
    model, optimizer, first = ours()
    whole = course(model, optimizer, first, 9)
    model, optimizer, first = ours()
    course(model, optimizer, first, 5)
    again = first.plan.schedule(model, optimizer, last_epoch=4)
    assert again.last_epoch == 5
    assert course(model, optimizer, again, 4) == whole[5:]


def test_last_epoch_needs_the_initial_rates():
    """Fresh groups have none, and torch says so."""
    model = seeded()
    plan = resolve(COSINE, model)
    with pytest.raises(KeyError, match="initial_lr"):
        plan.schedule(model, torch.optim.AdamW(plan.param_groups(model)), last_epoch=4)


def test_whoever_moves_last_epoch_and_asks_for_rates_moves_everything(strict):
    """Handlers that count by themselves never call `step()`."""
    model, optimizer, schedule = ours()
    expected = alone(COSINE, 10)
    for rates, thawed in expected:
        assert schedule.get_lr() == rates == [g["lr"] for g in optimizer.param_groups]
        assert model.mid[0].weight.requires_grad == thawed
        optimizer.step()
        schedule.last_epoch += 1


def test_a_plateau_of_torchs_beside_ours_keeps_its_factor(strict):
    """Where the rules give no schedule, ReduceLROnPlateau drives the rates and ours thaws."""
    model, optimizer, schedule = ours(PLAIN)
    plateau = torch_schedulers.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    for _ in range(6):
        optimizer.step()
        schedule.step()
        plateau.step(1.0)
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx(
        [g["initial_lr"] * 0.5**5 for g in optimizer.param_groups]
    )
    assert model.mid[0].weight.requires_grad


def test_a_plateau_scheduler_beside_a_schedule_of_the_rules_is_told():
    """What ReduceLROnPlateau takes off is written over at the next step; once is enough to say so."""
    model, optimizer, schedule = ours()
    plateau = torch_schedulers.ReduceLROnPlateau(optimizer, patience=0)
    course(model, optimizer, schedule, 3)
    plateau.step(1.0)
    plateau.step(1.0)
    with pytest.warns(ScheduleWarning, match="ReduceLROnPlateau.*schedule plateau") as told:
        course(model, optimizer, schedule, 5)
    assert len(told) == 1


def test_a_loop_that_puts_back_the_rates_that_it_tried_is_not_told(strict):
    """As learning-rate finders do."""
    model, optimizer, schedule = ours()
    course(model, optimizer, schedule, 3)
    rates = [group["lr"] for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = 1.0
        group["lr"] = rate * 1.0
    course(model, optimizer, schedule, 3)
    assert [group["lr"] for group in optimizer.param_groups] != rates
