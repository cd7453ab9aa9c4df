"""Schedules against torch's and transformers' own, tick by tick, and what holds for all of them."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from fractions import Fraction
from importlib import import_module

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from layerlr_dsl.catalogue.schedules import arguments_of, names
from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.plan.clock import Clock, Length, Unit, UnknownTime
from layerlr_dsl.plan.schedules import Plateau, Schedule, ScheduleFault, make

EPOCHS = Clock(Fraction(30))
STEPS = Clock(Fraction(6), 7)
CLOCKS = (EPOCHS, STEPS)


def epochs(value: object) -> Length:
    return Length(Fraction(str(value)), "epochs")


def steps(value: object) -> Length:
    return Length(Fraction(str(value)), "steps")


def percent(value: object) -> Length:
    return Length(Fraction(str(value)), "percent")


def ticks(value: int, clock: Clock) -> Length:
    """So many ticks of the clock."""
    return steps(value) if clock.counts_steps else epochs(value)


def torch_factors(
    make_scheduler: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], count: int
) -> list[float]:
    """What one of torch's schedulers makes of a rate of 1, for `count` ticks."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = make_scheduler(optimizer)
        rates = []
        for tick in range(count):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            if tick < count - 1:
                optimizer.step()
                scheduler.step()
    return rates


def factors(schedule: Schedule, count: int) -> list[float]:
    return [schedule.factor(tick) for tick in range(count)]


# ---------------------------------------------------------------- torch as the oracle


@pytest.mark.parametrize("clock", CLOCKS)
def test_constant_is_one_throughout(clock: Clock) -> None:
    """A constant schedule leaves every rate as the rules give it."""
    assert set(factors(make("constant", {}, clock), 100)) == {1.0}


@pytest.mark.parametrize("clock", CLOCKS)
def test_step_is_step_lr(clock: Clock) -> None:
    """step(every, gamma) gives what StepLR gives at every tick."""
    assert clock.total is not None
    ours = make("step", {"every": ticks(4, clock), "gamma": 0.3}, clock)
    theirs = torch_factors(lambda o: lr_scheduler.StepLR(o, 4, gamma=0.3), clock.total)
    assert factors(ours, clock.total) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("clock", CLOCKS)
def test_multistep_is_multi_step_lr(clock: Clock) -> None:
    """multistep(at, gamma) gives what MultiStepLR gives, whatever the order of the marks."""
    assert clock.total is not None
    marks = (ticks(20, clock), ticks(3, clock), ticks(11, clock))
    ours = make("multistep", {"at": marks, "gamma": 0.5}, clock)
    theirs = torch_factors(lambda o: lr_scheduler.MultiStepLR(o, [3, 11, 20], gamma=0.5), clock.total)
    assert factors(ours, clock.total) == pytest.approx(theirs, rel=1e-12)


def test_exponential_is_exponential_lr() -> None:
    """exponential(gamma) stepped by epochs is ExponentialLR; by steps it passes through the same points."""
    theirs = torch_factors(lambda o: lr_scheduler.ExponentialLR(o, 0.9), 30)
    assert factors(make("exponential", {"gamma": 0.9}, EPOCHS), 30) == pytest.approx(theirs, rel=1e-12)
    by_steps = make("exponential", {"gamma": 0.9}, STEPS)
    assert [by_steps.factor(7 * epoch) for epoch in range(6)] == pytest.approx(theirs[:6], rel=1e-12)


@pytest.mark.parametrize("clock", CLOCKS)
def test_linear_is_linear_lr(clock: Clock) -> None:
    """linear(floor) is LinearLR from 1 to the floor over the whole run."""
    assert clock.total is not None
    ours = make("linear", {"floor": 0.2}, clock)
    total = clock.total
    theirs = torch_factors(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, total), total + 1)
    assert factors(ours, total + 1) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("clock", CLOCKS)
