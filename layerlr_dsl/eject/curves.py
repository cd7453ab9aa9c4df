"""Schedules as functions with their numbers filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from layerlr_dsl.eject.refusals import CannotEject
from layerlr_dsl.eject.terms import ONE, ZERO, T, Term, call, difference, name, number
from layerlr_dsl.plan.schedules import Easing, shapes
from layerlr_dsl.plan.schedules.plateau import Plateau
from layerlr_dsl.plan.schedules.shapes import FOREVER, Curve

Lines = list[str]
"""The body of a function, without its indent."""


def between(first: Term, last: Term, p: Term, easing: Easing) -> Term:
    """The value on the way from one to the other, as `Easing.between`."""
    if easing.name == "exponential":
        return call("pow", first, ONE - p) * call("pow", last, p)
    if easing.name == "constant":
        return first
    return first + difference(last, first) * _SHARES[easing.name](p, easing)


def _cosine_share(p: Term, easing: Easing) -> Term:
    return number(0.5) * (ONE - call("cos", name("pi") * p))


_SHARES: Mapping[str, Callable[[Term, Easing], Term]] = {
    "linear": lambda p, _: p,
    "cosine": _cosine_share,
    "sqrt": lambda p, _: call("sqrt", p),
    "power": lambda p, easing: call("pow", p, number(easing.power)),
}


def body_of(curve: Curve) -> Lines:
    """The body of the function of `t`, or of `peak` and `t` where the share hangs on the rate itself."""
    lines: Lines = []
    if curve.absolute:
        lines += ["if peak <= 0.0:", "    return peak"]
    if curve.held > 1:
        lines.append(f"t = {_epoch_start(*curve.held.as_integer_ratio())}  # looked up once an epoch")
    least = number(curve.floor)
    if curve.min_lr is not None:
        lines.append(f"least = min({curve.min_lr!r} / peak, 1.0)")
        least = name("least")
    peak = name("peak") if curve.absolute else ONE
    if curve.warmup.ticks:
        lines += [f"if t < {curve.warmup.ticks}:", *_indented(_warmup(curve, least, peak))]
    return [*lines, *_DECAYS.get(type(curve), _shared)(curve, least, peak)]


def _epoch_start(ticks: int, epochs: int) -> str:
    """The first tick of the epoch of `t`, where so many epochs have so many ticks."""
    return f"t - t % {ticks}" if epochs == 1 else f"-(-(t * {epochs} // {ticks}) * {ticks} // {epochs})"


def _indented(lines: Lines) -> Lines:
    return [f"    {line}" for line in lines]


def _warmup(curve: Curve, least: Term, peak: Term) -> Lines:
    warmup, target = curve.warmup, peak
    if not warmup.to_peak:
        target = _number(curve.begun(curve.floor)) if least.value is not None else _begun(curve, least)
        target = peak * target
    if target.value is None and target.text != "peak":
        lines, target = [f"target = {target.text}"], name("target")
    else:
        lines = []
    first = number(warmup.start) * target if warmup.start else ZERO
    if isinstance(target.value, float):
        first = number(warmup.start * target.value)
    if warmup.rate is not None:
        first = number(warmup.rate)
    if warmup.reached < warmup.ticks:
        if warmup.reached <= 0:
            return [*lines, f"return {target.text}"]
        lines += [f"if t >= {warmup.reached}:", f"    return {target.text}"]
    rising = between(first, target, T / number(warmup.reached), warmup.easing)
    return [*lines, f"return {rising.text}"]


def _number(value: float) -> Term:
    return number(float(value))


def _begun(curve: Curve, least: Term) -> Term:
    if isinstance(curve, (shapes.OneCycle, shapes.WarmupStableDecay)):
        return ONE
    return _bounded(curve, number(float(curve.share(curve.warmup.ticks))), least)


def _bounded(curve: Curve, share: Term, least: Term) -> Term:
    if curve.cut:
        return share if least.value == 0 else call("max", share, least)
    if least.value == 0:
        return share
    return least + difference(ONE, least) * share


def _shared(curve: Curve, least: Term, peak: Term) -> Lines:
    """Curves that are a share of the way between floor and peak."""
    lines: Lines = []
    if curve.end < FOREVER and not isinstance(curve, (shapes.Constant, Plateau)):
        last = peak * _last(curve, least)
        lines += [f"if t >= {curve.end}:", f"    return {last.text}"]
    more, share = _FORMULAS.get(type(curve), _unwritten)(curve)
    return [*lines, *more, f"return {(peak * _bounded(curve, share, least)).text}"]


def _last(curve: Curve, least: Term) -> Term:
    share = float(curve.last_share())
    if least.value is not None:
        return number(float(curve.bounded(share, curve.floor)))
    return least if share == 0.0 else _bounded(curve, number(share), least)


def _p(curve: Any) -> Term:
    """How much of the decay is done."""
    p = (T - number(curve.start)) / number(curve.span)
    return p if curve.start + curve.span >= curve.end else call("min", p, ONE)


def _step(curve: shapes.Step) -> tuple[Lines, Term]:
    exponent = T * number(curve.parts) if curve.parts != 1 else T
    return [], call("pow", number(curve.gamma), name(f"{exponent.text} // {curve.period}"))


def _multistep(curve: shapes.MultiStep) -> tuple[Lines, Term]:
    passed = name(f"sum(t >= mark for mark in {list(curve.marks)})")
    return [f"passed = {passed.text}"], call("pow", number(curve.gamma), name("passed"))


def _exponential(curve: shapes.Exponential) -> tuple[Lines, Term]:
    passed = (T - number(curve.start)) / number(curve.period)
    if curve.most != inf:
        passed = call("min", passed, number(curve.most))
    return [], call("pow", number(curve.gamma), passed)


def _linear(curve: shapes.Linear) -> tuple[Lines, Term]:
    return [], number(curve.first) + difference(number(curve.last), number(curve.first)) * _p(curve)


def _polynomial(curve: shapes.Polynomial) -> tuple[Lines, Term]:
    left = ONE - _p(curve)
    return [], left if curve.power == 1.0 else call("pow", left, number(curve.power))


def _unwritten(curve: Curve) -> tuple[Lines, Term]:
    raise CannotEject(f"the schedule {curve.name} has no formula for a page yet")


def _falling(curve: shapes.Falling) -> tuple[Lines, Term]:
    if curve.along is not shapes.cosine:
        return _unwritten(curve)
    return [], number(0.5) * (ONE + call("cos", name("pi") * _p(curve)))


def _restarts(curve: shapes.CosineRestarts) -> tuple[Lines, Term]:
    since, period = T - number(curve.start), curve.period
    if curve.multiply == 1.0:
        p = call("float", since) % number(period) / number(period)
        return [], number(0.5) * (ONE + call("cos", name("pi") * p))
    return _growing(curve, since), number(0.5) * (ONE + call("cos", name("pi") * name("p")))


def _growing(curve: shapes.CosineRestarts, since: Term) -> Lines:
    times, period = curve.multiply, curve.period
    begins = f"{period!r} * (pow({times!r}, cycle{{}}) - 1.0) / {(number(times) - ONE).within(2)}"
    return [
        f"since = float({since.text})",
        "cycle = 0",
        f"while {begins.format(' + 1')} <= since:",
        "    cycle += 1",
        f"begins = {begins.format('')}",
        f"p = (since - begins) / ({period!r} * pow({times!r}, cycle))",
    ]


def _slanted(curve: shapes.SlantedTriangular) -> tuple[Lines, Term]:
    lines = []
    falling = ONE - (T - number(curve.peak)) / number(curve.fall)
    if curve.peak > 0:
        lines = [f"share = t / {curve.peak} if t < {curve.peak} else {falling.text}"]
    else:
        lines = [f"share = {falling.text}"]
    return lines, call("max", name("share"), ZERO)


def _inverse_sqrt(curve: shapes.InverseSqrt) -> tuple[Lines, Term]:
    since = T - number(curve.start) + number(curve.timescale)
    return [], call("sqrt", number(curve.timescale) / since)


_FORMULAS: Mapping[type, Callable[[Any], tuple[Lines, Term]]] = {
    shapes.Constant: lambda curve: ([], number(float(curve.level))),
    shapes.Step: _step,
    shapes.MultiStep: _multistep,
    shapes.Exponential: _exponential,
    shapes.Linear: _linear,
    shapes.Polynomial: _polynomial,
    shapes.Falling: _falling,
    shapes.CosineRestarts: _restarts,
    shapes.SlantedTriangular: _slanted,
    shapes.InverseSqrt: _inverse_sqrt,
    Plateau: lambda curve: ([], ONE),
}


def _one_cycle(curve: shapes.OneCycle, least: Term, peak: Term) -> Lines:
    lines: Lines = []
    if curve.peak > 0:
        start = number(max(curve.start, curve.floor))
        if least.value is None:
            start = call("max", number(curve.start), least)
        rising = _eased(start, ONE, T / number(curve.peak))
        lines += [f"if t < {curve.peak!r}:", f"    return {(peak * rising).text}"]
    lines += [f"if t >= {curve.close!r}:", f"    return {(peak * least).text}"]
    if curve.close > curve.peak:
        p = (T - number(curve.peak)) / number(curve.close - curve.peak)
        lines.append(f"return {(peak * _eased(ONE, least, p)).text}")
    else:
        lines[-2:] = [lines[-1].strip()]
    return lines


def _eased(first: Term, last: Term, p: Term) -> Term:
    turned = ONE + call("cos", name("pi") * p)
    return last + (first - last) * number(0.5) * turned if last.value != 0 else first * number(0.5) * turned


def _wsd(curve: shapes.WarmupStableDecay, least: Term, peak: Term) -> Lines:
    lines = [f"if t < {curve.start}:", f"    return {peak.text}"] if curve.start > 0 else []
    ends = curve.start + curve.span
    lines += [f"if t >= {ends}:", f"    return {(peak * least).text}"]
    if curve.span > 0:
        p = (T - number(curve.start)) / number(curve.span)
        lines.append(f"return {(peak * between(ONE, least, p, curve.easing)).text}")
    else:
        lines[-2:] = [lines[-1].strip()]
    return lines


_DECAYS: Mapping[type, Callable[[Any, Term, Term], Lines]] = {
    shapes.OneCycle: _one_cycle,
    shapes.WarmupStableDecay: _wsd,
}
