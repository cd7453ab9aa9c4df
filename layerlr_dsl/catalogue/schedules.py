"""The schedules by name: which arguments each takes, and what other tools call them.

How a curve is made from the arguments is in `plan.schedules`; what a name is, files are judged by without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from layerlr_dsl.catalogue.signatures import Interval
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.records import record

Kind = Literal["number", "length", "lengths", "metric", "fraction", "word", "flag", "shape"]

ANYTHING = Interval()


@record
class ArgumentInfo:
    """One argument of a schedule.

    kind: "length" is a stretch of time (`3 epochs`, `200 steps`, `5%`), "lengths" a tuple of
    them, "fraction" a number from 0 to 1 or a percentage, "word" one of `choices`, "flag" true or
    false, "shape" an Easing: `linear`, `power(2)`.
    exact: a length that whole epochs need not round up.
    default: what holds where it is not given, a length or a shape as a file writes it.
    domain: what a number must lie in. whole: it must be a whole number.
    """

    kind: Kind
    about: str
    default: object = None
    required: bool = False
    domain: Interval = ANYTHING
    whole: bool = False
    positive: bool = False
    choices: tuple[str, ...] = ()
    exact: bool = False


@record
class Signature:
    """What a schedule takes, in the canonical order."""

    arguments: Mapping[str, ArgumentInfo]
    refused: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    """Arguments that others take and this cannot: why, and the way out."""

    @property
    def waits(self) -> bool:
        """Whether it falls when a metric says so, and is no function of time."""
        return any(info.kind == "metric" for info in self.arguments.values())


SHARE = Interval(0, 1, True, True)
ABOVE_ZERO = Interval(low=0)
NOT_NEGATIVE = Interval(low=0, closed_low=True)

WARMUP = {
    "warmup": ArgumentInfo("length", "how long the warm-up lasts", "0 epochs"),
    "warmup_start_factor": ArgumentInfo(
        "fraction", "the share of the rate that a warm-up begins with; 0 if not given", domain=NOT_NEGATIVE
    ),
    "warmup_lr": ArgumentInfo("number", "the rate that a warm-up begins with", domain=NOT_NEGATIVE),
    "warmup_type": ArgumentInfo("shape", "the shape of the warm-up", "linear"),
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

SCHEDULES: Mapping[str, Signature] = {
    "constant": Signature(
        {
            "factor": ArgumentInfo("number", "the share of the rate", 1, domain=NOT_NEGATIVE),
            **{name: info for name, info in WARMUP.items() if name != "warmup_lr"},
            "interval": INTERVAL,
            "endpoint": ENDPOINT,
        },
        {
            "warmup_lr": (
                "`warmup_lr` is a rate, and constant is the same factor for every rate",
                "write linear(end_factor=1, warmup_lr=...), or warmup_start_factor=, a share of each group's own rate",
            ),
            "min_lr": ("constant does not fall, so there is no least rate", "leave it out"),
            "floor": ("constant does not fall, so there is no floor", "leave it out"),
        },
    ),
    "step": Signature(
        {"every": EVERY, "gamma": GAMMA, **COMMON, "endpoint": ENDPOINT, "warmup_prefix": PREFIX}
    ),
    "multistep": Signature(
        {
            "at": ArgumentInfo("lengths", "when the factor drops, from the start of the run", required=True),
            "gamma": GAMMA,
            **STRETCHED,
        },
    ),
    "exponential": Signature(
        {
            "gamma": ArgumentInfo("number", "what an epoch multiplies the factor by", domain=SHARE),
            "end_factor": ArgumentInfo("number", "the factor at the end of the run", domain=NOT_NEGATIVE),
            **STRETCHED,
        },
    ),
    "linear": Signature(
        {
            "start_factor": ArgumentInfo("number", "the factor to begin with", domain=NOT_NEGATIVE),
            "end_factor": END_FACTOR,
            **STRETCHED,
        },
    ),
    "cosine": Signature(STRETCHED),
    "cosine_restarts": Signature(
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
    ),
    "polynomial": Signature(
        {"power": ArgumentInfo("number", "the exponent", 1, domain=ABOVE_ZERO), **STRETCHED}
    ),
    "one_cycle": Signature(
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
        _ONE_CYCLE_REFUSES,
    ),
    "slanted_triangular": Signature(
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
        _SLANTED_TRIANGULAR_REFUSES,
    ),
    "inverse_sqrt": Signature(
        {
            "timescale": ArgumentInfo(
                "length",
                "how slowly it falls; the warm-up, or else 10,000 steps, if not given",
                positive=True,
            ),
            **COMMON,
        },
        _INVERSE_SQRT_REFUSES,
    ),
    "wsd": Signature(
        {
            "decay": ArgumentInfo("length", "how long the fall at the end lasts", "10%"),
            "decay_type": ArgumentInfo("shape", "the shape of the fall", "linear"),
            **STRETCHED,
        },
    ),
    "plateau": Signature(
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
        _PLATEAU_REFUSES,
    ),
}

CALLED = tuple(name for name, signature in SCHEDULES.items() if not signature.waits)
"""Schedules that a value that moves may call as a function of time."""

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
    "poly": "polynomial",
    "cosineannealing": "cosine",
    "cosinedecay": "cosine",
    "cosinedecayrestarts": "cosine_restarts",
    "cosinedecayschedule": "cosine",
    "warmupcosinedecayschedule": "cosine",
    "exponentialdecay": "exponential",
    "exponentialdecayschedule": "exponential",
    "polynomialdecay": "polynomial",
    "polynomialschedule": "polynomial",
    "piecewiseconstantdecay": "multistep",
    "piecewiseconstantschedule": "multistep",
    "linearschedule": "linear",
    "cosineonecycleschedule": "one_cycle",
    "linearwithwarmup": "linear",
    "cosinewithwarmup": "cosine",
    "polynomialwithwarmup": "polynomial",
    "cosinewarmup": "cosine",
    "linearwarmup": "linear",
    **dict.fromkeys(("none", "off", "no", "null", "flat", "fixed"), "constant"),
}
"""What torch, transformers, timm, Keras, optax and mmengine call these, in lower case and without `_`."""

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


def names() -> tuple[str, ...]:
    """Every schedule there is."""
    return tuple(SCHEDULES)


def arguments_of(name: str) -> Mapping[str, ArgumentInfo] | None:
    """The arguments of a schedule in their canonical order, or None for an unknown schedule."""
    signature = SCHEDULES.get(name)
    return None if signature is None else signature.arguments


def meant(name: str) -> str | None:
    """The schedule that a name of another library, or a slip, stands for."""
    known = _key(name)
    return None if known in UNEQUALLED else FAMILIAR.get(known) or nearest(name, SCHEDULES)


def instead(name: str) -> str:
    """What to write in place of an unknown schedule."""
    near = meant(name)
    known = "known: " + ", ".join(SCHEDULES)
    return f"did you mean `{near}`?" if near else UNEQUALLED.get(_key(name), known)


def _key(name: str) -> str:
    return name.lower().replace("_", "")
