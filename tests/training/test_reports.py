"""Metric conditions and plateaus: what is counted, and what a report does."""

import math
import warnings

import numpy as np
import pytest
import torch
from nets import resolve, seeded

from layerlr_dsl.training.errors import ScheduleWarning

WAITS = "** -> lr 1e-2\nfreeze mid until val_loss stops falling for 2 epochs"


def made(rules, epochs=10, steps=2):
    model = seeded()
    plan = resolve(rules, model, epochs, steps)
    optimizer = torch.optim.AdamW(plan.param_groups(model), lr=1e-2)
    return model, optimizer, plan.schedule(model, optimizer)


def epoch(schedule, **values):
    for _ in range(2):
        schedule.step()
    schedule.report(**values)


def test_a_condition_fires_at_the_nth_report_in_a_row_without_improvement():
    """The first report is what others are compared to; an improvement starts the count anew."""
    model, _, schedule = made(WAITS)
    trained = []
    for value in (1.0, 0.9, 0.95, 0.8, 0.8, 0.85, 0.1):
        epoch(schedule, val_loss=value)
        trained.append(model.mid[0].weight.requires_grad)
    assert trained == [False, False, False, False, False, True, True]


def test_an_improvement_counts_only_beyond_the_margin():
    """`by 0.1` makes a smaller gain no improvement."""
    model, _, schedule = made(WAITS + " by 0.1")
    for value in (1.0, 0.95, 0.91):
        epoch(schedule, val_loss=value)
    assert model.mid[0].weight.requires_grad


def test_rising_metrics_wait_for_the_other_direction():
    """An accuracy that stops rising thaws; one that rises does not."""
    model, _, schedule = made('** -> lr 1e-2\nfreeze mid until "val/acc" stops rising for 1 epochs')
    schedule.step()
    schedule.report({"val/acc": 0.5})
    schedule.report({"val/acc": 0.6})
    assert not model.mid[0].weight.requires_grad
    schedule.report(**{"val/acc": torch.tensor(0.55)})
    assert model.mid[0].weight.requires_grad


def test_reports_before_the_window_opens_do_not_count():
    """A condition counts from the opening of its window, with a fresh best value."""
    rules = "** -> lr 1e-2\nfreeze mid from epoch 2 until val_loss stops falling for 1 epochs"
    model, _, schedule = made(rules)
    trained = []
    for value in (0.1, 0.1, 5.0, 4.0, 4.5):
        epoch(schedule, val_loss=value)
        trained.append(model.mid[0].weight.requires_grad)
    assert trained == [True, False, False, False, True]


def test_the_plan_says_the_same_of_a_fired_condition():
    """plan.at with the epoch of the event agrees with what the schedule did."""
    model, _, schedule = made(WAITS)
    for _ in range(3):
        epoch(schedule, val_loss=1.0)
    assert schedule.plan.at(epoch=3, events={"val_loss": 3})["mid.0.weight"]["frozen"] is False
    assert model.mid[0].weight.requires_grad


def test_waits_survive_a_resume():
    """Best value, count and what has come true are part of the state."""
    model, _, first = made(WAITS)
    epoch(first, val_loss=1.0)
    epoch(first, val_loss=2.0)
    resumed_model, _, resumed = made(WAITS)
    resumed.load_state_dict(first.state_dict())
    epoch(resumed, val_loss=1.5)
    assert resumed_model.mid[0].weight.requires_grad
    again_model, _, again = made(WAITS)
    again.load_state_dict(resumed.state_dict())
    assert again_model.mid[0].weight.requires_grad
    assert not model.mid[0].weight.requires_grad


def test_what_has_come_true_keeps_its_epoch_where_an_epoch_has_other_steps():
    """A condition that fired at the end of epoch 1 did so there, whatever a step is now."""
    rules = "** -> lr 1e-2\nfreeze stem, mid until val_loss stops falling for 1 epochs"
    _, _, first = made(rules)
    epoch(first, val_loss=1.0)
    epoch(first, val_loss=2.0)
    model = seeded()
    plan = resolve(rules, model, 4, 10)
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    resumed = plan.schedule(model, optimizer)
    resumed.load_state_dict(first.state_dict())
    assert resumed.state_dict()["conditions"][0]["fired"] == resumed.last_epoch == 20
    assert not resumed.frozen


