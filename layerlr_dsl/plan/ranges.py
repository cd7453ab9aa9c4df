"""Between which two numbers a value that moves stays on a stretch of ticks, without working out each.

Interval arithmetic on the folded expression: wider than what is reached, and never narrower, since `+ - * /` on
floats are monotone in each operand. Where it cannot be sure, as where something may divide by zero, it says
nothing: whoever asks looks at each tick then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise, product
from typing import Any, TypeAlias

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.plan import ramps
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.factories import TimeArguments
from layerlr_dsl.plan.moving import Moving
from layerlr_dsl.plan.schedules.easing import Easing
from layerlr_dsl.plan.stages import Stretches

Range: TypeAlias = tuple[float, float]
"""The least and the greatest that a number may be."""
_MOST_ITEMS = 3
_HAIR = 1e-12
"""By what share of itself a power, an exponential or a logarithm may be off."""


class _Unsure(Exception):
    """It may be anything, or nothing."""


def corners(movers: Sequence[Moving], stretches: Stretches, first: int, last: int) -> list[Value] | None:
    """Values between which the product of some movers stays from one tick to another; None where nobody can be sure.

    Of a tuple every combination of what its items stay between.
    """
    try:
        found = [_reached(mover, stretches, first, last) for mover in movers]
    except (_Unsure, ArithmeticError, ValueError, TypeError):
        return None
    if len(found) == 1 and isinstance(found[0], list):
        return [tuple(items) for items in product(*found[0])]
    whole: Range = (1.0, 1.0)
    for one in found:
        if isinstance(one, list):
            return None
        whole = _of_corners(_times, whole, one)
    return list(whole)


def _reached(mover: Moving, stretches: Stretches, first: int, last: int) -> Range | list[Range]:
    stretch = stretches[mover.stage]
    reach = _Reach(mover, stretch.clock, first - stretch.start, last - stretch.start)
    if isinstance(mover.expression, s.Tuple):
        items = mover.expression.items
        if len(items) > _MOST_ITEMS:
            raise _Unsure
        return [reach.of(item) for item in items]
    return reach.of(mover.expression)


class _Reach:
    """What the parts of an expression reach between two ticks of its own clock."""

    def __init__(self, mover: Moving, clock: Clock, first: int, last: int) -> None:
        self.arguments = TimeArguments(mover.lets)
        self.clock = clock
        self.first, self.last = first, last

    def of(self, node: s.Expression) -> Range:
        """Raises _Unsure, and what arithmetic raises."""
        reach = _REACHES.get(type(node))
        if reach is None:
            raise _Unsure
        low, high = reach(self, node)
        if not -math.inf < low <= high < math.inf:
            raise _Unsure
        return low, high

    def number(self, node: s.Number) -> Range:
        value = float(node.value)
        return value, value

    def name(self, node: s.Name) -> Range:
        clock, first, last = self.clock, self.first, self.last
        if node.name == "step":
            return first, last
        if node.name == "epoch":
            ticks, epochs = clock.ticks_per_epoch.as_integer_ratio()
            return first * epochs / ticks, last * epochs / ticks
        total = clock.total
        if total is None or total <= 0:
            raise _Unsure
        if node.name == "progress":
            return min(first / total, 1.0), min(last / total, 1.0)
        fixed = total if node.name == "steps" else float(clock.run_epochs or 0)
        return fixed, fixed

    def negative(self, node: s.Negative) -> Range:
        low, high = self.of(node.operand)
        return -high, -low

    def arithmetic(self, node: s.Arithmetic) -> Range:
        # A chain leans to the left and may be long.
        steps: list[s.Arithmetic] = []
        at: s.Expression = node
        while isinstance(at, s.Arithmetic):
            steps.append(at)
            at = at.left
        found = self.of(at)
        for step in reversed(steps):
            combine = _OPERATIONS.get(step.operator)
            if combine is None:
                raise _Unsure
            found = combine(found, self.of(step.right))
        return found

    def call(self, node: s.Call) -> Range:
        if node.function == "ramp":
            return self.ramp(node)
        if node.function == "choose":
            self.condition(node.arguments[0])
            return _hull([self.of(argument) for argument in node.arguments[1:]])
        function = _FUNCTIONS.get(node.function)
        if function is None:
            raise _Unsure
        return function([self.of(argument) for argument in node.arguments])

    def condition(self, node: s.Expression) -> None:
        """Raise _Unsure for a question that may have no answer."""
        if isinstance(node, s.Not):
            self.condition(node.operand)
        elif isinstance(node, s.Logic):
            self.condition(node.left)
            self.condition(node.right)
        elif isinstance(node, s.Comparison):
            self.of(node.left), self.of(node.right)
        elif not isinstance(node, s.Boolean):
            raise _Unsure

    def ramp(self, node: s.Call) -> Range:
        easing = ramps.form_of(node, self.arguments).easing
        values = [self.of(value) for value in ramps.values_of(node)]
        return _hull([*values, *(_between(easing, before, after) for before, after in pairwise(values))])


def _between(easing: Easing, before: Range, after: Range) -> Range:
    if easing.name == "exponential":
        low, high = _hull([before, after])
        if low <= 0:
            raise _Unsure
        return _off_by_a_hair(low, high)
    if easing.name == "power" and easing.power <= 0:
        raise _Unsure
    # As `Easing.between` has it, for shares of the way from 0 to 1.
    return _plus(before, _of_corners(_times, _minus(after, before), (0.0, 1.0)))


# ---------------------------------------------------------------- arithmetic of ranges


def _hull(ranges: Iterable[Range]) -> Range:
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)


def _times(left: float, right: float) -> float:
    return left * right


def _of_corners(operation: Callable[[float, float], float], left: Range, right: Range) -> Range:
    """For what is monotone in each operand while the other stands still."""
    found = [operation(a, b) for a in left for b in right]
    return min(found), max(found)


def _off_by_a_hair(low: float, high: float) -> Range:
    return low - abs(low) * _HAIR, high + abs(high) * _HAIR


def _plus(left: Range, right: Range) -> Range:
    return left[0] + right[0], left[1] + right[1]


def _minus(left: Range, right: Range) -> Range:
    return left[0] - right[1], left[1] - right[0]


def _divided(left: Range, right: Range) -> Range:
    if right[0] <= 0 <= right[1]:
        raise _Unsure
    return _of_corners(lambda a, b: a / b, left, right)


def _modulo(left: Range, right: Range) -> Range:
    if right[0] <= 0:
        raise _Unsure
    return 0.0, right[1]


def _power(base: Range, exponent: Range) -> Range:
    if base[0] < 0 or (base[0] == 0 and exponent[0] <= 0):
        raise _Unsure
    low, high = _of_corners(lambda a, b: float(a) ** float(b), base, exponent)
    return _off_by_a_hair(low, high)


def _rising(function: Callable[[float], float]) -> Callable[[Sequence[Range]], Range]:
    """For what rises with its one number."""

    def reach(ranges: Sequence[Range]) -> Range:
        ((low, high),) = ranges
        return _off_by_a_hair(function(low), function(high))

    return reach


def _whole(function: Callable[[float], int]) -> Callable[[Sequence[Range]], Range]:
    def reach(ranges: Sequence[Range]) -> Range:
        ((low, high),) = ranges
        return function(low), function(high)

    return reach


def _absolute(ranges: Sequence[Range]) -> Range:
    ((low, high),) = ranges
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return nearest, max(abs(low), abs(high))


_OPERATIONS: Mapping[str, Callable[[Range, Range], Range]] = {
    "+": _plus,
    "-": _minus,
    "*": lambda left, right: _of_corners(_times, left, right),
    "/": _divided,
    "mod": _modulo,
    "^": _power,
}
_FUNCTIONS: Mapping[str, Callable[[Sequence[Range]], Range]] = {
    "min": lambda ranges: (min(low for low, _ in ranges), min(high for _, high in ranges)),
    "max": lambda ranges: (max(low for low, _ in ranges), max(high for _, high in ranges)),
    "abs": _absolute,
    "sqrt": _rising(math.sqrt),
    "exp": _rising(math.exp),
    "log": _rising(math.log),
    "log2": _rising(math.log2),
    "floor": _whole(math.floor),
    "ceil": _whole(math.ceil),
    "cos": lambda ranges: (-1.0, 1.0),
    "sin": lambda ranges: (-1.0, 1.0),
}
_REACHES: Mapping[type, Callable[[_Reach, Any], Range]] = {
    s.Number: _Reach.number,
    s.Name: _Reach.name,
    s.Negative: _Reach.negative,
    s.Arithmetic: _Reach.arithmetic,
    s.Call: _Reach.call,
}
