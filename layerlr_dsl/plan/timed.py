"""The times of a rule file on one clock: the window of each clause, and the schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from layerlr_dsl.catalogue.schedules import ArgumentInfo, arguments_of
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import CheckedClause, CheckedRules
from layerlr_dsl.language.diagnostics import Diagnostic, Findings, warning
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.clock import Clock, Length
from layerlr_dsl.plan.course import ScheduleEffect
from layerlr_dsl.plan.factories import Faulty, TimeArguments
from layerlr_dsl.plan.scheduled import Scheduled, placed
from layerlr_dsl.plan.timeline import (
    AT_ONCE,
    Interval,
    Mark,
    Timeline,
    after,
    moment_in_words,
    rounded_up,
    stretch_in_words,
)
from layerlr_dsl.tools.records import record


@record
class ClauseTimes:
    """The windows of a clause, one for each selector; a sequence has those of its turns in `Timed.turn`."""

    windows: tuple[Interval, ...]
    warmup: Mark
    """How long it warms up what it thaws."""


def sequences(rules: CheckedRules) -> Iterator[tuple[int, int, int, s.ScheduleSequence]]:
    """Every schedule of a file: its clause and place in it (-1: a statement of its own), its stage, itself."""
    for stage, statement in sorted(rules.schedules.items()):
        yield -1, stage, stage, statement.sequence
    for clause in rules.clauses:
        for place, setting in enumerate(clause.settings):
            if setting.sequence is not None:
                yield clause.index, place, clause.stage, setting.sequence


class Timed:
    """Everything of a file that its rules and the clock alone decide.

    `nominal` says that the length of the run was made up, `lenient` that nobody steps by this clock yet.
    """

    def __init__(self, rules: CheckedRules, clock: Clock, nominal: bool, lenient: bool) -> None:
        self.rules = rules
        self.timeline = Timeline(rules, clock, nominal)
        self.timeline.check_stages()
        self._turns: dict[tuple[int, int], Interval] = {}
        self._paces: dict[int, tuple[Mark, Mark]] = {}
        """Of each sequence, by its clause: the first turn, and the time between two."""
        self.windows = [self._times(clause) for clause in rules.clauses]
        self.schedules: dict[tuple[int, int], Scheduled] = {}
        """By clause and the place of the setting in it."""
        found = Findings()
        for clause, place, stage, written in sequences(rules):
            try:
                made = placed(written, rules.lets, stage, self.timeline.clock_of(stage))
            except Faulty as faulty:
                found.add(*faulty.found)
                continue
            self.schedules[clause, place] = made
            found.add(
                *_schedule_lengths(
                    written, rules, self.timeline.clock_of(stage), nominal=nominal, lenient=lenient
                )
            )
        self.defaults = tuple(
            ScheduleEffect(None, made, self.timeline.window(None, stage))
            for (clause, stage), made in sorted(self.schedules.items())
            if clause == -1
        )
        """The schedules of everything that no rule gives its own: the file's, then the stages'."""
        self.found: tuple[Diagnostic, ...] = (*self.timeline.all_found(), *found)

    def turn(self, clause: CheckedClause, number: int) -> Interval:
        """From when on a turn of `unfreeze A then B` trains, counted from 0."""
        found = self._turns.get((clause.index, number))
        if found is None:
            first, step = self._pace(clause)
            mark = after(first, step, number, clause.stage)
            found = self._turns[clause.index, number] = Interval(mark, None, clause.stage)
        return found

    def _pace(self, clause: CheckedClause) -> tuple[Mark, Mark]:
        """When the first turn of a sequence comes, and how far apart they are."""
        found = self._paces.get(clause.index)
        if found is None:
            statement, timeline, stage = clause.statement, self.timeline, clause.stage
            assert isinstance(statement, s.UnfreezeSequenceStatement)
            opens = timeline.window(None, stage).opens
            first = opens if statement.start is None else timeline.mark(statement.start, opens, stage)
            found = self._paces[clause.index] = first, timeline.step(statement.every, stage)
        return found

    def _times(self, clause: CheckedClause) -> ClauseTimes:
        statement, timeline, stage = clause.statement, self.timeline, clause.stage
        if isinstance(statement, s.RuleStatement | s.FreezeStatisticsStatement):
            return ClauseTimes((timeline.window(statement.window, stage),), AT_ONCE)
        warmup = AT_ONCE if statement.warmup is None else timeline.lasting(statement.warmup, stage)
        if isinstance(statement, s.FreezeStatement):
            return ClauseTimes((timeline.window(statement.window, stage),), warmup)
        if isinstance(statement, s.UnfreezeStatement):
            at = statement.at
            written = None if at is None else s.Window(at.span, at, None)
            return ClauseTimes((timeline.window(written, stage),), warmup)
        windows = [self.turn(clause, number) for number in range(len(statement.selectors))]
        if not any(one.by for one in statement.turns):
            turns = zip(statement.selectors, windows, strict=True)
            named = ((selector.span.text, selector.span, window.opens) for selector, window in turns)
            timeline.found.add(*timeline.never_thaw(named, stage))
        return ClauseTimes(tuple(windows), warmup)


# ---------------------------------------------------------------- the stretches of time that schedules are given


def _schedule_lengths(
    written: s.ScheduleSequence, rules: CheckedRules, clock: Clock, *, nominal: bool, lenient: bool
) -> Iterator[Diagnostic]:
    """Findings on the stretches of time that a schedule, which could be made, is given.

    `nominal` says that the length of the run was made up; `lenient` that nobody steps by this clock yet: a
    share of the run, which any run that counts its steps takes exactly, is then left unchecked.
    """
    alone = len(written.parts) == 1
    for part in written.parts:
        infos = arguments_of(part.factory.name) or {}
        for argument in part.factory.arguments:
            info = infos[argument.name]
            if info.kind in ("length", "lengths"):
                for length, span in _lengths(argument, info, rules):
                    if not info.exact and not (lenient and length.unit == "percent"):
                        words = moment_in_words if info.kind == "lengths" else stretch_in_words
                        yield from _rounded(length, span, words, clock)
                    known = clock.length is not None and (not nominal or length.unit == "percent")
                    if argument.name == "warmup" and known and alone:
                        yield from _too_long(length, span, clock)


def _rounded(length: Length, span: Span, words: Callable[[int], str], clock: Clock) -> Iterator[Diagnostic]:
    ticks = clock.exact(length)
    if not clock.counts_steps and ticks.denominator != 1:
        yield rounded_up(clock, ticks, span, words)


def _too_long(length: Length, span: Span, clock: Clock) -> Iterator[Diagnostic]:
    if clock.exact(length) >= (clock.length or 0):
        message = f"`{span.text}` takes up the whole run: no group ever reaches its own rate"
        yield warning("LR304", message, span, "shorten the warm-up, or give more epochs")


def _lengths(argument: s.Argument, info: ArgumentInfo, rules: CheckedRules) -> Iterator[tuple[Length, Span]]:
    value = TimeArguments(rules.lets).value(argument, info)
    if isinstance(value, Length):
        yield value, argument.span
    elif isinstance(value, tuple):
        written = argument.value if isinstance(argument.value, tuple) else argument.value.items  # type: ignore[union-attr]
        yield from zip(value, (one.span for one in written), strict=True)