@pytest.mark.parametrize("value", [torch.tensor(3.0), torch.tensor([3.0]), np.float32(3), np.array([3.0]), 3])
def test_a_report_may_be_any_one_number(value):
    """A metric comes as a number, a tensor or an array with one element, as ReduceLROnPlateau takes it."""
    _, _, schedule = made(WAITS)
    epoch(schedule, val_loss=value)
    assert schedule.state_dict()["conditions"][0]["best"] == 3.0


def test_an_edited_file_keeps_the_waits_whose_words_it_kept():
    """Conditions are known by their text and not by their place."""
    _, _, first = made(WAITS)
    epoch(first, val_loss=1.0)
    epoch(first, val_loss=2.0)
    edited = "** -> lr 1e-2\nfreeze stem until accuracy stops rising for 1 epochs\n" + WAITS.split("\n")[1]
    model, _, resumed = made(edited)
    resumed.load_state_dict(first.state_dict())
    epoch(resumed, val_loss=1.5)
    assert model.mid[0].weight.requires_grad
    assert not model.stem[0].weight.requires_grad


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_no_improvement(value):
    """NaN compares false with everything, and minus infinity could never be beaten: both warn and count as bad."""
    model, _, schedule = made(WAITS)
    epoch(schedule, val_loss=1.0)
    for _ in range(2):
        with pytest.warns(ScheduleWarning, match="without improvement"):
            epoch(schedule, val_loss=value)
    assert model.mid[0].weight.requires_grad


@pytest.mark.parametrize("value", ["0.5", None, True, [0.5], torch.ones(2)])
def test_a_value_that_is_no_number_is_an_error(value):
    """The error names the metric."""
    _, _, schedule = made(WAITS)
    with pytest.raises(TypeError, match="'val_loss' is no number"):
        schedule.report(val_loss=value)


def test_other_metrics_are_ignored_quietly():
    """Loops report everything they have; only a report of nothing that is waited for draws one warning."""
    _, _, schedule = made(WAITS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule.report(val_loss=1.0, accuracy="not even a number")
    with pytest.warns(ScheduleWarning, match=r"'val_los' may be meant for 'val_loss'"):
        schedule.report(val_los=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule.report(val_los=1.0)


def test_reports_without_conditions_cost_nothing_and_say_nothing():
    """A file without metrics takes any report."""
    _, _, schedule = made("** -> lr 1e-2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule.report(anything="at all")
    assert schedule.unreported() == ()


def test_a_metric_that_was_never_reported_is_named():
    """The end of a run can say which conditions waited in vain."""
    _, _, schedule = made(WAITS + '\nschedule plateau(metric="val_f1", factor=0.5, patience=1)')
    assert schedule.unreported()[0] == "val_loss stops falling for 2 epochs"
    assert "val_f1" in schedule.unreported()[1]
    schedule.report(val_loss=1.0, val_f1=0.3)
    assert schedule.unreported() == ()


def test_a_plateau_moves_rates_exactly_as_torchs_own():
    """ReduceLROnPlateau over the same reports is the oracle, over warm-up's end and beyond."""
    rules = 'schedule plateau(metric="val_loss", factor=0.5, patience=1)\n** -> lr 1e-2\nhead -> lr 1e-1'
    _, optimizer, schedule = made(rules)
    theirs = torch.optim.AdamW([{"params": g["params"], "lr": g["lr"]} for g in optimizer.param_groups])
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, factor=0.5, patience=1)
    for value in (1.0, 0.9, 0.9, 0.95, 0.92, 0.5, 0.6, 0.7, 0.8):
        epoch(schedule, val_loss=value)
        oracle.step(value)
        assert [g["lr"] for g in optimizer.param_groups] == pytest.approx(
            [g["lr"] for g in theirs.param_groups]
        )
    state = schedule.state_dict()
    _, fresh, resumed = made(rules)
    resumed.load_state_dict(state)
    assert [g["lr"] for g in fresh.param_groups] == [g["lr"] for g in optimizer.param_groups]
