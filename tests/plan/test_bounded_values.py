"""What a value that moves stays between, held to what it is at each tick."""

from __future__ import annotations

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.ranges import corners
from tests.plan.test_bounds_of_work import work

MODEL = Inventory.of(nn.Linear(2, 2))
TICKS = 24
NUMBERS = st.sampled_from(["0", "1", "0.3", "2", "7", "0.05", "-1.5", "1e-3", "epochs", "1e6"])
TIMES = st.sampled_from(["progress", "epoch", "step", "(step mod 5)"])
SHAPES = st.sampled_from(["linear", "cosine", "exponential", "sqrt", "power(3)", "constant"])


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Larger expressions out of smaller ones."""
    binary = st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "^", "mod"]), inner)
    single = st.tuples(
        st.sampled_from(["sqrt", "exp", "log", "log2", "abs", "floor", "ceil", "cos", "sin"]), inner
    )
    ramp = st.tuples(inner, inner, inner, SHAPES)
    return st.one_of(
        binary.map(lambda x: f"({x[0]} {x[1]} {x[2]})"),
        single.map(lambda x: f"{x[0]}({x[1]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda x: f"{x[0]}({x[1]}, {x[2]})"),
        st.tuples(inner, inner, inner).map(lambda x: f"choose({x[0]} < {x[1]}, {x[1]}, {x[2]})"),
        ramp.map(lambda x: f"ramp((0%, {x[0]}), (40%, {x[1]}), (90%, {x[2]}), shape={x[3]})"),
        inner.map(lambda x: f"(-({x}))"),
    )


def moved(value: str) -> layerlr.Plan:
    """A plan in which the rate moves so, whatever is wrong with its values."""
    rules = layerlr.parse(f"** -> lr {value}\n")
    return rules._plan(MODEL, 4, 6, None, lenient=True)


@settings(max_examples=150, deadline=None)
@given(st.recursive(NUMBERS | TIMES, grown, max_leaves=6), st.integers(0, 10), st.integers(0, 14))
def test_no_tick_lies_outside(value: str, first: int, length: int) -> None:
    """Of whatever has a range, every tick has a value, and it lies in the range."""
    try:
        plan = moved(f"({value}) * progress")
    except layerlr.RuleError:
        reject()
    stretches, last = plan.timeline.stretches({}), min(first + length, TICKS)
    movers = plan.behaviours[0].now(0).products["lr"].movers
    found = corners(movers, stretches, first, last) if movers else None
    ticks = range(first, last + 1) if found is not None else ()
    reached = [movers[0].course(stretches)(tick) for tick in ticks]
    assert all(min(found or [0]) <= number <= max(found or [0]) for number in reached)


@pytest.mark.parametrize(
    ("value", "least", "greatest"),
    [
        ("ramp((0%, 0.04), (100%, 0.4), shape=cosine)", 0.04, 0.4),
        ("1 - progress", 0.0, 1.0),
        ("(1 - progress) * min(1, progress / 10%)", 0.0, 1.0),
        ("choose(progress < 50%, 1, ramp((50%, 1), (100%, 1e-2), shape=exponential))", 1e-2, 1.0),
    ],
)
def test_what_recipes_write_is_bounded_by_what_it_reaches(value: str, least: float, greatest: float) -> None:
    """Hardly wider than the truth, so that nothing has to be tried."""
    plan = moved(value)
    product = plan.behaviours[0].now(0).products["lr"]
    found = corners(product.movers, plan.timeline.stretches({}), 0, TICKS)
    assert found == pytest.approx([least, greatest], abs=1e-9)


@pytest.mark.parametrize(
    "value", ["1 / abs(progress - 50%)", "log(progress)", "sqrt(progress - 1)", "(progress - 1) ^ 0.5"]
)
def test_what_may_have_no_value_has_no_range(value: str) -> None:
    """It is looked at tick by tick, which finds where."""
    product = (plan := moved(value)).behaviours[0].now(0).products["lr"]
    assert corners(product.movers, plan.timeline.stretches({}), 0, TICKS) is None
    assert any(found.code == "LR108" for found in layerlr.parse(f"** -> lr {value}\n").check(MODEL, 4, 6))


def test_a_long_run_takes_no_more_looks_than_a_short_one() -> None:
    """Values that are in order at both ends of their range are not tried at each of 10,000 ticks."""
    rules = "** -> lr 1e-3, weight_decay ramp((0%, 0.04), (100%, 0.4), shape=cosine)\n** -> betas (0.9 + 0.05 * progress, 0.99)\n"
    work(f"epochs 10\n{rules}", MODEL)
    assert work(f"epochs 10000\n{rules}", MODEL) < 1.2 * work(f"epochs 10\n{rules}", MODEL)


def test_a_let_that_is_a_schedule_is_bounded_too() -> None:
    """A factor that is known to be 0 or more is not tried at each tick; one that may be less is."""
    rules = "steps_per_epoch 10\nlet fall = (1 - progress) * min(1, progress / 10%)\nschedule fall\n** -> lr 1e-3\n"
    work(f"epochs 10\n{rules}", MODEL)
    assert work(f"epochs 900\n{rules}", MODEL) < 1.2 * work(f"epochs 10\n{rules}", MODEL)
    below = layerlr.parse("epochs 10\nlet fall = 0.5 - progress\nschedule fall\n** -> lr 1e-3\n").check(MODEL)
    assert [found.code for found in below] == ["LR107"]
