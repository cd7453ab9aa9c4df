"""What the grammar's rules for expressions build, and what all rules share: places, lists, nesting."""

from __future__ import annotations

import re
from typing import Any, cast

from layerlr_dsl.language import faults
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Findings
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.language.tokens import Token
from layerlr_dsl.tools.records import record

DEEPEST_NESTING = 200

_DIGITS = r"[0-9](?:_?[0-9])*"
_NUMBER = re.compile(rf"(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?[0-9](?:_?[0-9]){{0,3}})?")
_LONGEST_NUMBER = 1000
_ESCAPE = re.compile(r'\\(["\\])')


class TooDeep(Exception):
    """Nesting beyond the bound; `token` opened the first level too many."""

    def __init__(self, token: Token) -> None:
        super().__init__()
        self.token = token


# Whose arguments may be tuples that begin with a stretch of time.
_TAKES_POINTS = "ramp"


@record(eq=False)
class Durations:
    """A tuple that holds stretches of time: the whole value of an argument, or a point of `ramp`."""

    span: Span
    items: tuple[s.Expression, ...]


class ExpressionBuilder:
    """Builds the expressions of one source; `begin_statement` sets it up for each statement."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.begin_statement()

    def begin_statement(self) -> None:
        self.faults = Findings()
        self.depth = 0
        self.opened: list[Token] = []
        # Nodes in parentheses, with the extent of the parentheses; the node is kept alive, so its id is its own.
        self._wide: dict[int, tuple[object, int, int]] = {}
        self._durations: list[Durations] = []

    def finish_statement(self) -> None:
        """Judge what could only be judged once the statement was read."""
        for stray in self._durations:
            self.faults.add(faults.duration_in_expression(stray.span))

    # ------------------------------------------------------------ places

    def _start(self, value: Any) -> int:
        if type(value) is Token:
            return value.start
        wide = self._wide.get(id(value)) if self._wide else None
        return wide[1] if wide else value.span.start

    def _end(self, value: Any) -> int:
        if type(value) is Token:
            return value.end
        wide = self._wide.get(id(value)) if self._wide else None
        return wide[2] if wide else value.span.end

    def _span(self, first: Any, last: Any) -> Span:
        return Span(self.source, self._start(first), self._end(last))

    def _token_span(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    def _whole(self, children: list[Any]) -> Span:
        """From the first child to the last that is there."""
        last = next(child for child in reversed(children) if child is not None)
        return self._span(children[0], last)

    # ------------------------------------------------------------ lists

    def first(self, children: list[Any]) -> list[Any]:
        return [children[0]]

    def more(self, children: list[Any]) -> list[Any]:
        items, _, item = children
        items.append(item)
        return cast("list[Any]", items)

    def pair(self, children: list[Any]) -> list[Any]:
        return [children[0], children[2]]

    # ------------------------------------------------------------ nesting

    def open(self, children: list[Token]) -> Token:
        self.opened.append(children[0])
        return self._deeper(children)

    def close(self, children: list[Token]) -> Token:
        self.opened.pop()
        self.depth -= 1
        return children[0]

    def _deeper(self, children: list[Token]) -> Token:
        self.depth += 1
        if self.depth > DEEPEST_NESTING:
            raise TooDeep(children[0])
        return children[0]

    open_bracket = minus = caret = not_ = _deeper

    # ------------------------------------------------------------ expressions

    def number(self, children: list[Token]) -> s.Number:
        token = children[0]
        span = self._token_span(token)
        text = token.text
        percent = text[-1] == "%"
        digits = text[:-1] if percent else text
        if _NUMBER.fullmatch(digits) is None or len(digits) > _LONGEST_NUMBER:
            self.faults.add(faults.malformed_number(span))
            digits = "0"
        return s.Number(span, digits.replace("_", ""), percent)

    def name(self, children: list[Token]) -> s.Name:
        token = children[0]
        return s.Name(self._token_span(token), token.text)

    def string(self, children: list[Token]) -> s.String:
        token = children[0]
        return s.String(self._token_span(token), unquoted(token.text))

    def boolean(self, children: list[Token]) -> s.Boolean:
        token = children[0]
        return s.Boolean(self._token_span(token), token.kind == "TRUE")

    def compare(self, children: list[Token]) -> str:
        return children[0].text

    def logic(self, children: list[Any]) -> s.Logic:
        left, operator, right = children
        return s.Logic(self._span(left, right), cast(Any, operator.text), left, right)

    def negated(self, children: list[Any]) -> s.Not:
        self.depth -= 1
        return s.Not(self._whole(children), children[1])

    def compared(self, children: list[Any]) -> s.Comparison:
        left, operator, right = children
        return s.Comparison(self._span(left, right), operator, left, right)

    def is_name(self, children: list[Any]) -> s.Is:
        subject, _, word = children
        return s.Is(self._whole(children), subject, word.text, self._token_span(word))

    def is_string(self, children: list[Any]) -> s.Is:
        subject, _, word = children
        return s.Is(self._whole(children), subject, word.value, word.span)

    def matches(self, children: list[Any]) -> s.Matches:
        subject, _, token = children
        return s.Matches(self._whole(children), subject, self.regex([token]))

    def regex(self, children: list[Token]) -> s.Regex:
        token = children[0]
        return s.Regex(self._token_span(token), token.text[1:-1].replace("\\/", "/"))

    def arithmetic(self, children: list[Any]) -> s.Arithmetic:
        left, operator, right = children
        return s.Arithmetic(self._span(left, right), cast(Any, operator.text), left, right)

    def power(self, children: list[Any]) -> s.Arithmetic:
        self.depth -= 1
        return self.arithmetic(children)

    def negative(self, children: list[Any]) -> s.Negative:
        self.depth -= 1
        return s.Negative(self._whole(children), children[1])

    def empty_call(self, children: list[Any]) -> s.Call:
        return self._call(children, [], [])

    def call(self, children: list[Any]) -> s.Call:
        return self._call(children, children[2], [])

    def keyword_call(self, children: list[Any]) -> s.Call:
        return self._call(children, [], children[2])

    def mixed_call(self, children: list[Any]) -> s.Call:
        return self._call(children, children[2], children[4])

    def _call(self, children: list[Any], values: list[Any], keywords: list[Any]) -> s.Call:
        name = children[0]
        span = self._whole(children)
        if name.text == _TAKES_POINTS:
            values = [self._as_point(value) for value in values]
        return s.Call(span, name.text, self._token_span(name), tuple(values), tuple(keywords))

    def _as_point(self, value: Any) -> Any:
        if type(value) is not Durations:
            return value
        self._durations.remove(value)
        return s.Tuple(value.span, value.items)

    def group_capture(self, children: list[Token]) -> s.GroupCapture:
        token = children[0]
        group, _, capture = token.text[1:].partition(".")
        return s.GroupCapture(self._token_span(token), group, capture or None)

    def argument(self, children: list[Any]) -> s.Argument:
        name, _, value = children
        span, value_span = self._whole(children), self._span(value, value)
        if type(value) is Durations:
            self._durations.remove(value)
            value = tuple(self._as_duration(item) for item in value.items)
        return s.Argument(span, name.text, self._token_span(name), value, value_span)

    def subscript(self, children: list[Any]) -> s.Subscript:
        self.depth -= 1
        return s.Subscript(self._whole(children), children[0].text, children[2])

    def grouped(self, children: list[Any]) -> Any:
        opening, value, closing = children
        self._wide[id(value)] = (value, opening.start, closing.end)
        return value

    def single_tuple(self, children: list[Any]) -> Any:
        return self._tuple(children, [children[1]])

    def tuple(self, children: list[Any]) -> Any:
        items = children[1]
        return self._tuple(children, items if isinstance(items, list) else [items])

    def _tuple(self, children: list[Any], items: list[Any]) -> s.Tuple | Durations:
        span = self._whole(children)
        if not any(isinstance(item, s.Duration) for item in items):
            return s.Tuple(span, tuple(items))
        durations = Durations(span, tuple(items))
        self._durations.append(durations)
        return durations

    def _as_duration(self, item: Any) -> s.Duration:
        return item if isinstance(item, s.Duration) else self.unitless_duration([item])

    def unitless_duration(self, children: list[Any]) -> s.Duration:
        value = children[0]
        span = self._span(value, value)
        if (share := share_of(value)) is not None:
            return s.Duration(span, share, "percent")
        self.faults.add(faults.duration_without_unit(span))
        return s.Duration(span, value, "epochs")


def share_of(value: Any) -> s.Expression | None:
    """The number in front of the sign of `5%` or `-5%`; None for anything else."""
    if isinstance(value, s.Number) and value.percent:
        return s.Number(value.span, value.text)
    if isinstance(value, s.Negative) and (operand := share_of(value.operand)) is not None:
        return s.Negative(value.span, operand)
    return None


def unquoted(text: str) -> str:
    """What stands between the quotes; a backslash in front of a quote or of itself is dropped."""
    return _ESCAPE.sub(r"\1", text[1:-1])
