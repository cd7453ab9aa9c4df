"""Values that move: an expression folded to what only time can change, and worked out tick by tick.

Folding puts in everything that does not move: captures, `let` names, facts of the parameter. What is left is
told from others by its text, so parameters whose values move alike share a group. For the clock of a run (or
of a stage) it becomes one function of the tick, made once.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from fractions import Fraction
from typing import Any

from layerlr_dsl.catalogue.schedules import CALLED
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.expressions import (
    COMPARISONS,
    OF_ONE_NUMBER,
    Fault,
    Scope,
    Value,
    evaluate,
    place_of,
)
from layerlr_dsl.language.lets import Lets
from layerlr_dsl.language.names import TIME_NAMES
from layerlr_dsl.language.questions import moves
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan import ramps
from layerlr_dsl.plan.clock import Clock, UnknownTime
from layerlr_dsl.plan.factories import TimeArguments, called_schedule
from layerlr_dsl.plan.stages import Stretch, Stretches
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.records import record

Course = Callable[[int], Any]
"""A value by the tick of its own clock."""
Part = tuple[type, Span]
"""A part of an expression, by its kind and its place."""

_MOST_PARTS = 2_000  # that are worked out at each tick, all `let`s laid in
_DEEPEST = 150


@record
class Moving:
    """A value that moves: `scale` times what an expression gives on the clock of a stage (0: the run's).

    `text` is the folded expression, which tells it from others. `scale` is None where it is no number.
    """

    text: str
    stage: int
    scale: float | None
    expression: s.Expression = field(compare=False, repr=False)
    lets: Lets = field(compare=False, repr=False)
    _made: dict[Stretch, Course] = field(compare=False, repr=False, default_factory=dict)

    @property
    def bare(self) -> Moving:
        """The same without its scale: what parameters share whose values differ by a factor only."""
        if self.scale is None or self.scale == 1.0:
            return self
        return Moving(self.text, self.stage, 1.0, self.expression, self.lets, self._made)

    def course(self, stretches: Stretches) -> Course:
        """The bare expression, without the scale, as a function of the run's tick. Raises Fault, UnknownTime."""
        stretch = stretches[self.stage]
        made = self._made.get(stretch)
        if made is None:
            made = self._made[stretch] = self._make(stretch)
        return made

    def at(self, tick: int, stretches: Stretches) -> Value:
        """The value at a tick of the run. Raises Fault."""
        value = self.course(stretches)(tick)
        return value if self.scale is None else value * self.scale

    def _make(self, stretch: Stretch) -> Course:
        inner = _Maker(self.lets, stretch.clock).make(self.expression)
        start, expression = stretch.start, self.expression

        def course(tick: int) -> Any:
            value = inner(tick - start)
            if not (math.isfinite(value) if type(value) is float else _finite(value)):
                raise Fault("LR108", f"`{_words(expression)}` is not finite", expression.span)
            return value

        return course

    def __reduce__(self) -> tuple[Any, ...]:
        return Moving, (self.text, self.stage, self.scale, self.expression, self.lets)


def _finite(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_finite, value))
    return not isinstance(value, (int, float)) or math.isfinite(value)


def _words(node: s.Expression) -> str:
    text = " ".join(node.span.text.split())
    return text if len(text) <= 60 else text[:57] + "..."


# ---------------------------------------------------------------- folding


def fold(
    expression: s.Expression, scope: Scope, lets: Lets, stage: int, known: dict[Part, bool] | None = None
) -> Moving:
    """An expression that moves, with everything put in that does not. Raises Fault.

    known: of the parts of this expression, by their kind and place, whether they move; for when it is folded again and again.
    """
    folded = _Folder(scope, lets, {} if known is None else known).fold(expression)
    scale: float | None
    scale, rest = (None, folded) if isinstance(folded, s.Tuple) else _split(folded)
    if rest is None:  # nothing was left to move, as in `0 * progress`
        rest, scale = s.Number(expression.span, "1"), scale
    return Moving(key_of(rest), stage, scale, rest, lets)


