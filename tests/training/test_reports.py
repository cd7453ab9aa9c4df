"""Metric conditions and plateaus: what is counted, and what a report does."""

import math
import time
import warnings

import numpy as np
import pytest
import torch
from nets import resolve, seeded

import layerlr_dsl as layerlr
from layerlr_dsl.training.errors import ScheduleWarning
from layerlr_dsl.training.parallel import told_if_it_takes_long

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


@pytest.mark.parametrize("reports", [2, 4, 8])
def test_of_several_reports_in_an_epoch_the_last_counts(reports):
    """`for 2 epochs` waits two epochs though a metric comes twice, four or eight times in each."""
    model, _, schedule = made(WAITS, steps=8)
    thawed = []
    for tick in range(1, 5 * 8 + 1):
        schedule.step()
        if tick % (8 // reports) == 0:
            schedule.report(val_loss=1.0 if tick <= 8 else 2.0)
        thawed.append(model.mid[0].weight.requires_grad)
    assert thawed == [False] * 23 + [True] * 17


def test_a_report_in_mid_epoch_is_judged_by_the_first_step_of_the_next():
    """Until then a better one may still come, and then that one counts."""
    model, _, schedule = made("** -> lr 1e-2\nfreeze mid until val_loss stops falling for 1 epochs", steps=4)
    thawed = []
    for values in ((1.0, None), (2.0, 0.5), (2.0, None), (None, None)):
        for value in values:
            schedule.step()
            if value is not None:
                schedule.report(val_loss=value)
            schedule.step()
            thawed.append(model.mid[0].weight.requires_grad)
    assert thawed == [False] * 6 + [True] * 2
    assert schedule.state_dict()["conditions"][0]["fired"] == 13


def test_a_report_of_the_next_epoch_settles_the_one_before():
    """Where one process evaluates between two steps of the schedule, nothing is judged twice."""
    model, _, schedule = made(WAITS, steps=4)
    for value in (1.0, 2.0, 3.0):
        for _ in range(3):
            schedule.step()
        schedule.report(val_loss=0.0)
        schedule.report(val_loss=value)
        schedule.step()
    assert not model.mid[0].weight.requires_grad
    schedule.step()
    assert model.mid[0].weight.requires_grad


def test_a_report_at_the_end_of_an_epoch_holds_from_its_very_next_step():
    """And another of the same epoch takes it back."""
    model, _, schedule = made("** -> lr 1e-2\nfreeze mid until val_loss stops falling for 1 epochs")
    epoch(schedule, val_loss=1.0)
    epoch(schedule, val_loss=2.0)
    assert model.mid[0].weight.requires_grad
    schedule.report(val_loss=0.5)
    assert not model.mid[0].weight.requires_grad
    schedule.report(val_loss=3.0)
    assert model.mid[0].weight.requires_grad
    schedule.step()
    assert schedule.state_dict()["conditions"][0]["fired"] == 4


def test_an_epoch_is_over_where_its_loop_says_so():
    """`end_of_epoch` counts, whatever the clock makes of it, and needs no value of its own."""
    model, _, schedule = made(WAITS, steps=10)
    trained = []
    for value in (1.0, 2.0, 3.0):
        schedule.step()
        schedule.report(val_loss=value)
        schedule.report(end_of_epoch=True)
        trained.append(model.mid[0].weight.requires_grad)
    assert trained == [False, False, True]


def test_without_epochs_every_report_counts_as_one():
    """A run whose length is known in steps alone has nothing else to count by."""
    model = seeded()
    plan = layerlr.parse(WAITS).resolve(model, steps=20)
    schedule = plan.schedule(model, torch.optim.AdamW(plan.param_groups(model)))
    for value in (1.0, 2.0, 2.0):
        schedule.step()
        schedule.report(val_loss=value)
    assert model.mid[0].weight.requires_grad


def test_a_plateau_counts_epochs_too():
    """Four reports in an epoch are one to torch's ReduceLROnPlateau, stepped with the last of them."""
    rules = 'schedule plateau(metric="val_loss", factor=0.5, patience=1)\n** -> lr 1e-2'
    _, optimizer, schedule = made(rules, steps=4)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1e-2)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, factor=0.5, patience=1)
    for last in (1.0, 0.9, 0.95, 0.92, 0.95, 0.5, 0.6):
        for value in (7.0, 0.1, 3.0, last):
            schedule.step()
            schedule.report(val_loss=value)
        oracle.step(last)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])


def test_what_was_reported_in_an_epoch_survives_a_resume_in_it():
    """A checkpoint between the report and the end of its epoch loses neither."""
    model, _, first = made("** -> lr 1e-2\nfreeze mid until val_loss stops falling for 1 epochs", steps=4)
    for value in (1.0, 2.0):
        for _ in range(3):
            first.step()
        first.report(val_loss=value)
        if value == 1.0:
            first.step()
    model, _, resumed = made("** -> lr 1e-2\nfreeze mid until val_loss stops falling for 1 epochs", steps=4)
    resumed.load_state_dict(first.state_dict())
    resumed.step()
    assert not model.mid[0].weight.requires_grad
    resumed.step()
    assert model.mid[0].weight.requires_grad


def test_a_metric_that_nobody_reports_is_named_during_the_run():
    """Once its patience is over and an epoch more, without anybody asking; never where it was reported."""
    rules = WAITS + "\nfreeze stem until accuracy stops rising for 1 epochs"
    _, _, schedule = made(rules)
    found = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(10):
            epoch(schedule, accuracy=0.5)
            found.append([str(w.message) for w in caught if "nobody has reported" in str(w.message)])
    assert [len(texts) for texts in found] == [0, 0, 0] + [1] * 7
    assert "val_loss stops falling for 2 epochs" in found[-1][0]
    assert "accuracy" not in found[-1][0]


@pytest.mark.parametrize(("epochs", "said"), [(2, 3), (3, 5), (10, 11)])
def test_a_short_run_is_told_before_it_is_over(epochs, said):
    """However long the patience: after half the run it is time."""
    _, _, schedule = made("** -> lr 1e-2\nfreeze mid until val_loss stops falling for 5 epochs", epochs)
    for tick in range(1, 2 * epochs + 1):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            schedule.step()
        assert len(caught) == (tick == said)


def test_an_improvement_counts_only_beyond_the_margin():
    """`by 0.1` makes a smaller gain no improvement."""
    model, _, schedule = made(WAITS + " by 0.1")
    for value in (1.0, 0.95, 0.91):
        epoch(schedule, val_loss=value)
    assert model.mid[0].weight.requires_grad


def test_rising_metrics_wait_for_the_other_direction():
    """An accuracy that stops rising thaws; one that rises does not."""
    model, _, schedule = made('** -> lr 1e-2\nfreeze mid until "val/acc" stops rising for 1 epochs')
    epoch(schedule, **{"val/acc": 0.5})
    epoch(schedule, **{"val/acc": 0.6})
    assert not model.mid[0].weight.requires_grad
    epoch(schedule, **{"val/acc": torch.tensor(0.55)})
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


def test_a_report_that_the_others_do_not_make_is_told_of():
    """Every process must call it; one that waits for the others says so instead of standing there in silence."""
    with (
        pytest.warns(ScheduleWarning, match="all of them must"),
        told_if_it_takes_long("all of them must", 0.01),
    ):
        time.sleep(0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with told_if_it_takes_long("all of them must", 0.1):
            pass
        time.sleep(0.2)
