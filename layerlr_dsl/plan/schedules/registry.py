"""The schedules by name: which arguments each takes, and how its curve is made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from fractions import Fraction
from typing import Any, TypeAlias

from layerlr_dsl.catalogue.signatures import Interval
from layerlr_dsl.plan.clock import Clock, Length, UnknownTime
from layerlr_dsl.plan.schedules import shapes
from layerlr_dsl.plan.schedules.arguments import ArgumentInfo, ScheduleFault, read, written
from layerlr_dsl.plan.schedules.easing import LINEAR
from layerlr_dsl.plan.schedules.plateau import Plateau
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.records import record

Values: TypeAlias = dict[str, Any]
Parts: TypeAlias = dict[str, Any]
Maker: TypeAlias = Callable[[Values, Clock, Parts], shapes.Curve]

SHARE = Interval(0, 1, True, True)
ABOVE_ZERO = Interval(low=0)
NOT_NEGATIVE = Interval(low=0, closed_low=True)

WARMUP = {
    "warmup": ArgumentInfo("length", "how long the warm-up lasts", Length(Fraction(0), "epochs")),
    "warmup_start_factor": ArgumentInfo(
        "fraction", "the share of the rate that a warm-up begins with; 0 if not given", domain=NOT_NEGATIVE
    ),
    "warmup_lr": ArgumentInfo("number", "the rate that a warm-up begins with", domain=NOT_NEGATIVE),
    "warmup_type": ArgumentInfo("shape", "the shape of the warm-up", LINEAR),
}
FLOOR = ArgumentInfo("fraction", "the least factor, as a share of each group's own peak", domain=SHARE)
MIN_LR = ArgumentInfo("number", "the least rate, the same for every group", domain=NOT_NEGATIVE)
INTERVAL = ArgumentInfo(
    "word",
    "look the schedule up at every step, or at the start of each epoch",
    "step",
    choices=("step", "epoch"),
)
ENDPOINT = ArgumentInfo("flag", "whether ends are reached at the last tick before them", False)
PREFIX = ArgumentInfo(
    "flag", "whether the decay begins behind the warm-up; else the warm-up replaces its first part", True
)
GAMMA = ArgumentInfo("number", "what the factor is multiplied by each time", 0.1, domain=SHARE)
END_FACTOR = ArgumentInfo("number", "the factor at the end", domain=NOT_NEGATIVE)
FLOORS = {"floor": FLOOR, "min_lr": MIN_LR}
COMMON = {**WARMUP, **FLOORS, "interval": INTERVAL}
STRETCHED = {**COMMON, "endpoint": ENDPOINT, "warmup_prefix": PREFIX}

FAMILIAR: Mapping[str, str] = {
    "steplr": "step",
    "multisteplr": "multistep",
    "constantlr": "constant",
    "linearlr": "linear",
    "exponentiallr": "exponential",
    "polynomiallr": "polynomial",
    "cosineannealinglr": "cosine",
    "cosineannealingwarmrestarts": "cosine_restarts",
    "onecyclelr": "one_cycle",
    "reducelronplateau": "plateau",
    "getcosineschedulewithwarmup": "cosine",
    "getlinearschedulewithwarmup": "linear",
    "getconstantschedule": "constant",
    "getconstantschedulewithwarmup": "constant",
    "getpolynomialdecayschedulewithwarmup": "polynomial",
    "getinversesqrtschedule": "inverse_sqrt",
    "getcosinewithhardrestartsschedulewithwarmup": "cosine_restarts",
    "getcosinewithminlrschedulewithwarmup": "cosine",
    "getcosinewithminlrschedulewithwarmuplrrate": "cosine",
    "cosinewithminlr": "cosine",
    "cosinewarmupwithminlr": "cosine",
    "cosinewithrestarts": "cosine_restarts",
    "constantwithwarmup": "constant",
    "warmupstabledecay": "wsd",
    "getreduceonplateauschedule": "plateau",
    "getwsdschedule": "wsd",
    "cosinelrscheduler": "cosine",
    "steplrscheduler": "step",
    "multisteplrscheduler": "multistep",
    "polylrscheduler": "polynomial",
    "plateaulrscheduler": "plateau",
    "wsdlrscheduler": "wsd",
}
"""What torch, transformers and timm call these, in lower case and without `_`."""

UNEQUALLED: Mapping[str, str] = {
    "lambdalr": "write the factor as a `let` that moves, and `schedule NAME`",
    "multiplicativelr": "write the factor as a `let` that moves, and `schedule NAME`",
    "sequentiallr": "write one behind the other: `schedule linear for 5 epochs then cosine`",
    "chainedscheduler": "multiply them in a `let`, `let both = cosine(warmup=5%) * step(every=30 epochs)`, and write `schedule both`",
    "cycliclr": "write `cosine_restarts(every=10 epochs)`, or a `let` that moves and `schedule NAME`",
    "swalr": "write one behind the other: `schedule cosine for 75% then constant(factor=0.1)`",
    "getscheduler": "name the schedule itself, such as `schedule cosine(warmup=5%)`",
    "getadafactorschedule": "leave it out: Adafactor sets its own rate",
    "greedy": "write `plateau(metric=val_loss)`, which falls when a metric says so",
    "getgreedyschedule": "write `plateau(metric=val_loss)`, which falls when a metric says so",
    "tanhlrscheduler": "write the curve as a `let` that moves, and `schedule NAME`",
}
"""Names that no schedule stands for by itself, and what says the same."""


@record
class Entry:
    arguments: Mapping[str, ArgumentInfo]
    parts: Maker
    refused: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    """Arguments that others take and this cannot: why, and the way out."""


def names() -> tuple[str, ...]:
    """Every schedule there is."""
    return tuple(ENTRIES)


def arguments_of(name: str) -> Mapping[str, ArgumentInfo] | None:
    """The arguments of a schedule in their canonical order, or None for an unknown schedule."""
    entry = ENTRIES.get(name)
    return None if entry is None else entry.arguments


def meant(name: str) -> str | None:
    """The schedule that a name of another library, or a slip, stands for."""
    known = _key(name)
    return None if known in UNEQUALLED else FAMILIAR.get(known) or nearest(name, ENTRIES)


def instead(name: str) -> str:
    """What to write in place of an unknown schedule."""
    near = meant(name)
    known = "known: " + ", ".join(ENTRIES)
    return f"did you mean `{near}`?" if near else UNEQUALLED.get(_key(name), known)


def _key(name: str) -> str:
    return name.lower().replace("_", "")


def make(name: str, arguments: Mapping[str, object], clock: Clock) -> shapes.Curve:
    """The schedule `name` on this clock.

    Raises ScheduleFault for an unknown name or a wrong argument, and UnknownTime where the
    schedule is relative to a run length, or a length to steps, that the clock does not know.
    """
    entry = ENTRIES.get(name)
    if entry is None:
        raise ScheduleFault(None, f"there is no schedule called {name}", instead(name))
    for argument, (why, help) in entry.refused.items():
        if argument in arguments:
            raise ScheduleFault(argument, why, help)
    values: Values = read(name, entry.arguments, arguments)
    _refuse_idle(arguments)
    _refuse_contradictions(name, values)
    common: Parts = {
        "name": name,
        "written": written(name, entry.arguments, arguments),
        "warmup": _warmup(values, clock),
        "floor": _float(values, "floor") or 0.0,
        "min_lr": _float(values, "min_lr"),
        "held": _held_for(values, clock),
    }
    return entry.parts(values, clock, common)


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


def _held_for(values: Values, clock: Clock) -> int:
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
    return max((end - 1) // held * held, 0)


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


def _cosine_restarts(values: Values, clock: Clock, common: Parts) -> shapes.Curve:
    return shapes.CosineRestarts(
        **_open(clock, common),
        start=_begins(values, common),
        period=float(clock.exact(values["every"])),
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


EVERY = ArgumentInfo("length", "how long a period lasts", required=True, positive=True, exact=True)
REPORTS = ArgumentInfo(
    "number",
    "reports in a row without an improvement that are put up with",
    10,
    domain=NOT_NEGATIVE,
    whole=True,
)

_NO_PREFIX = "its warm-up is a part of it, and it cannot begin without it"
_ONE_CYCLE_REFUSES = {
    "warmup_prefix": (f"one_cycle rises by itself: {_NO_PREFIX}", "leave it out"),
    "endpoint": ("one_cycle ends at the last step by nature", "leave it out"),
}
_SLANTED_TRIANGULAR_REFUSES = {
    "warmup_prefix": (f"slanted_triangular rises by itself: {_NO_PREFIX}", "leave it out")
}
_INVERSE_SQRT_REFUSES = {
    "warmup_prefix": ("inverse_sqrt counts from the end of its warm-up", "leave it out, or give timescale=")
}
_PLATEAU_REFUSES = {
    "warmup_prefix": ("plateau falls when a metric says so, and has no length to count over", "leave it out")
}

ENTRIES: Mapping[str, Entry] = {
    "constant": Entry(
        {
            "factor": ArgumentInfo("number", "the share of the rate", 1, domain=NOT_NEGATIVE),
            **{name: info for name, info in WARMUP.items() if name != "warmup_lr"},
            "endpoint": ENDPOINT,
        },
        _constant,
        {
            "warmup_lr": (
                "`warmup_lr` is a rate, and constant is the same factor for every rate",
                "write warmup_start_factor=, a share of each group's own rate",
            ),
            "min_lr": ("constant does not fall, so there is no least rate", "leave it out"),
            "floor": ("constant does not fall, so there is no floor", "leave it out"),
        },
    ),
    "step": Entry(
        {"every": EVERY, "gamma": GAMMA, **COMMON, "endpoint": ENDPOINT, "warmup_prefix": PREFIX}, _step
    ),
    "multistep": Entry(
        {
            "at": ArgumentInfo("lengths", "when the factor drops, from the start of the run", required=True),
            "gamma": GAMMA,
            **STRETCHED,
        },
        _multistep,
    ),
    "exponential": Entry(
        {
            "gamma": ArgumentInfo("number", "what an epoch multiplies the factor by", domain=SHARE),
            "end_factor": ArgumentInfo("number", "the factor at the end of the run", domain=NOT_NEGATIVE),
            **STRETCHED,
        },
        _exponential,
    ),
    "linear": Entry(
        {
            "start_factor": ArgumentInfo("number", "the factor to begin with", domain=NOT_NEGATIVE),
            "end_factor": END_FACTOR,
            **STRETCHED,
        },
        _linear,
    ),
    "cosine": Entry(STRETCHED, _falling(shapes.half_cosine)),
    "cosine_restarts": Entry(
        {
            "every": ArgumentInfo(
                "length", "how long the first cycle lasts", required=True, positive=True, exact=True
            ),
            "multiply": ArgumentInfo(
                "number", "how much longer each next cycle is", 1, domain=Interval(1, closed_low=True)
            ),
            **COMMON,
            "warmup_prefix": PREFIX,
        },
        _cosine_restarts,
    ),
    "polynomial": Entry(
        {"power": ArgumentInfo("number", "the exponent", 1, domain=ABOVE_ZERO), **STRETCHED}, _polynomial
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
            **COMMON,
        },
        _one_cycle,
        _ONE_CYCLE_REFUSES,
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
            **COMMON,
        },
        _slanted_triangular,
        _SLANTED_TRIANGULAR_REFUSES,
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
        _INVERSE_SQRT_REFUSES,
    ),
    "wsd": Entry(
        {
            "decay": ArgumentInfo(
                "length", "how long the fall at the end lasts", Length(Fraction(10), "percent")
            ),
            "decay_type": ArgumentInfo("shape", "the shape of the fall", LINEAR),
            **STRETCHED,
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
        _PLATEAU_REFUSES,
    ),
}
