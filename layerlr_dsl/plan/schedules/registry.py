"""The schedules by name: which arguments each takes, and how its curve is made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import pi
from typing import Any, TypeAlias

from layerlr_dsl.catalogue.signatures import Interval
from layerlr_dsl.plan.clock import Clock, Length, UnknownTime
from layerlr_dsl.plan.schedules import shapes
from layerlr_dsl.plan.schedules.arguments import ArgumentInfo, ScheduleFault, read, written
from layerlr_dsl.plan.schedules.plateau import Plateau
from layerlr_dsl.tools.nearest import nearest

Values: TypeAlias = dict[str, Any]
Parts: TypeAlias = dict[str, Any]

SHARE = Interval(0, 1, True, True)
ABOVE_ZERO = Interval(low=0)
NOT_NEGATIVE = Interval(low=0, closed_low=True)

WARMUP = ArgumentInfo("length", "linear warm-up: factor k/w at tick k of w", Length(Fraction(0), "epochs"))
FLOOR = ArgumentInfo("fraction", "the least factor, as a share of each group's own peak", 0.0, domain=SHARE)
OWN_FLOOR = ArgumentInfo("fraction", "the last factor, as a share of each group's own peak", domain=SHARE)
GAMMA = ArgumentInfo("number", "what the factor is multiplied by each time", 0.1, domain=SHARE)
COMMON = {"warmup": WARMUP, "floor": FLOOR}

_MOST_CYCLES = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    arguments: Mapping[str, ArgumentInfo]
    parts: Callable[[Values, Clock, Parts], shapes.Curve]


def names() -> tuple[str, ...]:
    """Every schedule there is."""
    return tuple(ENTRIES)


def arguments_of(name: str) -> Mapping[str, ArgumentInfo] | None:
    """The arguments of a schedule in their canonical order, or None for an unknown schedule."""
    entry = ENTRIES.get(name)
    return None if entry is None else entry.arguments


def make(name: str, arguments: Mapping[str, object], clock: Clock) -> shapes.Schedule:
    """The schedule `name` on this clock.

    Raises ScheduleFault for an unknown name or a wrong argument, and UnknownTime where the
    schedule is relative to a run length, or a length to steps, that the clock does not know.
    """
    entry = ENTRIES.get(name)
    if entry is None:
        meant = nearest(name, ENTRIES)
        help = f"did you mean {meant}?" if meant else f"there are {', '.join(ENTRIES)}"
        raise ScheduleFault(None, f"there is no schedule called {name}", help)
    values = read(name, entry.arguments, arguments)
    common: Parts = {
        "name": name,
        "written": written(name, entry.arguments, arguments),
        "warmup": clock.ticks_of(values["warmup"]),  # type: ignore[arg-type]
    }
    return entry.parts(values, clock, common)


# ---------------------------------------------------------------- counted in absolute epochs


def _constant(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    return shapes.Constant(**common, end=shapes.FOREVER, last=1.0)


def _step(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    period = clock.epochs_of(values["every"]) * clock.ticks_per_epoch
    return _held(
        shapes.Step,
        clock,
        common,
        period=period.numerator,
        parts=period.denominator,
        gamma=float(values["gamma"]),
        floor=float(values["floor"]),
    )


def _multistep(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    return _held(
        shapes.MultiStep,
        clock,
        common,
        marks=tuple(sorted(clock.ticks_of(mark) for mark in values["at"])),
        gamma=float(values["gamma"]),
        floor=float(values["floor"]),
    )


def _exponential(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    return _held(
        shapes.Exponential,
        clock,
        common,
        ticks_per_epoch=clock.ticks_per_epoch,
        gamma=float(values["gamma"]),
        floor=float(values["floor"]),
    )


def _inverse_sqrt(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    timescale = values["timescale"]
    ticks = clock.ticks_of(timescale) if timescale is not None else common["warmup"]
    if ticks == 0:
        ticks = clock.ticks_of(Length(Fraction(10_000), "steps"))
    return _held(shapes.InverseSqrt, clock, common, timescale=ticks, floor=float(values["floor"]))


def _held(shape: type[shapes.Curve], clock: Clock, common: Parts, **parts: Any) -> shapes.Curve:
    """A curve that goes on as it is; after the end of a run of known length it stays where it stands."""
    endless = shape(**common, **parts, end=shapes.FOREVER, last=0.0)
    if clock.total is None:
        return endless
    end = max(clock.total, common["warmup"])
    return shape(**common, **parts, end=end, last=endless.factor(end))


# ---------------------------------------------------------------- stretched over the run


def _polynomial(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    total, floor = _total(clock), float(values["floor"])
    return shapes.Polynomial(
        **common,
        end=max(total, common["warmup"]),
        last=floor,
        span=max(total - common["warmup"], 1),
        power=float(values.get("power", 1)),
        floor=floor,
    )


def _cosine(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    total, floor = _total(clock), float(values["floor"])
    return shapes.Cosine(
        **common,
        end=max(total, common["warmup"]),
        last=floor,
        rate=pi / max(total - common["warmup"], 1),
        depth=0.5 * (1.0 - floor),
        floor=floor,
    )


def _cosine_restarts(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    period = float(clock.epochs_of(values["every"]) * clock.ticks_per_epoch)
    multiply = float(values["multiply"])
    starts = [0.0]
    if multiply > 1.0:
        while starts[-1] < shapes.FOREVER and len(starts) < _MOST_CYCLES:
            starts.append(starts[-1] + period * multiply ** (len(starts) - 1))
    floor = float(values["floor"])
    parts: Parts = {"starts": tuple(starts), "period": period, "multiply": multiply, "floor": floor}
    endless = shapes.CosineRestarts(**common, **parts, end=shapes.FOREVER, last=0.0)
    if clock.total is None:
        return endless
    end = max(clock.total, common["warmup"])
    last = endless.factor(end)
    # A run that ends with a cycle ends low: the restart at its last mark belongs to no step.
    if end > common["warmup"] and last > endless.factor(end - 1):
        last = floor
    return shapes.CosineRestarts(**common, **parts, end=end, last=last)


def _one_cycle(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    _one_of(values, "floor", "final_div_factor")
    total = _total(clock)
    start = 1.0 / (values["div_factor"] or 25.0)
    floor = values["floor"]
    final = start / (values["final_div_factor"] or 1e4) if floor is None else float(floor)
    start = max(start, final)
    close = max(float(total - 1), 1.0)
    peak = float(common["warmup"])
    if not common["warmup"]:
        share = values["peak_at"] or Length(Fraction(30), "percent")
        peak = float(clock.epochs_of(share) * clock.ticks_per_epoch) - 1.0
    else:
        _one_of(values, "warmup", "peak_at", given_first=True)
        _one_of(values, "warmup", "div_factor", given_first=True)
    peak = min(max(peak, 0.0), close)
    end = max(total, common["warmup"])
    return shapes.OneCycle(**common, end=end, last=final, peak=peak, close=close, start=start, final=final)


def _slanted_triangular(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    _one_of(values, "floor", "ratio")
    total = _total(clock)
    floor = 1.0 / (values["ratio"] or 32.0) if values["floor"] is None else float(values["floor"])
    if common["warmup"]:
        _one_of(values, "warmup", "cut_frac", given_first=True)
        cut = common["warmup"]
        fall = float(max(total - cut, 1))
    else:
        share = 0.1 if values["cut_frac"] is None else float(values["cut_frac"])
        cut = int(total * share)
        fall = max(cut * (1.0 / share - 1.0) if cut else float(total), 1.0)
    end = max(total, common["warmup"])
    return shapes.SlantedTriangular(**common, end=end, last=floor, cut=cut, fall=fall, floor=floor)


def _wsd(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    total, floor = _total(clock), float(values["floor"])
    start = max(total - clock.ticks_of(values["decay"]), common["warmup"])
    end = max(total, common["warmup"])
    return shapes.WarmupStableDecay(**common, end=end, last=floor, start=start, floor=floor)


def _total(clock: Clock) -> int:
    if clock.total is None:
        raise UnknownTime("epochs")
    return clock.total


def _one_of(values: Values, first: str, second: str, given_first: bool = False) -> None:
    if (given_first or values[first] is not None) and values[second] is not None:
        raise ScheduleFault(
            second, f"{first} and {second} say the same thing in two ways", f"leave out {second}"
        )


# ---------------------------------------------------------------- waiting for a metric


def _plateau(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    return Plateau(
        **common,
        end=shapes.FOREVER,
        last=1.0,
        metric=values["metric"],
        decay=float(values["factor"]),
        patience=values["patience"],
        threshold=float(values["threshold"]),
        rising=values["mode"] == "max",
        cooldown=values["cooldown"],
        floor=float(values["floor"]),
    )


EVERY = ArgumentInfo("length", "how long a period lasts", required=True, positive=True, exact=True)
REPORTS = ArgumentInfo(
    "number",
    "reports in a row without an improvement that are put up with",
    10,
    domain=NOT_NEGATIVE,
    whole=True,
)

ENTRIES: Mapping[str, Entry] = {
    "constant": Entry({"warmup": WARMUP}, _constant),
    "step": Entry({"every": EVERY, "gamma": GAMMA, **COMMON}, _step),
    "multistep": Entry(
        {
            "at": ArgumentInfo("lengths", "when the factor drops, from the start of the run", required=True),
            "gamma": GAMMA,
            **COMMON,
        },
        _multistep,
    ),
    "exponential": Entry(
        {
            "gamma": ArgumentInfo(
                "number", "what an epoch multiplies the factor by", required=True, domain=SHARE
            ),
            **COMMON,
        },
        _exponential,
    ),
    "linear": Entry(COMMON, _polynomial),
    "cosine": Entry(COMMON, _cosine),
    "cosine_restarts": Entry(
        {
            "every": ArgumentInfo(
                "length", "how long the first cycle lasts", required=True, positive=True, exact=True
            ),
            "multiply": ArgumentInfo(
                "number", "how much longer each next cycle is", 1, domain=Interval(1, closed_low=True)
            ),
            **COMMON,
        },
        _cosine_restarts,
    ),
    "polynomial": Entry(
        {"power": ArgumentInfo("number", "the exponent", 1, domain=ABOVE_ZERO), **COMMON}, _polynomial
    ),
    "one_cycle": Entry(
        {
            "peak_at": ArgumentInfo(
                "length", "how long the rise lasts; 30% if not given", positive=True, exact=True
            ),
            "div_factor": ArgumentInfo(
                "number", "the peak over the first rate; 25 if not given", domain=Interval(1, closed_low=True)
            ),
            "final_div_factor": ArgumentInfo(
                "number",
                "the first rate over the last; 1e4 if not given",
                domain=Interval(1, closed_low=True),
            ),
            "warmup": WARMUP,
            "floor": OWN_FLOOR,
        },
        _one_cycle,
    ),
    "slanted_triangular": Entry(
        {
            "cut_frac": ArgumentInfo(
                "fraction", "the share of the run that rises; 0.1 if not given", domain=Interval(0, 1)
            ),
            "ratio": ArgumentInfo(
                "number",
                "the peak over the lowest rate; 32 if not given",
                domain=Interval(1, closed_low=True),
            ),
            "warmup": WARMUP,
            "floor": OWN_FLOOR,
        },
        _slanted_triangular,
    ),
    "inverse_sqrt": Entry(
        {
            "timescale": ArgumentInfo(
                "length",
                "how slowly it falls; the warm-up, or else 10,000 steps, if not given",
                positive=True,
            ),
            **COMMON,
        },
        _inverse_sqrt,
    ),
    "wsd": Entry(
        {
            "decay": ArgumentInfo(
                "length", "how long the fall at the end lasts", Length(Fraction(10), "percent")
            ),
            **COMMON,
        },
        _wsd,
    ),
    "plateau": Entry(
        {
            "metric": ArgumentInfo("metric", "what `schedule.report` is told", required=True),
            "factor": ArgumentInfo(
                "number", "what the rate is multiplied by", 0.1, domain=Interval(0, 1, True)
            ),
            "patience": REPORTS,
            "threshold": ArgumentInfo(
                "number", "the share of the best value that counts as better", 1e-4, domain=NOT_NEGATIVE
            ),
            "mode": ArgumentInfo("word", 'whether "min" or "max" is better', "min", choices=("min", "max")),
            "cooldown": ArgumentInfo(
                "number", "reports to wait after a drop", 0, domain=NOT_NEGATIVE, whole=True
            ),
            **COMMON,
        },
        _plateau,
    ),
}