def test_cosine_is_cosine_annealing(clock: Clock) -> None:
    """cosine(floor) is CosineAnnealingLR over the whole run."""
    assert clock.total is not None
    ours = make("cosine", {"floor": 0.01}, clock)
    total = clock.total
    theirs = torch_factors(lambda o: lr_scheduler.CosineAnnealingLR(o, total, eta_min=0.01), total + 1)
    assert factors(ours, total + 1) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(("thirds", "multiply"), [(5, 1), (5, 2), (7, 1), (20, 2)])
def test_a_cycle_that_ends_on_a_tick_begins_the_next_one_there(thirds: int, multiply: int) -> None:
    """The float next to five thirds of a tick is longer than they are: three of them would end behind tick 5."""
    cycle = Length(Fraction(thirds, 3), "epochs")
    ours = make("cosine_restarts", {"every": cycle, "multiply": multiply}, EPOCHS)
    assert ours.factor(thirds) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("multiply", [1, 2, 3])
def test_cosine_restarts_is_cosine_annealing_warm_restarts(clock: Clock, multiply: int) -> None:
    """cosine_restarts(every, multiply) is CosineAnnealingWarmRestarts with T_0 and T_mult."""
    assert clock.total is not None
    ours = make("cosine_restarts", {"every": ticks(4, clock), "multiply": multiply, "floor": 0.1}, clock)
    theirs = torch_factors(
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4, T_mult=multiply, eta_min=0.1), clock.total
    )
    assert factors(ours, clock.total) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("power", [1, 2, 0.5])
def test_polynomial_is_polynomial_lr(clock: Clock, power: float) -> None:
    """polynomial(power) is PolynomialLR over the whole run."""
    assert clock.total is not None
    ours = make("polynomial", {"power": power}, clock)
    total = clock.total
    theirs = torch_factors(lambda o: lr_scheduler.PolynomialLR(o, total, power), total + 1)
    assert factors(ours, total + 1) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize(("share", "div", "final"), [(30, 25, 1e4), (50, 10, 100), (12.5, 4, 1e3)])
def test_one_cycle_is_one_cycle_lr(clock: Clock, share: float, div: float, final: float) -> None:
    """one_cycle(peak_at, div_factor, final_div_factor) is OneCycleLR's rate; its momentum is left alone."""
    assert clock.total is not None
    total = clock.total
    arguments = {"peak_at": percent(share), "div_factor": div, "final_div_factor": final}
    ours = make("one_cycle", arguments, clock)
    theirs = torch_factors(
        lambda o: lr_scheduler.OneCycleLR(
            o, 1.0, total_steps=total, pct_start=share / 100, div_factor=div, final_div_factor=final
        ),
        total,
    )
    assert factors(ours, total) == pytest.approx(theirs, abs=1e-12)


def test_one_cycle_defaults_are_torch_s() -> None:
    """Bare `one_cycle` is OneCycleLR with its own defaults."""
    theirs = torch_factors(lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=30), 30)
    assert factors(make("one_cycle", {}, EPOCHS), 30) == pytest.approx(theirs, abs=1e-12)


REPORTS = st.lists(
    st.sampled_from([0.0, 0.5, 0.9, 0.99995, 1.0, 1.1, 2.0, -1.0, math.nan, math.inf]), max_size=40
)


@given(
    REPORTS,
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([0.0, 1e-4, 0.2]),
    st.sampled_from(["min", "max"]),
    st.sampled_from([0.0, 0.05]),
)
def test_plateau_is_reduce_lr_on_plateau(
    reports: list[float], patience: int, cooldown: int, threshold: float, mode: str, floor: float
) -> None:
    """After each report the factor is what ReduceLROnPlateau makes of a rate of 1."""
    arguments = {
        "metric": "val_loss",
        "factor": 0.3,
        "patience": patience,
        "cooldown": cooldown,
        "threshold": threshold,
        "mode": mode,
        "floor": floor,
    }
    schedule = make("plateau", arguments, EPOCHS)
    assert isinstance(schedule, Plateau)
    state = schedule.controller()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode=mode,  # type: ignore[arg-type]
        factor=0.3,
        patience=patience,
        cooldown=cooldown,
        threshold=threshold,
        min_lr=floor,
        eps=0.0,
    )
    for value in reports:
        theirs.step(value)
        assert state.report(value) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
    assert schedule.factor(5) == 1.0


