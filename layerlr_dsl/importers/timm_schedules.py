"""timm's schedules: `--sched` with warm-up, cycles, bent curves and cool-down.

Source: timm/scheduler/scheduler_factory.py and the schedulers beside it (1.0.31). Where a schedule of the language is
the same it is that one, else the factor is written out as moving `let`s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.description import LeftOut, Lets, OverTime, SourceFault
from layerlr_dsl.importers.reading import Section
from layerlr_dsl.language import syntax as s
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.records import record

_CYCLING = ("cosine", "tanh", "poly")
_STABLE = ("wsd", "rsqrt")
_FALLS = {"1-sqrt": "sqrt", "power": "sqrt", "linear": "linear", "cosine": "cosine"}


@record
class _Given:
    """What the arguments say. Lengths are in epochs; floor and start are shares of the rate."""

    kind: str
    top: Section
    length: float | None
    warm: float
    prefix: bool
    start: Any
    floor: Any
    factor: float
    held: bool

    @property
    def own(self) -> float:
        """How long the curve is, without the warm-up where that stands ahead of it."""
        return 300 if self.length is None else self.length

    @property
    def behind(self) -> bool:
        """Whether the curve begins behind the warm-up."""
        return bool(self.warm) and (self.prefix or self.kind in _STABLE)

    @property
    def now(self) -> Any:
        return nodes.call("floor", nodes.name("epoch")) if self.held else nodes.name("epoch")

    @property
    def since(self) -> Any:
        return nodes.arithmetic(self.now, "-", self.warm) if self.behind else self.now


def timm_schedule(top: Section, rate: float, left: list[LeftOut]) -> OverTime:
    """The schedule of the arguments. rate: what shares are of. Raises SourceFault."""
    given = _Given(
        top.text("sched", "cosine"),
        top,
        top.number("epochs", None, 0),
        top.number("warmup_epochs", 5, 0),
        top.flag("warmup_prefix"),
        _share(top.number("warmup_lr", 1e-5, 0), rate),
        _share(top.number("min_lr", 0.0, 0), rate),
        top.number("decay_rate", 0.1, 0),
        not top.flag("sched_on_updates"),
    )
    cool = top.number("cooldown_epochs", 0, 0)
    if given.kind == "none":
        return OverTime(epochs=given.length)
    make = _KINDS.get(given.kind)
    if make is None:
        left.append(LeftOut(f"`sched` `{given.kind}`: no schedule here is the same", top.line("sched")))
        return OverTime(epochs=given.length)
    lasts = _lasts(given)
    cools = bool(cool) and given.kind in (*_CYCLING, *_STABLE)
    made = make(given, left)
    epochs = None if given.length is None else lasts + (cool if cools else 0)
    if isinstance(made, s.Factory):
        parts = [(made, nodes.epochs(lasts)), (nodes.factory("constant", factor=given.floor), None)]
        return OverTime(nodes.sequence(*(parts if cools else [(made, None)])), (), epochs)
    lets = made if not cools else _cooled(made, given, lasts)
    return OverTime(nodes.schedule(lets[-1][0]), lets, epochs)


def _cooled(lets: Lets, given: _Given, lasts: float) -> Lets:
    """What holds at the least behind the curve."""
    early = nodes.less(given.now, lasts)
    return (*lets, ("cooled", nodes.call("choose", early, nodes.name(lets[-1][0]), given.floor)))


def _lasts(given: _Given) -> float:
    """How long warm-up and curve are together."""
    own = given.own
    if given.kind in _CYCLING:
        limit, multiply = _cycles(given)
        total = own * limit
        if multiply != 1:
            total = math.floor(own * (multiply**limit - 1) / (multiply - 1))
        return total + (given.warm if given.prefix else 0)
    return own + (given.warm if given.prefix else 0)


def _cycles(given: _Given) -> tuple[int, float]:
    return given.top.whole("lr_cycle_limit", 1, 1), given.top.number("lr_cycle_mul", 1.0, 0)


# ---------------------------------------------------------------- by name


_Made: TypeAlias = "s.Factory | Lets"


def _cycling(given: _Given, left: list[LeftOut]) -> _Made:
    """cosine, tanh and poly: one fall, or several, each lower than the one before."""
    bend = given.top.number("lr_k_decay", 1.0)
    limit, multiply = _cycles(given)
    given.top.number("lr_cycle_decay", 0.1, 0)
    if given.kind != "tanh" and limit == 1 and bend == 1 and (not given.warm or given.own > given.warm):
        called, told = ("cosine", {}) if given.kind == "cosine" else ("polynomial", {"power": given.factor})
        prefix = {} if given.prefix or not given.warm else {"warmup_prefix": False}
        return _factory(given, called, **told, **_floored(given), **prefix)
    return _warmed(given, _fall(given, bend, limit, multiply))


def _fall(given: _Given, bend: float, limit: int, multiply: float) -> Lets:
    """`fall`, and what it needs: which cycle it is, and how much of that is done."""
    lets: list[tuple[str, Any]] = []
    share: Any = nodes.arithmetic(given.since, "/", given.own)
    top: Any = 1
    if limit > 1:
        decay = given.top.number("lr_cycle_decay", 0.1, 0)
        lets += _numbered(share, multiply)
        share, top = nodes.name("done"), nodes.arithmetic(decay, "^", nodes.name("cycle"))
    if given.kind != "tanh" and bend != 1:
        share = nodes.arithmetic(share, "^", bend)
    value = nodes.above(given.floor, _shape(given, share), top)
    runs = nodes.less(nodes.name("cycle"), limit) if limit > 1 else nodes.less(given.since, given.own)
    return (*lets, ("fall", nodes.call("choose", runs, value, given.floor)))


def _numbered(share: Any, multiply: float) -> Lets:
    if multiply == 1:
        return ("cycle", nodes.call("floor", share)), (
            "done",
            nodes.arithmetic(share, "-", nodes.name("cycle")),
        )
    grown = nodes.arithmetic(1, "+", nodes.arithmetic(share, "*", multiply - 1))
    cycle = nodes.call("floor", nodes.arithmetic(nodes.call("log", grown), "/", nodes.call("log", multiply)))
    size = nodes.arithmetic(multiply, "^", nodes.name("cycle"))
    begins = nodes.arithmetic(nodes.arithmetic(size, "-", 1), "/", multiply - 1)
    done = nodes.arithmetic(nodes.arithmetic(share, "-", begins), "/", size)
    return ("cycle", cycle), ("done", done)


def _shape(given: _Given, share: Any) -> Any:
    if given.kind == "cosine":
        return nodes.half_wave(nodes.arithmetic(nodes.name("pi"), "*", share))
    if given.kind == "poly":
        return nodes.arithmetic(nodes.arithmetic(1, "-", share), "^", given.factor)
    # (1 - tanh(-7 (1 - p) + 3 p)) / 2
    turned = nodes.call("exp", nodes.arithmetic(nodes.arithmetic(20, "*", share), "-", 14))
    return nodes.arithmetic(1, "/", nodes.arithmetic(1, "+", turned))


def _drops(given: _Given, left: list[LeftOut]) -> _Made:
    """step and multistep."""
    if given.kind == "step":
        every = given.top.number("decay_epochs", 90, 0)
        told: dict[str, Any] = {"every": nodes.epochs(every)}
        marks = [every]
    else:
        # timm looks one epoch ahead here
        marks = sorted(mark - given.held for mark in given.top.numbers("decay_milestones", (90, 180, 270)))
        told = {"at": tuple(nodes.epochs(mark) for mark in marks)}
        if not given.held:
            message = "`decay_milestones` with `sched_on_updates`: timm drops one step earlier"
            left.append(LeftOut(message, given.top.line("decay_milestones")))
    if given.warm and (given.prefix or marks[0] <= given.warm):
        return _warmed(given, (("fall", _dropped(given, marks)),))
    return _factory(given, given.kind, **told, gamma=given.factor)


def _dropped(given: _Given, marks: list[float]) -> Any:
    if given.kind == "step":
        times = nodes.call("floor", nodes.arithmetic(given.since, "/", marks[0]))
        return nodes.arithmetic(given.factor, "^", times)
    level: Any = 1
    for number, mark in enumerate(marks):
        dropped = nodes.arithmetic(given.factor, "^", number + 1)
        late = nodes.less(given.since, mark)
        level = (
            nodes.call("choose", late, level, dropped)
            if number == 0
            else nodes.call("min", level, nodes.call("choose", late, 1, dropped))
        )
    return level


def _constant(given: _Given, left: list[LeftOut]) -> _Made:
    return _factory(given, "constant")


def _plateau(given: _Given, left: list[LeftOut]) -> _Made:
    metric = given.top.text("eval_metric", "top1")
    if given.warm:
        message = (
            "`sched` `plateau`: timm does not judge what is reported during the warm-up, and here it counts"
        )
        left.append(LeftOut(message, given.top.line("sched")))
    told: dict[str, Any] = {"metric": nodes.name(metric) if metric.isidentifier() else metric}
    told |= {"factor": given.factor, "patience": given.top.whole("patience_epochs", 10)}
    told |= {} if "loss" in metric else {"mode": "max"}
    least = given.top.number("min_lr", 0.0, 0)
    told |= {"min_lr": least} if least else {}
    warm = {"warmup": nodes.epochs(given.warm), "warmup_start_factor": given.start} if given.warm else {}
    return nodes.factory("plateau", **told, **warm)


def _stable(given: _Given, left: list[LeftOut]) -> _Made:
    """wsd and rsqrt: level, or falling slowly, and down at the end."""
    own = given.own if given.prefix else given.own - given.warm
    decay = given.top.number("decay_epochs", 0.2, 0)
    decay = decay * own if decay < 1 else decay
    if given.held:
        decay = round(decay)
    elif decay != int(decay):
        message = "`decay_epochs` is a share of the run: timm rounds it to whole updates"
        left.append(LeftOut(message, given.top.line("decay_epochs")))
    line = given.top.line("decay_epochs")
    if not 0 < decay <= own:
        raise SourceFault(
            "`decay_epochs` must be more than 0, and no longer than what follows the warm-up", line
        )
    called = given.top.text("lr_decay_fn", "linear" if given.kind == "rsqrt" else "1-sqrt")
    if called not in _FALLS:
        left.append(LeftOut(f"`lr_decay_fn` `{called}`: read as `linear`", given.top.line("lr_decay_fn")))
    fall = _FALLS.get(called, "linear")
    if given.kind == "wsd":
        told = {"decay": nodes.epochs(decay), "decay_type": nodes.name(fall)}
        return _factory(given, "wsd", **told, **_floored(given))
    scale = given.top.number("lr_stable_timescale", given.warm, 0)
    if not scale:
        raise SourceFault(
            "`rsqrt` needs a `lr_stable_timescale` where nothing warms up", given.top.line("sched")
        )
    slow, gone = _slow(given, scale), _gone(given, own - decay, decay)
    value = nodes.above(given.floor, _left(fall, gone), nodes.name("slow"))
    return _warmed(given, (("slow", slow), ("fall", value)))


def _slow(given: _Given, scale: float) -> Any:
    """1 over the root of the time."""
    since = nodes.arithmetic(1, "+", nodes.arithmetic(given.since, "/", scale))
    slow = nodes.arithmetic(since, "^", -0.5)
    return nodes.call("max", slow, given.floor) if given.floor else slow


def _gone(given: _Given, begins: float, lasts: float) -> Any:
    """How much of the decay is done."""
    share = nodes.arithmetic(nodes.arithmetic(given.since, "-", begins), "/", lasts)
    return nodes.call("min", 1, nodes.call("max", 0, share))


def _left(fall: str, gone: Any) -> Any:
    if fall == "cosine":
        return nodes.half_wave(nodes.arithmetic(nodes.name("pi"), "*", gone))
    return nodes.arithmetic(1, "-", nodes.call("sqrt", gone) if fall == "sqrt" else gone)


# ---------------------------------------------------------------- with its warm-up


def _factory(given: _Given, called: str, **told: Any) -> s.Factory:
    warm: dict[str, Any] = {}
    if given.warm:
        warm = {"warmup": nodes.epochs(given.warm), "warmup_start_factor": given.start}
    prefix = {"warmup_prefix": told.pop("warmup_prefix")} if "warmup_prefix" in told else {}
    held = {"interval": nodes.name("epoch")} if given.held and (warm or called != "constant") else {}
    return nodes.factory(called, **told, **warm, **prefix, **held)


def _floored(given: _Given) -> dict[str, Any]:
    return {"floor": given.floor} if given.floor else {}


def _warmed(given: _Given, lets: Lets) -> Lets:
    """The same behind a straight rise; tanh aims at what it has at its end, the others at the rate."""
    if not given.warm:
        return lets
    target = _tanh_at(given) if given.kind == "tanh" and not given.prefix else 1.0
    risen = nodes.above(given.start, nodes.arithmetic(given.now, "/", given.warm), target)
    early = nodes.less(given.now, given.warm)
    return (*lets, ("factor", nodes.call("choose", early, risen, nodes.name("fall"))))


def _tanh_at(given: _Given) -> Any:
    """Where the fall is when the warm-up is over."""
    shape = _shape(given, nodes.arithmetic(given.warm, "/", given.own))
    return nodes.above(given.floor, shape)


def _share(part: float, whole: float) -> Any:
    """A rate as a share of the rate."""
    if not whole or not part:
        return 0
    share = part / whole
    short = float(spelled(share, 6))
    return short if short == share else nodes.arithmetic(part, "/", whole)


_KINDS: Mapping[str, Callable[[_Given, list[LeftOut]], _Made]] = {
    **dict.fromkeys(_CYCLING, _cycling),
    **dict.fromkeys(("step", "multistep"), _drops),
    **dict.fromkeys(_STABLE, _stable),
    "constant": _constant,
    "plateau": _plateau,
}
