"""What may come: how far a picture says that metrics may take a rate, held to schedules that hear them."""

from __future__ import annotations

import pytest
import torch
from pages import Net, plan_of

from layerlr_dsl.plots import characters, picture, svg
from layerlr_dsl.plots.chart import of_groups
from layerlr_dsl.plots.series import Picture, Series
from layerlr_dsl.tools.screen import Screen


def _series(shown: Picture, name: str) -> Series:
    return next(one for one in shown.series if one.name == name)


PLATEAU = "schedule plateau(metric=val_loss, patience=1, factor=0.5, warmup=2 epochs)\n** -> lr 1e-2\n"


@pytest.mark.parametrize("values", [[1.0] * 12, [1, 0.9, 0.8, 0.8, 0.8, 0.8, 0.7, 0.7, 0.7, 0.7, 0.6, 0.5]])
@pytest.mark.parametrize("text", [PLATEAU, PLATEAU.replace("factor=0.5", "factor=0.1, min_lr=2e-3")])
def test_a_plateau_never_leaves_its_fan(values: list[float], text: str) -> None:
    """Whatever is reported; and with a metric that never gets better it runs along the lower edge."""
    model = Net()
    plan = plan_of(text, model, epochs=12, steps_per_epoch=2)
    one = picture(plan, "t").series[0]
    assert one.fan is not None
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    for value in values:
        for _ in range(2):
            rate = optimizer.param_groups[0]["lr"]
            tick = schedule.last_epoch
            assert one.fan.low[tick] <= rate * (1 + 1e-9)
            assert rate <= one.fan.high[tick] * (1 + 1e-9)
            if len(set(values)) == 1:
                assert rate == pytest.approx(one.fan.low[tick])
            model.zero_grad()
            model.stem(torch.ones(4)).sum().backward()
            optimizer.step()
            schedule.step()
        schedule.report(val_loss=value)


def test_what_no_metric_touches_has_no_fan() -> None:
    """A condition on one layer says nothing of the others."""
    shown = picture(plan_of("** -> lr 1e-3\nfreeze stem until loss stops falling for 2 epochs\n"), "t")
    assert _series(shown, "stem").fan is not None
    assert all(one.fan is None for one in shown.series if one.name != "stem")


def test_a_freeze_that_waits_may_end_from_when_its_patience_can_be_over() -> None:
    """Before that nothing can come of the metric; behind it both are possible."""
    text = "** -> lr 1e-3\nfreeze stem from epoch 4 until loss stops falling for 2 epochs\n"
    one = _series(picture(plan_of(text, steps_per_epoch=5), "t"), "stem")
    assert one.fan is not None
    assert not any(one.fan.frees[:30])
    assert all(one.fan.frees[31:])
    assert one.fan.high[35] == pytest.approx(1e-3)


def test_a_rate_that_a_metric_changes_has_both_in_its_fan() -> None:
    """The rate before and the rate after, from as soon as the condition may come true."""
    text = "** -> lr 1e-3\nhead -> lr 1e-2 until loss stops falling for 2 epochs\n"
    one = _series(picture(plan_of(text), "t"), "head")
    assert one.fan is not None
    assert (one.fan.low[5], one.fan.high[5]) == pytest.approx((1e-3, 1e-2))


def test_what_has_come_is_not_supposed() -> None:
    """With `--event` nothing is left open."""
    plan = plan_of("** -> lr 1e-3\nfreeze stem until loss stops falling for 2 epochs\n")
    shown = picture(plan, "t", {0: 6})
    assert all(one.fan is None for one in shown.series)


def test_what_is_assumed_is_said() -> None:
    """In the terminal, and in files: by words, and by a sign of its own in the lane."""
    plan = plan_of(PLATEAU + "freeze stem until loss stops falling for 2 epochs\n")
    chart = of_groups(picture(plan, "t"))
    lines = " ".join(line.strip() for line in characters.draw(chart, Screen(width=100)))
    drawn = svg.draw(chart)
    for said in ("loss stops falling for 2 epochs never comes", "takes nothing off"):
        assert f"assumed: {said}" in lines or f"{said}" in lines
        assert said in drawn
    assert "?░" in lines
    assert "fill-opacity" in drawn