def test_a_plateau_goes_on_where_it_was_saved() -> None:
    """A state loaded into a fresh controller answers the next reports as the old one does."""
    schedule = make("plateau", {"metric": "val_loss", "patience": 1, "cooldown": 1, "factor": 0.5}, EPOCHS)
    assert isinstance(schedule, Plateau)
    old = schedule.controller()
    for value in (1.0, 1.0, 1.0, 1.0):
        old.report(value)
    new = schedule.controller()
    new.load_state_dict(pickle.loads(pickle.dumps(old.state_dict())))
    later = (1.0, 0.9, 0.9, 0.9, 0.9)
    assert [new.report(v) for v in later] == [old.report(v) for v in later]
    assert new.factor == 0.25


# ---------------------------------------------------------------- transformers as the oracle

TOTAL, WARM = 42, 9


def transformers_factors(name: str, **arguments: object) -> list[float]:
    pytest.importorskip("transformers")
    optimization = with_torchvision(lambda: import_module("transformers.optimization"))
    return torch_factors(lambda o: getattr(optimization, name)(o, **arguments), TOTAL + 5)


@pytest.mark.parametrize(
    ("name", "arguments", "function", "theirs"),
    [
        ("constant", {}, "get_constant_schedule_with_warmup", {}),
        ("linear", {}, "get_linear_schedule_with_warmup", {"num_training_steps": TOTAL}),
        ("cosine", {}, "get_cosine_schedule_with_warmup", {"num_training_steps": TOTAL}),
        (
            "cosine",
            {"floor": 0.1},
            "get_cosine_with_min_lr_schedule_with_warmup",
            {"num_training_steps": TOTAL, "min_lr_rate": 0.1},
        ),
        (
            "cosine_restarts",
            {"every": steps(11)},
            "get_cosine_with_hard_restarts_schedule_with_warmup",
            {"num_training_steps": TOTAL, "num_cycles": 3},
        ),
        (
            "polynomial",
            {"power": 2, "floor": 1e-3},
            "get_polynomial_decay_schedule_with_warmup",
            {"num_training_steps": TOTAL, "power": 2, "lr_end": 1e-3},
        ),
        (
            "wsd",
            {"decay": steps(12)},
            "get_wsd_schedule",
            {"num_training_steps": TOTAL, "num_decay_steps": 12, "decay_type": "linear"},
        ),
    ],
)
def test_with_warm_up_it_is_transformers_schedule(
    name: str, arguments: dict[str, object], function: str, theirs: dict[str, object]
) -> None:
    """Warm-up and decay over what remains, as transformers' get_*_schedule_with_warmup, to the end."""
    ours = make(name, {**arguments, "warmup": steps(WARM)}, STEPS)
    expected = transformers_factors(function, num_warmup_steps=WARM, **theirs)
    assert factors(ours, TOTAL + 1) == pytest.approx(expected[: TOTAL + 1], abs=1e-9)


def test_wsd_with_a_floor_is_transformers_schedule_after_the_warm_up() -> None:
    """transformers starts the warm-up at the floor too; ours is k/w everywhere."""
    ours = make("wsd", {"decay": steps(12), "floor": 0.05, "warmup": steps(WARM)}, STEPS)
    expected = transformers_factors(
        "get_wsd_schedule",
        num_warmup_steps=WARM,
        num_training_steps=TOTAL,
        num_decay_steps=12,
        decay_type="linear",
        min_lr_ratio=0.05,
    )
    assert factors(ours, TOTAL + 5)[WARM:] == pytest.approx(expected[WARM:], abs=1e-9)


