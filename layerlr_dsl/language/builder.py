"""What each rule of the grammar builds: the syntax tree, node by node, as the parser reduces.

The methods bear the names of the grammar's rules and aliases and take the list of what the
rule matched: tokens and finished nodes. They run inside the parser, so nothing here recurses,
and a chain of 10,000 operators costs 10,000 short calls.

A fault that does not stop the parser (a malformed number, a missing unit) is noted, and a
stand-in takes its place, so that the rest of the statement is still read and judged.
"""

from __future__ import annotations

import re
from typing import Any, cast

from lark import Token

from layerlr_dsl.language import faults
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.source import Source, Span

DEEPEST_NESTING = 200

_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?([0-9]{1,4}))?", re.ASCII)
_LONGEST_NUMBER = 1000
_ESCAPE = re.compile(r'\\(["\\])')
_MOMENT_UNITS = {"epoch", "step"}
_DURATION_UNITS = {"epoch": "epochs", "epochs": "epochs", "step": "steps", "steps": "steps"}
# `-> frozen` has no value and is refused with the rules; every other bare option lacks one.
_BARE_WORDS = {"frozen"}


class TooDeep(Exception):
    """Nesting beyond the bound; `token` opened the first level too many."""

    def __init__(self, token: Token) -> None:
        super().__init__()
        self.token = token


class _Durations:
    """A tuple of stretches of time, legal only as the whole value of an argument."""

    __slots__ = ("items", "span")

    def __init__(self, span: Span, items: tuple[s.Duration, ...]) -> None:
        self.span = span
        self.items = items


