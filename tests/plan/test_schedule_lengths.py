"""Stretches of time in schedules against the clock of a run."""

from __future__ import annotations

import pytest
from small_models import inventory_of

import layerlr_dsl as layerlr

MODEL = inventory_of({"body.weight": 2, "head.weight": 2})


def resolved(schedule: str, **clock: int) -> list[tuple[str, str]]:
    plan = layerlr.parse(f"** -> lr 1\nschedule {schedule}").resolve(MODEL, **clock)
    return [(d.code, d.span.text if d.span else "") for d in plan.diagnostics]


@pytest.mark.parametrize(
    ("schedule", "where"),
    [
        ("cosine(warmup=5%)", ["warmup=5%"]),
        ("linear(warmup=0.5 epochs)", ["warmup=0.5 epochs"]),
        ("multistep(at=(1.5 epochs, 2 epochs))", ["1.5 epochs"]),
        ("wsd(decay=1.5 epochs)", ["decay=1.5 epochs"]),
        ("step(every=1.5 epochs)", []),
        ("cosine(warmup=1 epoch)", []),
    ],
)
def test_lengths_round_up_with_a_warning(schedule: str, where: list[str]) -> None:
    """Whole epochs hold no half of one; what is counted in exact periods is not rounded."""
    assert resolved(schedule, epochs=3) == [("LR310", text) for text in where]
    assert resolved(schedule, epochs=3, steps_per_epoch=100) == []


def test_a_warm_up_that_rounds_up_costs_its_epoch() -> None:
    """What the warning is about: an epoch at rate 0."""
    plan = layerlr.parse("** -> lr 1\nschedule constant(warmup=5%)").resolve(MODEL, epochs=3)
    assert [plan.at(epoch=n)["head.weight"]["lr"] for n in range(3)] == [0, 1, 1]


def test_checking_leaves_shares_of_a_run_alone() -> None:
    """Nothing says yet that the run will count whole epochs."""
    rules = layerlr.parse("** -> lr 1\nschedule cosine(warmup=5%)")
    assert rules.check(MODEL, epochs=3) == ()


@pytest.mark.parametrize("warmup", ["120%", "100%", "10 epochs", "50 steps"])
def test_a_warm_up_that_outlives_the_run_is_a_warning(warmup: str) -> None:
    """The peak is never reached; the warning stands at the argument."""
    assert resolved(f"cosine(warmup={warmup})", epochs=10, steps_per_epoch=5) == [
        ("LR304", f"warmup={warmup}")
    ]
    assert resolved("cosine(warmup=9 epochs)", epochs=10) == []


@pytest.mark.parametrize(("clock", "times"), [({}, "5.2 5.6"), ({"steps_per_epoch": 4}, "5.1 5.2")])
def test_a_window_between_two_ticks_never_opens(clock: dict[str, int], times: str) -> None:
    """Half open, rounded up at both ends: no tick lies within."""
    opens, closes = times.split()
    rules = layerlr.parse(f"** -> lr 1\nhead -> lr 2 from epoch {opens} until epoch {closes}")
    plan = rules.resolve(MODEL, epochs=10, **clock)
    assert "LR302" in [d.code for d in plan.diagnostics]
    assert {plan.at(epoch=n / 20)["head.weight"]["lr"] for n in range(200)} == {1}


def test_shares_of_an_unknown_run_are_not_said_to_round() -> None:
    """Without the run's length nobody knows where 0.5% lies."""
    assert layerlr.parse("** -> lr 1\nfreeze body until 0.5%").check(MODEL) == ()