@pytest.mark.parametrize("timescale", [None, 20])
def test_inverse_sqrt_is_transformers_schedule(timescale: int | None) -> None:
    """With its time scale taken from the warm-up, or given; after the end of the run it stays where it is."""
    arguments = {"warmup": steps(WARM)} | ({} if timescale is None else {"timescale": steps(timescale)})
    ours = make("inverse_sqrt", arguments, STEPS)
    expected = transformers_factors("get_inverse_sqrt_schedule", num_warmup_steps=WARM, timescale=timescale)
    assert factors(ours, TOTAL + 1) == pytest.approx(expected[: TOTAL + 1], rel=1e-12)
    assert ours.factor(TOTAL + 4) == ours.factor(TOTAL)


def test_inverse_sqrt_falls_over_ten_thousand_steps_by_default() -> None:
    """Neither warm-up nor time scale: transformers' default of 10,000 steps, which a clock of epochs cannot count."""
    clock = Clock(Fraction(20), 1000)
    assert make("inverse_sqrt", {}, clock).factor(10_000) == pytest.approx(math.sqrt(0.5))
    with pytest.raises(UnknownTime) as caught:
        make("inverse_sqrt", {}, EPOCHS)
    assert caught.value.missing == "steps_per_epoch"


@pytest.mark.parametrize(("share", "ratio", "total"), [(0.1, 32, 100), (0.25, 10, 48), (0.1, 32, 37)])
def test_slanted_triangular_is_the_published_formula(share: float, ratio: float, total: int) -> None:
    """Howard and Ruder 2018, equation 3, as printed; what rounds below the lowest rate stays at it."""
    ours = make("slanted_triangular", {"cut_frac": share, "ratio": ratio}, Clock(Fraction(total)))
    cut = math.floor(total * share)
    for t in range(total):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / share - 1))
        published = (1 + max(p, 0.0) * (ratio - 1)) / ratio
        assert ours.factor(t) == pytest.approx(published, rel=1e-12)


# ---------------------------------------------------------------- what holds for every schedule

REQUIRED: dict[str, dict[str, object]] = {
    "step": {"every": epochs(2)},
    "multistep": {"at": (epochs(2), percent(60))},
    "exponential": {"gamma": 0.8},
    "cosine_restarts": {"every": epochs("1.5")},
    "inverse_sqrt": {"timescale": epochs(1)},
    "plateau": {"metric": "val_loss"},
}


@st.composite
def schedules(draw: st.DrawFn) -> tuple[str, dict[str, object], Clock]:
    """A schedule with arguments over their whole domains, on a run of 1 to 12 epochs."""
    per_epoch = draw(st.one_of(st.none(), st.integers(1, 9)))
    clock = Clock(draw(st.fractions(1, 12, max_denominator=4)), per_epoch)
    name = draw(st.sampled_from(names()))
    infos = arguments_of(name)
    assert infos is not None
    arguments = dict(REQUIRED.get(name, {}))
    lengths = st.fractions(Fraction(1, 10), 20, max_denominator=10).map(lambda f: Length(f, "epochs")) | (
        st.fractions(1, 100, max_denominator=3).map(lambda f: Length(f, "percent"))
    )
    shares = st.floats(0, 1)
    choices: dict[str, st.SearchStrategy[object]] = {
        "warmup": lengths,
        "floor": shares,
        "gamma": shares,
        "power": st.floats(0.1, 5),
        "multiply": st.floats(1, 4) | st.integers(1, 4),
        "every": lengths,
        "decay": lengths,
        "timescale": lengths,
        "peak_at": lengths,
        "div_factor": st.floats(1, 100),
        "cut_frac": st.floats(0.01, 0.99),
        "ratio": st.floats(1, 100),
        "at": st.lists(lengths, min_size=1, max_size=4).map(tuple),
    }
    for argument in sorted(set(infos) & choices.keys()):
        if draw(st.booleans()):
            arguments[argument] = draw(choices[argument])
    if "warmup" in arguments:
        for replaced in ("peak_at", "div_factor", "cut_frac"):
            arguments.pop(replaced, None)
    if "floor" in arguments:
        arguments.pop("ratio", None)
    return name, arguments, clock


