"""`ramp((WHEN, VALUE), ..., shape=, endpoint=, exact=)`: what it says, what is wrong with it, and its course over time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Any

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.expressions import Fault
from layerlr_dsl.plan.clock import Length
from layerlr_dsl.plan.factories import TimeArguments
from layerlr_dsl.plan.schedules.easing import LINEAR, Easing
from layerlr_dsl.plan.schedules.easing import NAMES as SHAPES
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.records import record

Course = Callable[[int], Any]


@record
class Form:
    """What the keywords of a ramp say.

    endpoint: the last point is reached at the last tick before it. exact: points may lie between two ticks.
    """

    easing: Easing = LINEAR
    endpoint: bool = False
    exact: bool = False


def form_of(node: s.Call, arguments: TimeArguments) -> Form:
    """The keywords. Raises Fault, Faulty."""
    form = Form()
    for keyword in node.keywords:
        value = arguments.word(keyword)
        if keyword.name == "shape":
            form = replace(form, easing=_easing(keyword, value))
        elif keyword.name == "endpoint":
            form = replace(form, endpoint=_truth(keyword, value))
        else:
            form = replace(form, exact=_truth(keyword, value))
    return form


def _truth(keyword: s.Argument, value: object) -> bool:
    if not isinstance(value, bool):
        raise Fault("LR107", f"`{keyword.name}` is true or false", keyword.value_span)
    return value


def _easing(keyword: s.Argument, value: object) -> Easing:
    if isinstance(value, Easing):
        return value
    if isinstance(value, str) and value in SHAPES and value != "power":
        return Easing(value)
    near = nearest(value, SHAPES) if isinstance(value, str) and value != "power" else None
    known = ", ".join("power(2)" if name == "power" else name for name in SHAPES)
    help = f"did you mean `{near}`?" if near else f"known: {known}"
    raise Fault("LR107", f"`{keyword.value_span.text}` is no shape", keyword.value_span, help)


def points_of(node: s.Call) -> list[s.Tuple]:
    """The points as they are written."""
    return [point for point in node.arguments if isinstance(point, s.Tuple)]


def lengths_of(node: s.Call, arguments: TimeArguments) -> list[Length]:
    """When each point is. Raises Faulty."""
    return [arguments.length(point.items[0]) for point in points_of(node)]


def values_of(node: s.Call) -> list[s.Expression]:
    """What each point is worth."""
    return [point.items[1] for point in points_of(node)]


def check_rising(node: s.Call, whens: Sequence[Fraction]) -> None:
    """Raise Fault for a point that does not lie behind the one before it."""
    for point, (before, after) in zip(points_of(node)[1:], pairwise(whens), strict=True):
        if after <= before:
            text = " ".join(point.span.text.split())
            message = f"the points of a ramp rise, and `{text}` does not lie behind the one before it"
            raise Fault("LR107", message, point.span, "put them in order")


def check_positive(node: s.Call, form: Form) -> None:
    """Raise Fault for a point of an exponential ramp that is a number and not above 0."""
    for value in values_of(node) if form.easing.name == "exponential" else ():
        number = value.operand if isinstance(value, s.Negative) else value
        if isinstance(number, s.Number) and (number is not value or number.value <= 0):
            raise _not_positive(value.span.text, value)


def _not_positive(shown: str, at: s.Expression) -> Fault:
    message = f"an exponential ramp goes between values above 0, and this is {shown}"
    return Fault("LR108", message, at.span, "give a small number, or another shape")


def positive(node: s.Call, course: Course) -> Course:
    """A value of an exponential ramp, which may move."""

    def checked(tick: int) -> Any:
        value = course(tick)
        if value <= 0:
            raise _not_positive(repr(value), node)
        return value

    return checked


def ticks_of(whens: Sequence[Fraction], form: Form) -> list[int | float]:
    """The points in ticks: on the next whole one, or where they are written. An endpoint lies on a whole one."""
    ticks = [_exact(when) if form.exact else ceil(when) for when in whens]
    if form.endpoint and len(ticks) > 1:
        ticks[-1] = max(ceil(whens[-1]) - 1, ticks[-2])
    return ticks


def _exact(when: Fraction) -> int | float:
    return int(when) if when.denominator == 1 else float(when)


def course(ticks: Sequence[int | float], values: Sequence[Course], easing: Easing) -> Course:
    """The ramp as a function of the tick: on one tick the later point holds."""
    first, last, stop = values[0], values[-1], ticks[-1]
    between = easing.between
    if len(ticks) == 2:
        begin, span = ticks[0], ticks[1] - ticks[0]

        def straight(tick: int) -> Any:
            if tick >= stop:
                return last(tick)
            return first(tick) if tick <= begin else between(first(tick), last(tick), (tick - begin) / span)

        return straight

    def bent(tick: int) -> Any:
        if tick >= stop:
            return last(tick)
        place = bisect_right(ticks, tick) - 1
        if place < 0:
            return first(tick)
        p = (tick - ticks[place]) / (ticks[place + 1] - ticks[place])
        return between(values[place](tick), values[place + 1](tick), p)

    return bent
