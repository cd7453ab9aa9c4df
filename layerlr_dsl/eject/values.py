"""Values that move as expressions and small functions of Python, worked out as the plan works them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from layerlr_dsl.catalogue.schedules import CALLED
from layerlr_dsl.eject.curves import Lines, between, body_of
from layerlr_dsl.eject.terms import ONE, T, Term, call, name, number
from layerlr_dsl.language import syntax as s
from layerlr_dsl.plan import ramps
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.factories import TimeArguments, called_schedule

if TYPE_CHECKING:
    from layerlr_dsl.language.lets import Lets

Define = Callable[[str, str, Lines], str]
"""Adds a function of `t`: from the name it should have, what it says, and its body, to the name that it has."""

_LOWEST = 0


class Expressions:
    """Writes folded expressions for one clock; `define` takes the functions that they need."""

    def __init__(self, lets: Lets, clock: Clock, define: Define) -> None:
        self.lets = lets
        self.clock = clock
        self.define = define
        self.arguments = TimeArguments(lets)

    def term(self, node: s.Expression) -> Term:
        """An expression of `t`."""
        return _TERMS[type(node)](self, node)

    def number(self, node: s.Number) -> Term:
        return number(node.value)

    def constant(self, node: s.String | s.Boolean) -> Term:
        return number(node.value)

    def time(self, node: s.Name) -> Term:
        clock = self.clock
        if node.name == "step":
            return T
        if node.name == "epoch":
            ticks, epochs = clock.ticks_per_epoch.as_integer_ratio()
            return (T if epochs == 1 else T * number(epochs)) / number(ticks)
        if node.name == "progress":
            return call("min", T / number(clock.total), ONE)
        return number(clock.total if node.name == "steps" else float(clock.run_epochs or 0))

    def several(self, node: s.Tuple) -> Term:
        items = [self.term(item).text for item in node.items]
        return Term(f"({', '.join(items)}{',' * (len(items) == 1)})")

    def negative(self, node: s.Negative) -> Term:
        operand = self.term(node.operand)
        return Term(f"-{operand.within(3)}", 1, whole=operand.whole)

    def arithmetic(self, node: s.Arithmetic) -> Term:
        # A chain leans to the left and may be long.
        steps: list[s.Arithmetic] = []
        at: s.Expression = node
        while isinstance(at, s.Arithmetic):
            steps.append(at)
            at = at.left
        term = self.term(at)
        for step in reversed(steps):
            term = _OPERATIONS[step.operator](term, self.term(step.right))
        return term

    def comparison(self, node: s.Comparison) -> Term:
        left, right = self.term(node.left), self.term(node.right)
        return Term(f"{left.within(1)} {node.operator} {right.within(1)}", _LOWEST)

    def logic(self, node: s.Logic) -> Term:
        left, right = self.term(node.left), self.term(node.right)
        return Term(f"{left.within(1)} {node.operator} {right.within(1)}", _LOWEST)

    def negation(self, node: s.Not) -> Term:
        return Term(f"not {self.term(node.operand).within(1)}", _LOWEST)

    def call(self, node: s.Call) -> Term:
        if node.function == "ramp":
            return self._ramp(node)
        if node.function in CALLED:
            made = called_schedule(node, self.lets, self.clock)
            return name(f"{self.define(node.function, _words(node), body_of(made))}(t)")
        arguments = [self.term(argument) for argument in node.arguments]
        if node.function == "choose":
            condition, first, second = arguments
            return Term(f"{first.within(1)} if {condition.within(1)} else {second.within(1)}", _LOWEST)
        if node.function in ("min", "max") and len(arguments) == 1:
            return arguments[0]
        whole = node.function in ("floor", "ceil") or any(argument.whole for argument in arguments)
        return call(node.function, *arguments, whole=whole and node.function in _WHOLE)

    def _ramp(self, node: s.Call) -> Term:
        form = ramps.form_of(node, self.arguments)
        whens = [self.clock.exact(length) for length in ramps.lengths_of(node, self.arguments)]
        ticks = ramps.ticks_of(whens, form)
        values = [self.term(value) for value in ramps.values_of(node)]
        return name(f"{self.define('ramp', _words(node), _ramp_body(ticks, values, form))}(t)")


def _ramp_body(ticks: Sequence[int | float], values: Sequence[Term], form: ramps.Form) -> Lines:
    lines = [f"if t >= {ticks[-1]}:", f"    return {values[-1].text}"]
    if ticks[0] > 0:
        lines += [f"if t < {ticks[0]}:", f"    return {values[0].text}"]
    stretches = [n for n in range(len(ticks) - 1) if ticks[n] < ticks[n + 1]]
    for n in stretches:
        p = (T - number(ticks[n])) / number(ticks[n + 1] - ticks[n])
        line = f"return {between(values[n], values[n + 1], p, form.easing).text}"
        lines += [line] if n == stretches[-1] else [f"if t < {ticks[n + 1]}:", f"    {line}"]
    return lines if stretches else [f"return {values[-1].text}"]


def _power(left: Term, right: Term) -> Term:
    return call("pow", _as_float(left), _as_float(right))


def _as_float(term: Term) -> Term:
    if isinstance(term.value, (int, float)):
        return number(float(term.value))
    return call("float", term) if term.whole else term


def _words(node: s.Expression) -> str:
    return node.span.excerpt


_OPERATIONS: Mapping[str, Callable[[Term, Term], Term]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "mod": lambda left, right: left % right,
    "^": _power,
}
_WHOLE = ("floor", "ceil", "min", "max", "abs")
_TERMS: Mapping[type, Callable[[Expressions, Any], Term]] = {
    s.Number: Expressions.number,
    s.String: Expressions.constant,
    s.Boolean: Expressions.constant,
    s.Name: Expressions.time,
    s.Tuple: Expressions.several,
    s.Negative: Expressions.negative,
    s.Arithmetic: Expressions.arithmetic,
    s.Comparison: Expressions.comparison,
    s.Logic: Expressions.logic,
    s.Not: Expressions.negation,
    s.Call: Expressions.call,
}