@settings(max_examples=300, deadline=None)
@given(schedules())
def test_every_schedule_keeps_its_promises(drawn: tuple[str, dict[str, object], Clock]) -> None:
    """Factors lie in [0, 1]; the warm-up is k/w of where the decay begins; after it the floor holds; past the end nothing moves."""
    name, arguments, clock = drawn
    schedule = make(name, arguments, clock)
    assert clock.total is not None
    total = clock.total
    warm = clock.ticks_of(arguments["warmup"]) if "warmup" in arguments else 0  # type: ignore[arg-type]
    values = factors(schedule, total + 12)
    assert all(0.0 <= value <= 1.0 for value in values)
    end = schedule.factor(warm) if warm < total - 1 else schedule.begun(schedule.floor)
    assert values[:warm] == pytest.approx([k / warm * end for k in range(min(warm, len(values)))], abs=1e-12)
    floor = float(arguments.get("floor", 0.0))  # type: ignore[arg-type]
    assert all(value >= floor - 1e-12 for value in values[warm:])
    last = max(total, warm)
    assert {schedule.factor(tick) for tick in (last, last + 1, last + 10_000)} == {schedule.factor(last)}


@settings(max_examples=100, deadline=None)
@given(schedules())
def test_every_schedule_is_a_value(drawn: tuple[str, dict[str, object], Clock]) -> None:
    """Equal arguments make equal schedules with equal hashes; copies and pickles are equal too."""
    name, arguments, clock = drawn
    one, other = make(name, arguments, clock), make(name, arguments, clock)
    assert one == other
    assert hash(one) == hash(other)
    assert copy.deepcopy(one) == one == pickle.loads(pickle.dumps(one))
    assert one.name == name
    assert isinstance(one, Schedule)


def test_ratios_between_groups_hold_down_to_the_floor() -> None:
    """A floor is a share of each group's own peak: an absolute one would lift small rates above their peak."""
    schedule = make("cosine", {"floor": 0.05}, EPOCHS)
    rates = [(1e-4 * schedule.factor(t), 1e-2 * schedule.factor(t)) for t in range(40)]
    assert all(large / small == pytest.approx(100) for small, large in rates)
    assert rates[-1] == pytest.approx((5e-6, 5e-4))


def test_ways_to_write_the_same_thing_are_one_schedule() -> None:
    """Groups merge by behaviour: 10% of 30 epochs is 3 epochs, and linear is polynomial of power 1."""
    assert make("cosine", {"warmup": percent(10)}, EPOCHS) == make("cosine", {"warmup": epochs(3)}, EPOCHS)
    assert make("linear", {}, EPOCHS) == make("polynomial", {"power": 1}, EPOCHS)
    assert make("linear", {}, EPOCHS) != make("polynomial", {"power": 2}, EPOCHS)
    assert make("linear", {}, EPOCHS) != make("cosine", {}, EPOCHS)


def test_a_fractional_period_is_counted_exactly() -> None:
    """step(every=0.1 epochs) of 10 steps falls at every step, without a float's drift."""
    clock = Clock(Fraction(100), 10)
    schedule = make("step", {"every": epochs("0.3"), "gamma": 0.5}, clock)
    drops = [t for t in range(1, 1000) if schedule.factor(t) < schedule.factor(t - 1)]
    assert drops[:300] == list(range(3, 903, 3))


def test_a_run_that_ends_with_a_cycle_ends_low() -> None:
    """The restart that falls on the run's very end does not bring the peak back."""
    schedule = make("cosine_restarts", {"every": epochs(10), "floor": 0.1}, EPOCHS)
    assert schedule.factor(10) == 1.0
    assert schedule.factor(30) == pytest.approx(0.1)


