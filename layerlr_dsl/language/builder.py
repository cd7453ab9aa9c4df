"""What each rule of the grammar builds: the syntax tree, node by node, as the parser reduces.

The methods bear the names of the grammar's rules and aliases and take the list of what the
rule matched: tokens and finished nodes. They run inside the parser, so nothing here recurses,
and a chain of 10,000 operators costs 10,000 short calls.

A fault that does not stop the parser (a malformed number, a missing unit) is noted, and a
stand-in takes its place, so that the rest of the statement is still read and judged.
"""

from __future__ import annotations

from typing import Any, cast

from layerlr_dsl.language import faults
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.expression_builder import ExpressionBuilder, share_of, unquoted
from layerlr_dsl.language.names import WORDS
from layerlr_dsl.language.source import Span
from layerlr_dsl.language.tokens import Token

_MOMENT_UNITS = {"epoch", "step"}
_DURATION_UNITS = {"epoch": "epochs", "epochs": "epochs", "step": "steps", "steps": "steps"}
# `-> frozen` has no value and is refused with the rules; every other bare option lacks one.
_BARE_WORDS = {"frozen"}


class TreeBuilder(ExpressionBuilder):
    """Builds the statements of one source at a time."""

    def begin_statement(self) -> None:
        super().begin_statement()
        self._sequences: list[tuple[s.SchedulePart, ...]] = []

    def finish_statement(self) -> None:
        super().finish_statement()
        for *middle, last in self._sequences:
            self.faults.add(
                *(faults.part_without_length(part.span) for part in middle if part.length is None)
            )
            if last.length is not None:
                self.faults.add(faults.last_part_with_length(last.span, last.length.span))

    # ------------------------------------------------------------ the file

    def start(self, children: list[Any]) -> Any:
        return children[0]

    def version(self, children: list[Any]) -> s.VersionStatement:
        return s.VersionStatement(self._whole(children), children[1])

    def model(self, children: list[Any]) -> s.ModelStatement:
        return s.ModelStatement(self._whole(children), children[1])

    def epochs(self, children: list[Any]) -> s.EpochsStatement:
        return s.EpochsStatement(self._whole(children), children[1])

    def steps(self, children: list[Any]) -> s.StepsStatement:
        return s.StepsStatement(self._whole(children), children[1])

    def steps_per_epoch(self, children: list[Any]) -> s.StepsPerEpochStatement:
        return s.StepsPerEpochStatement(self._whole(children), children[1])

    def include(self, children: list[Any]) -> s.IncludeStatement:
        return s.IncludeStatement(self._whole(children), children[1])

    def let(self, children: list[Any]) -> s.LetStatement:
        _, name, _, value = children
        if name.text in WORDS:
            self.faults.add(faults.reserved_name(self._token_span(name)))
        return s.LetStatement(self._whole(children), name.text, self._token_span(name), value)

    def group(self, children: list[Any]) -> s.GroupStatement:
        _, name, _, selector = children
        return s.GroupStatement(self._whole(children), name.text, self._token_span(name), selector)

    def optimizer(self, children: list[Any]) -> s.OptimizerStatement:
        return s.OptimizerStatement(self._whole(children), children[1])

    def named_optimizer(self, children: list[Any]) -> s.OptimizerStatement:
        _, name, _, factory = children
        return s.OptimizerStatement(self._whole(children), factory, name.text, self._token_span(name))

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
        if option.text not in _BARE_WORDS:
            self.faults.add(faults.option_without_value(span))
        return s.Setting(span, option.text, span, False, None)

    def set_option(self, children: list[Any]) -> s.Setting:
        option, value = children
        return s.Setting(self._whole(children), option.text, self._token_span(option), False, value)

    set_factory = set_option

    def multiply_option(self, children: list[Any]) -> s.Setting:
        option, _, value = children
        return s.Setting(self._whole(children), option.text, self._token_span(option), True, value)

    def set_quoted_option(self, children: list[Any]) -> s.Setting:
        return self._quoted_option(children, multiply=False)

    def multiply_quoted_option(self, children: list[Any]) -> s.Setting:
        return self._quoted_option(children, multiply=True)

    def _quoted_option(self, children: list[Any], multiply: bool) -> s.Setting:
        option, value = children[0], children[-1]
        span, name = self._token_span(option), unquoted(option.text)
        return s.Setting(self._whole(children), name, span, multiply, value, quoted=True)

    # ------------------------------------------------------------ freezing

    def freeze(self, children: list[Any]) -> s.FreezeStatement:
        _, selector, updating, window, warmup = children
        span = self._whole(children)
        return s.FreezeStatement(span, selector, updating is not None, window, warmup)

    def updating(self, children: list[Token]) -> Token:
        return children[1]

    def freeze_statistics(self, children: list[Any]) -> s.FreezeStatisticsStatement:
        _, _, _, selector, window = children
        return s.FreezeStatisticsStatement(self._whole(children), selector, window)

    def unfreeze(self, children: list[Any]) -> s.UnfreezeStatement:
        _, selector, time, warmup = children
        return s.UnfreezeStatement(self._whole(children), selector, time, warmup)

    def unfreeze_sequence(self, children: list[Any]) -> s.UnfreezeSequenceStatement:
        _, turns, _, every, start, warmup = children
        span = self._whole(children)
        return s.UnfreezeSequenceStatement(span, tuple(turns), every, start, warmup)

    def single_turn(self, children: list[Any]) -> s.Turn:
        return s.Turn(self._whole(children), children[0])

    def turn(self, children: list[Any]) -> s.Turn:
        selector, _, name, order = children
        descending = order is not None and order.kind == "DESCENDING"
        return s.Turn(self._whole(children), selector, name.text, self._token_span(name), descending)

    def order(self, children: list[Token]) -> Token:
        return children[0]

    def starting(self, children: list[Any]) -> Any:
        return children[2]

    def warmup(self, children: list[Any]) -> Any:
        return children[1]

    # ------------------------------------------------------------ stages

    def stage(self, children: list[Any]) -> s.StageStatement:
        _, name, length, until, fresh = children
        span = self._whole(children)
        if isinstance(until, s.Moment):
            self.faults.add(faults.stage_until_moment(until.span, length is not None))
            until = None
        return s.StageStatement(span, name.text, self._token_span(name), length, until, fresh is not None)

    def lasting(self, children: list[Any]) -> Any:
        return children[1]

    def ending(self, children: list[Any]) -> Any:
        return children[1]

    def fresh(self, children: list[Token]) -> Token:
        return children[2]

    def after_stages(self, children: list[Any]) -> s.AfterStagesStatement:
        return s.AfterStagesStatement(self._whole(children))

    # ------------------------------------------------------------ expectations

    def expect_option(self, children: list[Any]) -> s.ExpectOption:
        _, selector, option, operator, value, at = children
        span, place = self._whole(children), self._token_span(option)
        return s.ExpectOption(span, selector, option.text, place, operator, value, at)

    def expect_state(self, children: list[Any]) -> s.ExpectState:
        _, selector, state, at = children
        return s.ExpectState(self._whole(children), selector, state.kind == "FROZEN", at)

    def expect_count(self, children: list[Any]) -> s.ExpectCount:
        _, subject, operator, value, at = children
        return s.ExpectCount(self._whole(children), cast(Any, subject.text), operator, value, at)

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
        return s.Pattern(self._token_span(token), token.text)

    def quoted_pattern(self, children: list[Token]) -> s.Pattern:
        token = children[0]
        return s.Pattern(self._token_span(token), unquoted(token.text), True)

    def group_ref(self, children: list[Token]) -> s.GroupRef:
        token = children[0]
        return s.GroupRef(self._token_span(token), token.text[1:])

    # ------------------------------------------------------------ time

    def opening_window(self, children: list[Any]) -> s.Window:
        return s.Window(self._whole(children), children[1], None)

    def closing_window(self, children: list[Any]) -> s.Window:
        return s.Window(self._whole(children), None, children[1])

    def full_window(self, children: list[Any]) -> s.Window:
        return s.Window(self._whole(children), children[1], children[3])

    def moment(self, children: list[Any]) -> s.Moment:
        unit, value = children
        known = unit.text if unit.text in _MOMENT_UNITS else "epoch"
        if known != unit.text:
            self.faults.add(faults.unknown_moment_unit(self._token_span(unit)))
        return s.Moment(self._whole(children), cast(Any, known), value)

    def unitless_moment(self, children: list[Any]) -> s.Moment:
        value = children[0]
        span = self._span(value, value)
        if (share := share_of(value)) is not None:
            return s.Moment(span, "percent", share)
        self.faults.add(faults.moment_without_unit(span))
        return s.Moment(span, "epoch", value)

    def reversed_moment(self, children: list[Any]) -> s.Moment:
        value, unit = children
        span = self._whole(children)
        self.faults.add(faults.reversed_moment(span, self._span(value, value), unit.text))
        return s.Moment(span, "epoch", value)

    def percent_moment(self, children: list[Any]) -> s.Moment:
        return s.Moment(self._percent_span(children), "percent", children[0])

    def condition(self, children: list[Any]) -> s.Condition:
        metric, _, direction, _, (patience, end), delta = children
        name = unquoted(metric.text) if metric.kind == "STRING" else metric.text
        span = self._span(metric, delta or end)
        return s.Condition(span, name, cast(Any, direction.text), patience, delta)

    def patience(self, children: list[Any]) -> tuple[Any, Any]:
        """The number of epochs, and what ends it: the unit belongs to the condition's span."""
        value, unit = children
        if _DURATION_UNITS.get(unit.text) != "epochs":
            self.faults.add(faults.patience_unit(self._token_span(unit)))
        return value, unit

    def unitless_patience(self, children: list[Any]) -> tuple[Any, Any]:
        value = children[0]
        self.faults.add(faults.patience_without_unit(self._span(value, value)))
        return value, value

    def metric(self, children: list[Token]) -> Token:
        return children[0]

    def by(self, children: list[Any]) -> Any:
        return children[1]

    def duration(self, children: list[Any]) -> s.Duration:
        value, unit = children
        span = self._whole(children)
        known = _DURATION_UNITS.get(unit.text)
        if known is None:
            self.faults.add(faults.unknown_duration_unit(self._token_span(unit)))
        return s.Duration(span, value, cast(Any, known or "epochs"))

    def percent_duration(self, children: list[Any]) -> s.Duration:
        return s.Duration(self._percent_span(children), children[0], "percent")

    def _percent_span(self, children: list[Any]) -> Span:
        value, sign = children
        span = self._whole(children)
        if self._end(value) != sign.start:
            self.faults.add(faults.detached_percent(span, self._end(value), sign.start))
        elif isinstance(value, s.Number) and value.percent:
            self.faults.add(faults.malformed_number(span))
        return span

    # ------------------------------------------------------------ optimizers and schedules

    def schedules(self, children: list[Any]) -> s.ScheduleSequence:
        parts = tuple(children[0])
        self._sequences.append(parts)
        return s.ScheduleSequence(self._span(parts[0], parts[-1]), parts)

    def part(self, children: list[Any]) -> s.SchedulePart:
        factory, length = children
        return s.SchedulePart(self._whole(children), factory, length)

    def bare_factory(self, children: list[Token]) -> s.Factory:
        name = children[0]
        span = self._token_span(name)
        return s.Factory(span, name.text, span)

    def empty_factory(self, children: list[Token]) -> s.Factory:
        return s.Factory(self._whole(children), children[0].text, self._token_span(children[0]))

    def factory(self, children: list[Any]) -> s.Factory:
        name, arguments = children[0], children[2]
        return s.Factory(self._whole(children), name.text, self._token_span(name), tuple(arguments))
