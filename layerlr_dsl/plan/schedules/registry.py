"""How the curve of each schedule is made from its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil, nextafter
from typing import Any, TypeAlias

from layerlr_dsl.catalogue.schedules import SCHEDULES, instead
from layerlr_dsl.plan.clock import Clock, Length, Steps, UnknownTime
from layerlr_dsl.plan.schedules import shapes
from layerlr_dsl.plan.schedules.arguments import ScheduleFault, read, written
from layerlr_dsl.plan.schedules.plateau import Plateau

Values: TypeAlias = dict[str, Any]
Parts: TypeAlias = dict[str, Any]
Maker: TypeAlias = Callable[[Values, Clock, Parts], shapes.Curve]


def make(name: str, arguments: Mapping[str, object], clock: Clock) -> shapes.Curve:
    """The schedule `name` on this clock.

    Raises ScheduleFault for an unknown name or a wrong argument, and UnknownTime where the
    schedule is relative to a run length, or a length to steps, that the clock does not know.
    """
    signature = SCHEDULES.get(name)
    if signature is None:
        raise ScheduleFault(None, f"there is no schedule called {name}", instead(name))
    for argument, (why, help) in signature.refused.items():
        if argument in arguments:
            raise ScheduleFault(argument, why, help)
    values: Values = read(name, signature.arguments, arguments)
    _refuse_idle(arguments)
    _refuse_contradictions(name, values)
    common: Parts = {
        "name": name,
        "written": written(name, signature.arguments, arguments),
        "warmup": _warmup(values, clock),
        "floor": _float(values, "floor") or 0.0,
        "min_lr": _float(values, "min_lr"),
        "held": _held_for(values, clock),
    }
    return MAKERS[name](values, clock, common)


def _float(values: Values, name: str) -> float | None:
    value = values.get(name)
    return None if value is None else float(value)


_OF_WARMUP = ("warmup_start_factor", "warmup_lr", "warmup_type")


def _refuse_idle(arguments: Mapping[str, object]) -> None:
    """What is said of a warm-up that is not there would be passed over in silence."""
    idle = next((name for name in _OF_WARMUP if name in arguments), None)
    if idle is not None and "warmup" not in arguments:
        raise ScheduleFault(
            idle, f"{idle} is of a warm-up, and there is none", f"give warmup=5% too, or leave out {idle}"
        )


def _refuse_contradictions(name: str, values: Values) -> None:
    for first, second in (("floor", "min_lr"), ("warmup_start_factor", "warmup_lr")):
        _one_of(values, first, second)
    if values["warmup_type"].name == "exponential" and not (
        values["warmup_start_factor"] or values.get("warmup_lr")
    ):
        raise ScheduleFault(
            "warmup_type",
            "an exponential warm-up cannot begin at 0",
            "give warmup_start_factor=0.01, or warmup_lr",
        )


def _warmup(values: Values, clock: Clock) -> shapes.Warmup:
    ticks = clock.ticks_of(values["warmup"])
    rate = values.get("warmup_lr")
    return shapes.Warmup(
        ticks,
        _reached(ticks, values, clock),
        float(values["warmup_start_factor"] or 0.0),
        None if rate is None else float(rate),
        values["warmup_type"],
        values.get("warmup_prefix") is False,
    )


def _held_for(values: Values, clock: Clock) -> Steps:
    if values.get("interval") != "epoch":
        return 1
    if not clock.knows_epochs:
        raise UnknownTime("steps_per_epoch")
    return clock.ticks_per_epoch


def _reached(end: int, values: Values, clock: Clock) -> int:
    """The tick at which an end is reached: with `endpoint` where the schedule is looked up last before it."""
    if not values.get("endpoint"):
        return end
    held = _held_for(values, clock)
    return max(ceil((end - 1) // held * held), 0)


def _begins(values: Values, common: Parts) -> int:
    """The tick from which a decay is counted."""
    return 0 if values.get("warmup_prefix") is False else common["warmup"].ticks


def _stretch(values: Values, clock: Clock, common: Parts) -> Parts:
    """Where a decay that fills the run begins, and how many ticks it takes."""
    total, begins = _total(clock), _begins(values, common)
    span = _reached(total, values, clock) - begins
    return {**common, "end": max(total, common["warmup"].ticks), "start": begins, "span": max(span, 1)}


# ---------------------------------------------------------------- counted in absolute epochs


def _constant(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    return shapes.Constant(**common, level=float(values["factor"]))


def _step(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    period = clock.exact(values["every"])
    return shapes.Step(
        **_open(clock, common),
        period=period.numerator,
        parts=period.denominator,
        gamma=float(values["gamma"]),
    )


def _multistep(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    marks = tuple(sorted(clock.ticks_of(mark) for mark in values["at"]))
    return shapes.MultiStep(**_open(clock, common), marks=marks, gamma=float(values["gamma"]))


def _exponential(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    end = values["end_factor"]
    if (end is None) is (values["gamma"] is None):
        raise ScheduleFault(
            None if end is None else "end_factor",
            "exponential needs gamma, or end_factor, and not both",
            "write exponential(gamma=0.9) or exponential(end_factor=0.01)",
        )
    if end is None:
        if not clock.knows_epochs:
            raise UnknownTime("steps_per_epoch")
        period = float(clock.ticks_per_epoch)
        return shapes.Exponential(**_open(clock, common), gamma=float(values["gamma"]), period=period)
    _no_floor(values, "end_factor")
    if end == 0:
        raise ScheduleFault(
            "end_factor", "an exponential never reaches 0", "give a small number, or use cosine"
        )
    stretch = _stretch(values, clock, common)
    period = float(stretch.pop("span"))
    return shapes.Exponential(**stretch, gamma=float(end), period=period, most=1.0)


def _inverse_sqrt(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    timescale = values["timescale"]
    ticks = clock.ticks_of(timescale) if timescale is not None else common["warmup"].ticks
    if ticks == 0:
        ticks = clock.ticks_of(Length(Fraction(10_000), "steps"))
    return shapes.InverseSqrt(**_open(clock, common), timescale=ticks, start=common["warmup"].ticks)


def _open(clock: Clock, common: Parts) -> Parts:
    """A curve that goes on as it is; after the end of a run of known length it stays where it stands."""
    end = shapes.FOREVER if clock.total is None else max(clock.total, common["warmup"].ticks)
    return {**common, "end": end}


# ---------------------------------------------------------------- stretched over the run


def _linear(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    first, last = values["start_factor"], values["end_factor"]
    if first is None and last is None:
        return shapes.Polynomial(**_stretch(values, clock, common), power=1.0)
    _no_floor(values, "end_factor" if last is not None else "start_factor")
    return shapes.Linear(
        **_stretch(values, clock, common),
        first=1.0 if first is None else float(first),
        last=1.0 if last is None else float(last),
    )


def _polynomial(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    return shapes.Polynomial(**_stretch(values, clock, common), power=float(values["power"]))


def _falling(along: Callable[[float], float]) -> Maker:
    """A decay over the run whose curve is a function of the progress: 1 at 0, and 0 at 1."""
    return lambda values, clock, common: shapes.Falling(**_stretch(values, clock, common), along=along)


def _at_most(length: Fraction) -> float:
    """The largest float that is not above a length: no cycle that ends on a tick ends a hair behind it."""
    nearest = float(length)
    return nearest if nearest <= length else nextafter(nearest, 0.0)


def _cosine_restarts(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    return shapes.CosineRestarts(
        **_open(clock, common),
        start=_begins(values, common),
        period=_at_most(clock.exact(values["every"])),
        multiply=float(values["multiply"]),
    )


def _one_cycle(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    for other in ("floor", "min_lr"):
        _one_of(values, other, "final_div_factor")
    total, ticks = _total(clock), common["warmup"].ticks
    start = 1.0 / (values["div_factor"] or 25.0)
    floor = values["floor"]
    final = start / (values["final_div_factor"] or 1e4) if floor is None else float(floor)
    close = max(float(total - 1), 1.0)
    peak = float(ticks)
    if not ticks:
        share = values["peak_at"] or Length(Fraction(30), "percent")
        peak = float(clock.exact(share)) - 1.0
    else:
        for other in ("peak_at", "div_factor"):
            _one_of(values, "warmup", other, given_first=True)
    common = {**common, "floor": final, "end": max(total, ticks)}
    return shapes.OneCycle(**common, peak=min(max(peak, 0.0), close), close=close, start=max(start, final))


def _slanted_triangular(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    for other in ("floor", "min_lr"):
        _one_of(values, other, "ratio")
    total, ticks = _total(clock), common["warmup"].ticks
    floor = 1.0 / (values["ratio"] or 32.0) if values["floor"] is None else float(values["floor"])
    if ticks:
        _one_of(values, "warmup", "cut_frac", given_first=True)
        cut, fall = ticks, float(max(total - ticks, 1))
    else:
        share = 0.1 if values["cut_frac"] is None else float(values["cut_frac"])
        cut = int(total * share)
        fall = max(cut * (1.0 / share - 1.0) if cut else float(total), 1.0)
    common = {**common, "floor": floor, "end": max(total, ticks)}
    return shapes.SlantedTriangular(**common, peak=cut, fall=fall)


def _wsd(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    easing = values["decay_type"]
    if easing.name == "exponential" and not (values["floor"] or values["min_lr"]):
        raise ScheduleFault("decay_type", "an exponential fall never reaches 0", "give floor=0.01, or min_lr")
    total, ticks = _total(clock), common["warmup"].ticks
    start = max(total - clock.ticks_of(values["decay"]), 0 if common["warmup"].to_peak else ticks)
    span = _reached(total, values, clock) - start
    common = {**common, "end": max(total, ticks)}
    return shapes.WarmupStableDecay(**common, start=start, span=span, easing=easing)


def _total(clock: Clock) -> int:
    if clock.total is None:
        raise UnknownTime("epochs")
    return clock.total


def _one_of(values: Values, first: str, second: str, given_first: bool = False) -> None:
    if (given_first or values.get(first) is not None) and values.get(second) is not None:
        raise ScheduleFault(
            second, f"{first} and {second} say the same thing in two ways", f"leave out {second}"
        )


def _no_floor(values: Values, factor: str) -> None:
    for floor in ("floor", "min_lr"):
        if values.get(floor) is not None:
            raise ScheduleFault(floor, f"{floor} and {factor} both say where it ends", f"leave out {floor}")


# ---------------------------------------------------------------- waiting for a metric


def _plateau(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    return Plateau(
        **common,
        metric=values["metric"],
        decay=float(values["factor"]),
        patience=values["patience"],
        threshold=float(values["threshold"]),
        rising=values["mode"] == "max",
        cooldown=values["cooldown"],
    )


MAKERS: Mapping[str, Maker] = {
    **{name: _falling(along) for name, along in shapes.FALLING.items()},
    "constant": _constant,
    "step": _step,
    "multistep": _multistep,
    "exponential": _exponential,
    "linear": _linear,
    "cosine_restarts": _cosine_restarts,
    "polynomial": _polynomial,
    "one_cycle": _one_cycle,
    "slanted_triangular": _slanted_triangular,
    "inverse_sqrt": _inverse_sqrt,
    "wsd": _wsd,
    "plateau": _plateau,
}