def test_warm_up_takes_the_place_of_a_schedule_s_own_rise() -> None:
    """one_cycle and slanted_triangular rise by k/w where a warm-up is given, and peak at its end."""
    for name in ("one_cycle", "slanted_triangular"):
        schedule = make(name, {"warmup": epochs(5)}, EPOCHS)
        assert factors(schedule, 6) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        assert schedule.factor(6) < 1.0


def test_what_is_stretched_over_the_run_needs_its_length() -> None:
    """A run of unknown length can have steps and exponentials, but no cosine."""
    endless = Clock(None, 10)
    for name in ("cosine", "linear", "polynomial", "one_cycle", "slanted_triangular", "wsd"):
        with pytest.raises(UnknownTime) as caught:
            make(name, {}, endless)
        assert caught.value.missing == "epochs"
    for name in ("constant", "step", "exponential", "cosine_restarts", "inverse_sqrt", "plateau"):
        schedule = make(name, REQUIRED.get(name, {}), endless)
        assert 0.0 <= schedule.factor(10**9) <= 1.0


def test_a_length_in_steps_needs_a_clock_of_steps() -> None:
    """warmup=200 steps cannot be placed where the steps of an epoch are unknown."""
    with pytest.raises(UnknownTime) as caught:
        make("cosine", {"warmup": steps(200)}, EPOCHS)
    assert caught.value.missing == "steps_per_epoch"


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("constant", {}, "constant"),
        ("cosine", {"floor": 0.01, "warmup": percent(5)}, "cosine(warmup=5%, floor=0.01)"),
        ("step", {"gamma": 0.1, "every": epochs(30)}, "step(every=30 epochs)"),
        (
            "multistep",
            {"at": (epochs(30), epochs(60)), "gamma": 0.5},
            "multistep(at=(30 epochs, 60 epochs), gamma=0.5)",
        ),
        ("polynomial", {"power": 2.0}, "polynomial(power=2)"),
        ("plateau", {"metric": 'val/"x"', "factor": 1e-5}, 'plateau(metric="val/\\"x\\"", factor=1e-5)'),
    ],
)
def test_the_text_is_canonical(name: str, arguments: dict[str, object], text: str) -> None:
    """One line, arguments in a fixed order, defaults left out."""
    assert make(name, arguments, EPOCHS).text() == text


@pytest.mark.parametrize(
    ("name", "arguments", "argument", "message", "help"),
    [
        ("cosin", {}, None, "there is no schedule called cosin", "did you mean `cosine`?"),
        ("cosine", {"flor": 0.1}, "flor", "cosine has no argument `flor`", "did you mean floor?"),
        (
            "inverse_sqrt",
            {"endpoint": True},
            "endpoint",
            "no argument `endpoint`",
            "; endpoint is of constant, step, ",
        ),
        ("cosine", {"zz": 0.1}, "zz", "cosine has no argument `zz`", "it takes warmup, "),
        ("step", {}, None, "step needs every", "write step(every=30 epochs)"),
        ("cosine", {"warmup": 5}, "warmup", "warmup needs a unit", "write warmup=5 epochs"),
        ("cosine", {"warmup": "5"}, "warmup", "warmup must be a stretch of time", None),
        ("cosine", {"warmup": epochs(-1)}, "warmup", "warmup must be >= 0", None),
        ("step", {"every": epochs(0)}, "every", "every must be > 0", None),
        ("cosine", {"floor": 2}, "floor", "floor must be in [0, 1]", None),
        ("cosine", {"floor": True}, "floor", "floor must be a number", None),
        ("cosine", {"floor": epochs(1)}, "floor", "floor is a number and takes no unit", "write floor=1"),
        ("exponential", {"gamma": 1.5}, "gamma", "gamma must be in [0, 1]", None),
        ("exponential", {"gamma": math.nan}, "gamma", "gamma must be in [0, 1]", None),
        ("multistep", {"at": ()}, "at", "at is empty", None),
        ("multistep", {"at": (3,)}, "at", "at needs a unit", None),
        ("cosine_restarts", {"every": epochs(1), "multiply": 0.5}, "multiply", "multiply must be >= 1", None),
        ("polynomial", {"power": 0}, "power", "power must be > 0", None),
        ("plateau", {"metric": 3}, "metric", "metric must be the name of a metric", None),
        ("plateau", {"metric": "m", "mode": "mx"}, "mode", 'mode must be "min" or "max"', None),
        (
            "plateau",
            {"metric": "m", "patience": 1.5},
            "patience",
            "patience must be a whole number >= 0",
            None,
        ),
        ("plateau", {"metric": "m", "factor": 1}, "factor", "factor must be in [0, 1)", None),
        (
            "one_cycle",
            {"warmup": epochs(1), "peak_at": epochs(1)},
            "peak_at",
            "warmup and peak_at say the same thing in two ways",
            "leave out peak_at",
        ),
        (
            "slanted_triangular",
            {"floor": 0.1, "ratio": 10},
            "ratio",
            "floor and ratio say the same thing",
            None,
        ),
    ],
)
def test_faults_name_the_argument_and_what_to_do(
    name: str, arguments: dict[str, object], argument: str | None, message: str, help: str | None
) -> None:
    """Unknown, missing and bad arguments each raise a ScheduleFault that says which and why."""
    with pytest.raises(ScheduleFault) as caught:
        make(name, arguments, EPOCHS)
    assert caught.value.argument == argument
    assert message in caught.value.message
    if help is not None:
        assert help in (caught.value.help or "")


