"""Expressions of Python as text, with brackets where they are needed and constants put together.

The operations are those that the plan carries out, in its order, so that not a bit differs; what is left out
(times 1, plus 0) changes none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_SUM, _PRODUCT, _ATOM = 1, 2, 9


@dataclass(frozen=True, slots=True)
class Term:
    """An expression. value: the number that it is, if it is one. whole: it may be an `int`."""

    text: str
    binds: int = _ATOM
    value: Any = None
    whole: bool = False

    def __add__(self, other: Term) -> Term:
        if _is(self, 0.0):
            return other
        return self._join("+", other, _SUM)

    def __sub__(self, other: Term) -> Term:
        return self if other.value == 0 else self._join("-", other, _SUM)

    def __mul__(self, other: Term) -> Term:
        if _is(self, 1.0):
            return other
        return self if _is(other, 1.0) else self._join("*", other, _PRODUCT)

    def __truediv__(self, other: Term) -> Term:
        return self._join("/", other, _PRODUCT, whole=False)

    def __mod__(self, other: Term) -> Term:
        return self._join("%", other, _PRODUCT)

    def _join(self, sign: str, other: Term, binds: int, whole: bool | None = None) -> Term:
        may = self.whole and other.whole if whole is None else whole
        return Term(f"{self.within(binds)} {sign} {other.within(binds + 1)}", binds, None, may)

    def within(self, binds: int) -> str:
        """The text as a part of something that binds so strongly."""
        return self.text if self.binds >= binds else f"({self.text})"


def _is(term: Term, value: float) -> bool:
    return type(term.value) is float and term.value == value


def number(value: Any) -> Term:
    """A constant."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value < 0:
        return Term(repr(value), _SUM, value, isinstance(value, int))
    return Term(repr(value), _ATOM, value, isinstance(value, int))


def name(text: str, whole: bool = False) -> Term:
    """A variable, or a call."""
    return Term(text, whole=whole)


def call(function: str, *arguments: Term, whole: bool = False) -> Term:
    return Term(f"{function}({', '.join(argument.text for argument in arguments)})", whole=whole)


def difference(first: Term, last: Term) -> Term:
    """`first - last`, worked out where that is no longer than to write it."""
    if isinstance(first.value, (int, float)) and isinstance(last.value, (int, float)):
        worked_out = number(float(first.value - last.value))
        if len(worked_out.text) <= 8:
            return worked_out
    return first - last


T = Term("t", whole=True)
"""The time: optimizer steps, or epochs where the clock counts those."""
ONE, ZERO = number(1.0), number(0.0)