def _split(node: s.Expression) -> tuple[float, s.Expression | None]:
    """A product as its constant factor and the rest."""
    if isinstance(node, s.Number):
        return float(node.value), None
    if isinstance(node, s.Arithmetic) and node.operator == "*":
        left, first = _split(node.left)
        right, second = _split(node.right)
        if first is None or second is None:
            return left * right, first if second is None else second
        return left * right, replace(node, left=first, right=second)
    if isinstance(node, s.Arithmetic) and node.operator == "/" and isinstance(node.right, s.Number):
        left, first = _split(node.left)
        if node.right.value and first is not None:
            return left / node.right.value, first
    return 1.0, node


class _Folder:
    """Folds the expressions of one place; `let` names that move are laid in."""

    def __init__(self, scope: Scope, lets: Lets, known: dict[Part, bool]) -> None:
        self.scope = scope
        self.lets = lets
        self.known = known
        self.depth = 0
        self.laid_in = 0

    def _moves(self, node: s.Expression) -> bool:
        if isinstance(node, (s.Name, s.Number)):
            return moves(node, self.lets, self.scope.captures)
        part = (type(node), node.span)
        found = self.known.get(part)
        if found is None:
            found = self.known[part] = moves(node, self.lets, self.scope.captures)
        return found

    def fold(self, node: s.Expression) -> s.Expression:
        if (
            isinstance(node, s.Name)
            and node.name in self.lets.moving
            and node.name not in self.scope.captures
        ):
            return self._nested(node, self.lets[node.name])
        if not self._moves(node):
            return _literal(evaluate(node, self.scope), node)
        return self._nested(node, node)

    def _nested(self, at: s.Expression, node: s.Expression) -> s.Expression:
        self.depth += 1
        self.laid_in += 1
        if (
            self.laid_in > _MOST_PARTS
        ):  # a chain of `let`s, each naming the one before it twice, doubles with each
            raise Fault(
                "LR007", "this value has too many parts that move", at.span, "name fewer `let`s in it"
            )
        if self.depth > _DEEPEST:
            raise Fault(
                "LR007", "this value is nested too deeply", at.span, "name fewer `let`s in each other"
            )
        try:
            return self.fold(node) if node is not at else self._parts(node)
        finally:
            self.depth -= 1

    def _parts(self, node: s.Expression) -> s.Expression:
        if isinstance(node, s.Arithmetic):
            return self._chain(node)
        if isinstance(node, (s.Comparison, s.Logic)):
            return replace(node, left=self.fold(node.left), right=self.fold(node.right))
        if isinstance(node, (s.Negative, s.Not)):
            return replace(node, operand=self.fold(node.operand))
        if isinstance(node, s.Tuple):
            return replace(node, items=tuple(self.fold(item) for item in node.items))
        if isinstance(node, s.Subscript):
            return self._element(node)
        if isinstance(node, s.Call) and node.function == "ramp":
            return replace(node, arguments=tuple(self._point(point) for point in node.arguments))
        if isinstance(node, s.Call):
            return replace(node, arguments=tuple(self.fold(argument) for argument in node.arguments))
        return node

    def _element(self, node: s.Subscript) -> s.Expression:
        """An element of a tuple that moves."""
        items = self.fold(s.Name(node.span, node.name))
        if self._moves(node.index):
            raise Fault("LR126", "an index changes with time, and cannot", node.index.span)
        if not isinstance(items, s.Tuple):
            raise Fault("LR107", f"`{node.name}` has no elements", node.span)
        return items.items[place_of(node, self.scope, len(items.items), "elements")]

    def _chain(self, node: s.Arithmetic) -> s.Expression:
        # A chain leans to the left and may be long: walk down, fold back up.
        steps: list[s.Arithmetic] = []
        at: s.Expression = node
        while isinstance(at, s.Arithmetic) and self._moves(at):
            steps.append(at)
            at = at.left
        folded = self.fold(at)
        for step in reversed(steps):
            folded = s.Arithmetic(step.span, step.operator, folded, self.fold(step.right))
        return folded

    def _point(self, point: s.Expression) -> s.Expression:
        assert isinstance(point, s.Tuple)
        when, value = point.items
        return replace(point, items=(when, self.fold(value)))