def test_percentages_and_epochs_are_read_where_numbers_are_meant() -> None:
    """floor=1% is 0.01, cut_frac=10% is 0.1, and patience=3 epochs is three reports."""
    assert make("cosine", {"floor": percent(1)}, EPOCHS) == make("cosine", {"floor": 0.01}, EPOCHS)
    one = make("slanted_triangular", {"cut_frac": percent(10)}, EPOCHS)
    assert one == make("slanted_triangular", {}, EPOCHS)
    plateau = make("plateau", {"metric": "m", "patience": epochs(3)}, EPOCHS)
    assert plateau == make("plateau", {"metric": "m", "patience": 3}, EPOCHS)


def test_every_argument_is_described() -> None:
    """Completion and messages have a line for each argument; an unknown schedule has none."""
    for name in names():
        infos = arguments_of(name)
        assert infos is not None
        assert "warmup" in infos
        assert all(info.about for info in infos.values())
    assert arguments_of("nonsense") is None


def test_schedules_need_no_torch() -> None:
    """Drawing a schedule leaves torch unimported."""
    code = (
        "import sys; from fractions import Fraction; from layerlr_dsl.plan.clock import Clock\n"
        "from layerlr_dsl.plan.schedules import make\n"
        "make('cosine', {}, Clock(Fraction(3))).factor(1); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_exponential_reaches_its_end_factor_at_the_end_of_the_run() -> None:
    """It goes straight in the logarithm, whatever the length of the run."""
    schedule = make("exponential", {"end_factor": 0.01}, EPOCHS)
    assert schedule.factor(0) == 1.0
    assert schedule.factor(15) == pytest.approx(0.1)
    assert schedule.factor(30) == pytest.approx(0.01)


@pytest.mark.parametrize("name", ["cosine", "linear", "wsd", "polynomial", "one_cycle"])
def test_a_run_that_is_counted_in_steps_alone_has_every_schedule(name: str) -> None:
    """A warm-up of no length needs no epochs to be measured by."""
    schedule = make(name, {}, Clock(steps=100))
    assert schedule.factor(100) == pytest.approx(schedule.factor(99), abs=0.2)


@pytest.mark.parametrize("unit", ["steps", "epochs"])
def test_a_length_that_no_float_holds_is_refused(unit: Unit) -> None:
    """Not an overflow where the curve is made."""
    every = Length(Fraction(10) ** 400, unit)
    with pytest.raises(ScheduleFault, match="every is longer than any run"):
        make("cosine_restarts", {"every": every}, Clock(3, 10))