class TreeBuilder:
    """Builds the statements of one source at a time; `begin` and `begin_statement` reset it."""

    def __init__(self) -> None:
        self.begin(Source("", ""))

    def begin(self, source: Source) -> None:
        self.source = source
        self.begin_statement()

    def begin_statement(self) -> None:
        self.faults: list[Diagnostic] = []
        self.depth = 0
        self.opened: list[Token] = []
        # Nodes in parentheses, with the extent of the parentheses; the node is kept alive, so its id is its own.
        self._wide: dict[int, tuple[object, int, int]] = {}
        self._durations: list[_Durations] = []

    def finish_statement(self) -> None:
        """Judge what could only be judged once the statement was read."""
        for stray in self._durations:
            self.faults.append(faults.duration_in_expression(stray.span))

    # ------------------------------------------------------------ places

    def _start(self, value: Any) -> int:
        if type(value) is Token:
            return cast(int, value.start_pos)
        wide = self._wide.get(id(value)) if self._wide else None
        return wide[1] if wide else value.span.start

    def _end(self, value: Any) -> int:
        if type(value) is Token:
            return cast(int, value.end_pos)
        wide = self._wide.get(id(value)) if self._wide else None
        return wide[2] if wide else value.span.end

    def _span(self, first: Any, last: Any) -> Span:
        return Span(self.source, self._start(first), self._end(last))

    def _token_span(self, token: Token) -> Span:
        return Span(self.source, token.start_pos, token.end_pos)  # type: ignore[arg-type]

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

    # ------------------------------------------------------------ the file

    def start(self, children: list[Any]) -> Any:
        return children[0]

    def version(self, children: list[Any]) -> s.VersionStatement:
        return s.VersionStatement(self._whole(children), children[1])

    def model(self, children: list[Any]) -> s.ModelStatement:
        return s.ModelStatement(self._whole(children), children[1])

    def epochs(self, children: list[Any]) -> s.EpochsStatement:
        return s.EpochsStatement(self._whole(children), children[1])

    def include(self, children: list[Any]) -> s.IncludeStatement:
        return s.IncludeStatement(self._whole(children), children[1])

    def let(self, children: list[Any]) -> s.LetStatement:
        _, name, _, value = children
        return s.LetStatement(self._whole(children), str(name), self._token_span(name), value)

    def group(self, children: list[Any]) -> s.GroupStatement:
        _, name, _, selector = children
        return s.GroupStatement(self._whole(children), str(name), self._token_span(name), selector)

    def optimizer(self, children: list[Any]) -> s.OptimizerStatement:
        return s.OptimizerStatement(self._whole(children), children[1])

    def schedule(self, children: list[Any]) -> s.ScheduleStatement:
        return s.ScheduleStatement(self._whole(children), children[1])

    # ------------------------------------------------------------ rules

    def rule(self, children: list[Any]) -> s.RuleStatement:
        selector, _, settings, window = children
        span = self._span(selector, window or settings[-1])
        return s.RuleStatement(span, selector, tuple(settings), window)

    def bare_setting(self, children: list[Token]) -> s.Setting:
        option = children[0]
        span = self._token_span(option)
        if option not in _BARE_WORDS:
            self.faults.append(faults.option_without_value(span))
        return s.Setting(span, str(option), span, False, None)

    def set_option(self, children: list[Any]) -> s.Setting:
        option, value = children
        return s.Setting(self._whole(children), str(option), self._token_span(option), False, value)

    set_factory = set_option

    def multiply_option(self, children: list[Any]) -> s.Setting:
        option, _, value = children
        return s.Setting(self._whole(children), str(option), self._token_span(option), True, value)

    # ------------------------------------------------------------ freezing

    def freeze(self, children: list[Any]) -> s.FreezeStatement:
        _, selector, updating, window, warmup = children
        span = self._whole(children)
        return s.FreezeStatement(span, selector, updating is not None, window, warmup)

    def updating(self, children: list[Token]) -> Token:
        return children[1]

    def unfreeze(self, children: list[Any]) -> s.UnfreezeStatement:
        _, selector, _, time, warmup = children
        return s.UnfreezeStatement(self._whole(children), selector, time, warmup)

    def unfreeze_sequence(self, children: list[Any]) -> s.UnfreezeSequenceStatement:
        _, selectors, _, every, start, warmup = children
        span = self._whole(children)
        return s.UnfreezeSequenceStatement(span, tuple(selectors), every, start, warmup)

    def starting(self, children: list[Any]) -> Any:
        return children[2]

    def warmup(self, children: list[Any]) -> Any:
        return children[1]

    # ------------------------------------------------------------ expectations

    def expect_option(self, children: list[Any]) -> s.ExpectOption:
        _, selector, option, operator, value, at = children
        span, place = self._whole(children), self._token_span(option)
        return s.ExpectOption(span, selector, str(option), place, operator, value, at)

    def expect_state(self, children: list[Any]) -> s.ExpectState:
        _, selector, state, at = children
        return s.ExpectState(self._whole(children), selector, state.type == "FROZEN", at)

    def expect_count(self, children: list[Any]) -> s.ExpectCount:
        _, subject, operator, value, at = children
        return s.ExpectCount(self._whole(children), cast(Any, str(subject)), operator, value, at)

    def at(self, children: list[Any]) -> Any:
        return children[1]

    # ------------------------------------------------------------ selectors

    def selector(self, children: list[Any]) -> s.Selector:
        items, excluded, where = children
        last = where or (excluded or items)[-1]
        return s.Selector(self._span(items[0], last), tuple(items), tuple(excluded or ()), where)

    def excluding(self, children: list[Any]) -> Any:
        return children[1]

    def where(self, children: list[Any]) -> Any:
        return children[1]

    def pattern(self, children: list[Token]) -> s.Pattern:
        token = children[0]
        return s.Pattern(self._token_span(token), str(token))

    def quoted_pattern(self, children: list[Token]) -> s.Pattern:
        token = children[0]
        return s.Pattern(self._token_span(token), _unquoted(token), True)

    def regex(self, children: list[Token]) -> s.Regex:
        token = children[0]
        return s.Regex(self._token_span(token), token[1:-1].replace("\\/", "/"))

    def group_ref(self, children: list[Token]) -> s.GroupRef:
        token = children[0]
        return s.GroupRef(self._token_span(token), token[1:])

    # ------------------------------------------------------------ time

    def opening_window(self, children: list[Any]) -> s.Window:
        return s.Window(self._whole(children), children[1], None)

    def closing_window(self, children: list[Any]) -> s.Window:
        return s.Window(self._whole(children), None, children[1])

    def full_window(self, children: list[Any]) -> s.Window:
        return s.Window(self._whole(children), children[1], children[3])

    def moment(self, children: list[Any]) -> s.Moment:
        unit, value = children
        if unit not in _MOMENT_UNITS:
            self.faults.append(faults.unknown_moment_unit(self._token_span(unit)))
            unit = "epoch"
        return s.Moment(self._whole(children), cast(Any, str(unit)), value)

    def unitless_moment(self, children: list[Any]) -> s.Moment:
        value = children[0]
        span = self._span(value, value)
        if isinstance(value, s.Number) and value.percent:
            return s.Moment(span, "percent", s.Number(span, value.text))
        self.faults.append(faults.moment_without_unit(span))
        return s.Moment(span, "epoch", value)

    def reversed_moment(self, children: list[Any]) -> s.Moment:
        value, unit = children
        span = self._whole(children)
        self.faults.append(faults.reversed_moment(span, self._span(value, value), str(unit)))
        return s.Moment(span, "epoch", value)

    def percent_moment(self, children: list[Any]) -> s.Moment:
        return s.Moment(self._percent_span(children), "percent", children[0])

    def condition(self, children: list[Any]) -> s.Condition:
        metric, _, direction, _, patience, delta = children
        if patience.unit != "epochs":
            self.faults.append(faults.patience_unit(patience.span))
        name = _unquoted(metric) if metric.type == "STRING" else str(metric)
        return s.Condition(self._whole(children), name, cast(Any, str(direction)), patience.value, delta)

    def metric(self, children: list[Token]) -> Token:
        return children[0]

    def by(self, children: list[Any]) -> Any:
        return children[1]

    def duration(self, children: list[Any]) -> s.Duration:
        value, unit = children
        span = self._whole(children)
        known = _DURATION_UNITS.get(unit)
        if known is None:
            self.faults.append(faults.unknown_duration_unit(self._token_span(unit)))
        return s.Duration(span, value, cast(Any, known or "epochs"))

    def percent_duration(self, children: list[Any]) -> s.Duration:
        return s.Duration(self._percent_span(children), children[0], "percent")

    def unitless_duration(self, children: list[Any]) -> s.Duration:
        value = children[0]
        span = self._span(value, value)
        if isinstance(value, s.Number) and value.percent:
            return s.Duration(span, s.Number(span, value.text), "percent")
        self.faults.append(faults.duration_without_unit(span))
        return s.Duration(span, value, "epochs")

    def _percent_span(self, children: list[Any]) -> Span:
        value, sign = children
        span = self._whole(children)
        if self._end(value) != sign.start_pos:
            self.faults.append(faults.detached_percent(span, self._end(value), sign.start_pos))
        elif isinstance(value, s.Number) and value.percent:
            self.faults.append(faults.malformed_number(span))
        return span

    # ------------------------------------------------------------ optimizers and schedules

    def bare_factory(self, children: list[Token]) -> s.Factory:
        name = children[0]
        span = self._token_span(name)
        return s.Factory(span, str(name), span)

    def empty_factory(self, children: list[Token]) -> s.Factory:
        return s.Factory(self._whole(children), str(children[0]), self._token_span(children[0]))

    def factory(self, children: list[Any]) -> s.Factory:
        name, arguments = children[0], children[2]
        return s.Factory(self._whole(children), str(name), self._token_span(name), tuple(arguments))

    def argument(self, children: list[Any]) -> s.Argument:
        name, _, value = children
        span, value_span = self._whole(children), self._span(value, value)
        if type(value) is _Durations:
            self._durations.remove(value)
            value = value.items
        return s.Argument(span, str(name), self._token_span(name), value, value_span)

    # ------------------------------------------------------------ expressions

    def number(self, children: list[Token]) -> s.Number:
        token = children[0]
        span = self._token_span(token)
        text = str(token)
        percent = text[-1] == "%"
        digits = text[:-1] if percent else text
        if _NUMBER.fullmatch(digits) is None or len(digits) > _LONGEST_NUMBER:
            self.faults.append(faults.malformed_number(span))
            digits = "0"
        return s.Number(span, digits, percent)

    def name(self, children: list[Token]) -> s.Name:
        token = children[0]
        return s.Name(self._token_span(token), str(token))

    def string(self, children: list[Token]) -> s.String:
        token = children[0]
        return s.String(self._token_span(token), _unquoted(token))

    def boolean(self, children: list[Token]) -> s.Boolean:
        token = children[0]
        return s.Boolean(self._token_span(token), token.type == "TRUE")

    def compare(self, children: list[Token]) -> str:
        return str(children[0])

    def logic(self, children: list[Any]) -> s.Logic:
        left, operator, right = children
        return s.Logic(self._span(left, right), cast(Any, str(operator)), left, right)

    def negated(self, children: list[Any]) -> s.Not:
        self.depth -= 1
        return s.Not(self._whole(children), children[1])

    def compared(self, children: list[Any]) -> s.Comparison:
        left, operator, right = children
        return s.Comparison(self._span(left, right), operator, left, right)

    def is_name(self, children: list[Any]) -> s.Is:
        subject, _, word = children
        return s.Is(self._whole(children), subject, str(word), self._token_span(word))

    def is_string(self, children: list[Any]) -> s.Is:
        subject, _, word = children
        return s.Is(self._whole(children), subject, word.value, word.span)

    def matches(self, children: list[Any]) -> s.Matches:
        subject, _, token = children
        return s.Matches(self._whole(children), subject, self.regex([token]))

    def arithmetic(self, children: list[Any]) -> s.Arithmetic:
        left, operator, right = children
        return s.Arithmetic(self._span(left, right), cast(Any, str(operator)), left, right)

    def power(self, children: list[Any]) -> s.Arithmetic:
        self.depth -= 1
        return self.arithmetic(children)

    def negative(self, children: list[Any]) -> s.Negative:
        self.depth -= 1
        return s.Negative(self._whole(children), children[1])

    def call(self, children: list[Any]) -> s.Call:
        name, arguments = children[0], children[2]
        return s.Call(self._whole(children), str(name), self._token_span(name), tuple(arguments))

    def subscript(self, children: list[Any]) -> s.Subscript:
        self.depth -= 1
        return s.Subscript(self._whole(children), str(children[0]), children[2])

    def grouped(self, children: list[Any]) -> Any:
        opening, value, closing = children
        self._wide[id(value)] = (value, opening.start_pos, closing.end_pos)
        return value

    def single_tuple(self, children: list[Any]) -> Any:
        return self._tuple(children, [children[1]])

    def tuple(self, children: list[Any]) -> Any:
        items = children[1]
        return self._tuple(children, items if isinstance(items, list) else [items])

    def _tuple(self, children: list[Any], items: list[Any]) -> s.Tuple | _Durations:
        span = self._whole(children)
        if not any(isinstance(item, s.Duration) for item in items):
            return s.Tuple(span, tuple(items))
        durations = _Durations(span, tuple(self._as_duration(item) for item in items))
        self._durations.append(durations)
        return durations

    def _as_duration(self, item: Any) -> s.Duration:
        return item if isinstance(item, s.Duration) else self.unitless_duration([item])


def _unquoted(token: str) -> str:
    return _ESCAPE.sub(r"\1", token[1:-1])