def _literal(value: Value, node: s.Expression) -> s.Expression:
    if isinstance(value, bool):
        return s.Boolean(node.span, value)
    if isinstance(value, str):
        return s.String(node.span, value)
    if isinstance(value, tuple):
        return s.Tuple(node.span, tuple(_literal(item, node) for item in value))
    return s.Number(node.span, repr(float(value)) if isinstance(value, Fraction) else repr(value))


def key_of(node: Any) -> str:
    """A text that two folded expressions share only if they are the same."""
    if isinstance(node, s.Number):
        return f"{node.text}%" if node.percent else node.text
    if isinstance(node, (s.Name, s.String, s.Boolean)):
        return str(getattr(node, "name", getattr(node, "value", "")))
    if isinstance(node, s.Duration):
        return f"{key_of(node.value)} {node.unit}"
    if isinstance(node, s.Argument):
        return f"{node.name}={key_of(node.value)}"
    if isinstance(node, tuple):
        return f"({', '.join(map(key_of, node))})"
    if isinstance(node, s.Tuple):
        return key_of(node.items)
    if isinstance(node, s.Call):
        return f"{node.function}{key_of((*node.arguments, *node.keywords))}"
    if isinstance(node, (s.Negative, s.Not)):
        return f"{type(node).__name__}({key_of(node.operand)})"
    parts = []
    while isinstance(node, (s.Arithmetic, s.Comparison, s.Logic)):
        parts.append(f"{node.operator} {key_of(node.right)}")
        node = node.left
    return f"({' '.join([key_of(node), *reversed(parts)])})"


# ---------------------------------------------------------------- over time


class _Maker:
    """Makes functions of the tick out of folded expressions, for one clock."""

    def __init__(self, lets: Lets, clock: Clock) -> None:
        self.lets = lets
        self.clock = clock
        self.arguments = TimeArguments(lets)

    def make(self, node: s.Expression) -> Course:
        return _MAKERS[type(node)](self, node)

    def number(self, node: s.Number) -> Course:
        value = node.value
        return lambda tick: value

    def constant(self, node: s.String | s.Boolean) -> Course:
        value = node.value
        return lambda tick: value

    def name(self, node: s.Name) -> Course:
        assert node.name in TIME_NAMES
        clock = self.clock
        if node.name in ("step", "steps") and not clock.counts_steps:
            raise UnknownTime("steps_per_epoch")
        if node.name in ("epoch", "epochs") and not clock.knows_epochs:
            raise UnknownTime("steps_per_epoch")
        if node.name == "step":
            return lambda tick: tick
        if node.name == "epoch":
            ticks, epochs = clock.ticks_per_epoch.as_integer_ratio()
            return lambda tick: tick * epochs / ticks  # in whole numbers, so that an epoch's start is whole
        total = clock.total
        if total is None:
            raise UnknownTime("epochs")
        if node.name == "progress":
            return lambda tick: tick / total if tick < total else 1.0
        fixed = total if node.name == "steps" else float(clock.run_epochs or 0)
        return lambda tick: fixed

    def several(self, node: s.Tuple) -> Course:
        items = [self.make(item) for item in node.items]
        return lambda tick: tuple([item(tick) for item in items])

    def negative(self, node: s.Negative) -> Course:
        operand = self._number_of(node.operand)
        return lambda tick: -operand(tick)

    def arithmetic(self, node: s.Arithmetic) -> Course:
        steps: list[tuple[s.Arithmetic, Callable[[Any, Any], Any], Course]] = []
        at: s.Expression = node
        while isinstance(at, s.Arithmetic):
            steps.append((at, _OPERATIONS[at.operator], self._number_of(at.right)))
            at = at.left
        first = self._number_of(at)
        if len(steps) == 1:
            _, operation, second = steps[0]
            return _guarded(node, lambda tick: operation(first(tick), second(tick)))
        steps.reverse()

        def chain(tick: int) -> Any:
            value = first(tick)
            for _, operation, right in steps:
                value = operation(value, right(tick))
            return value

        return _guarded(node, chain)

    def comparison(self, node: s.Comparison) -> Course:
        left, right, compare = self.make(node.left), self.make(node.right), COMPARISONS[node.operator]
        return _guarded(node, lambda tick: compare(left(tick), right(tick)))

    def logic(self, node: s.Logic) -> Course:
        left, right = self._truth_of(node.left), self._truth_of(node.right)
        if node.operator == "and":
            return lambda tick: left(tick) and right(tick)
        return lambda tick: left(tick) or right(tick)

    def negation(self, node: s.Not) -> Course:
        operand = self._truth_of(node.operand)
        return lambda tick: not operand(tick)

    def call(self, node: s.Call) -> Course:
        if node.function == "ramp":
            return self._ramp(node)
        if node.function in CALLED:
            return called_schedule(node, self.lets, self.clock).factor
        if node.function == "choose":
            condition = self._truth_of(node.arguments[0])
            first, second = self.make(node.arguments[1]), self.make(node.arguments[2])
            return lambda tick: first(tick) if condition(tick) else second(tick)
        function = _FUNCTIONS[node.function]
        arguments = [self._number_of(argument) for argument in node.arguments]
        if len(arguments) == 1 and node.function not in ("min", "max"):
            argument = arguments[0]
            return _guarded(node, lambda tick: function(argument(tick)))
        return _guarded(node, lambda tick: function([argument(tick) for argument in arguments]))

    def _number_of(self, node: s.Expression) -> Course:
        if isinstance(node, (s.Boolean, s.String, s.Tuple, s.Comparison, s.Logic, s.Not)):
            raise Fault("LR107", f"`{_words(node)}` is not a number", node.span)
        return self.make(node)

    def _truth_of(self, node: s.Expression) -> Course:
        if not isinstance(node, (s.Boolean, s.Comparison, s.Logic, s.Not)):
            raise Fault("LR107", f"`{_words(node)}` is not true or false", node.span)
        return self.make(node)

    def _ramp(self, node: s.Call) -> Course:
        form = ramps.form_of(node, self.arguments)
        whens = [self.clock.exact(length) for length in ramps.lengths_of(node, self.arguments)]
        ramps.check_rising(node, whens)
        ramps.check_positive(node, form)
        values = [self._number_of(value) for value in ramps.values_of(node)]
        if form.easing.name == "exponential":
            values = [ramps.positive(node, value) for value in values]
        return _guarded(node, ramps.course(ramps.ticks_of(whens, form), values, form.easing))


def _guarded(node: s.Expression, course: Course) -> Course:
    """A course whose arithmetic may have no result."""

    def guarded(tick: int) -> Any:
        try:
            value = course(tick)
        except ZeroDivisionError:
            help = "keep it away from 0: `max(progress, 1e-3)`"
            raise Fault("LR108", f"`{_words(node)}` divides by zero", node.span, help) from None
        except (OverflowError, ValueError):
            raise Fault("LR108", f"`{_words(node)}` has no value", node.span) from None
        except TypeError:
            raise Fault("LR107", f"`{_words(node)}` is not made of numbers", node.span) from None
        if isinstance(value, complex):
            raise Fault("LR108", f"`{_words(node)}` is not a real number", node.span)
        return value

    return guarded


_OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "mod": operator.mod,
    "^": lambda left, right: float(left) ** float(right),
}
_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {"min": min, "max": max, **OF_ONE_NUMBER}
_MAKERS: Mapping[type, Callable[[_Maker, Any], Course]] = {
    s.Number: _Maker.number,
    s.String: _Maker.constant,
    s.Boolean: _Maker.constant,
    s.Name: _Maker.name,
    s.Tuple: _Maker.several,
    s.Negative: _Maker.negative,
    s.Arithmetic: _Maker.arithmetic,
    s.Comparison: _Maker.comparison,
    s.Logic: _Maker.logic,
    s.Not: _Maker.negation,
    s.Call: _Maker.call,
}


def shown(value: Value | Moving) -> str:
    """A value in words, for messages."""
    if not isinstance(value, Moving):
        return spelled(value)
    return (
        _words(value.expression)
        if value.scale in (None, 1.0)
        else f"{spelled(value.scale)} * {_words(value.expression)}"
    )
