"""The times of a rule file on one clock: the window of each clause, and the schedules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import CheckedClause, CheckedRules
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.factories import factories, make_schedule
from layerlr_dsl.plan.findings_schedules import schedule_lengths
from layerlr_dsl.plan.schedules import Schedule
from layerlr_dsl.plan.timeline import ALWAYS, Interval, Timeline


@dataclass(frozen=True, slots=True)
class ClauseTimes:
    """The windows of a clause: one for each selector of `unfreeze A then B`, else one."""

    windows: tuple[Interval, ...]
    warmup: int


class Timed:
    """Everything of a file that its rules and the clock alone decide.

    `nominal` says that the length of the run was made up, `lenient` that nobody steps by this clock yet.
    """

    def __init__(self, rules: CheckedRules, clock: Clock, nominal: bool, lenient: bool) -> None:
        self.rules = rules
        self.timeline = Timeline(rules, clock, nominal)
        self.windows = [self._times(clause) for clause in rules.clauses]
        self.schedules: dict[int, Schedule] = {}
        """By id of the factory."""
        found: list[Diagnostic] = []
        for factory in factories(rules):
            schedule = make_schedule(factory, rules, clock, found)
            if schedule is not None:
                self.schedules[id(factory)] = schedule
        found.extend(schedule_lengths(rules, self.schedules, clock, nominal=nominal, lenient=lenient))
        self.rulings: dict[Any, Any] = {}
        """The latest rulings on this clock, by what told their classes apart."""
        self.found: tuple[Diagnostic, ...] = (*self.timeline.found, *found)

    @property
    def file_schedule(self) -> Schedule | None:
        """The schedule of everything that no rule gives its own."""
        written = self.rules.schedule
        return None if written is None else self.schedules.get(id(written.sequence.parts[0].factory))

    def _times(self, clause: CheckedClause) -> ClauseTimes:
        statement, timeline = clause.statement, self.timeline
        if isinstance(statement, s.RuleStatement | s.FreezeStatisticsStatement):
            return ClauseTimes((timeline.window(statement.window),), 0)
        warmup = timeline.ticks(statement.warmup) if statement.warmup is not None else 0
        if isinstance(statement, s.FreezeStatement):
            return ClauseTimes((timeline.window(statement.window),), warmup)
        if isinstance(statement, s.UnfreezeStatement):
            at = statement.at
            window = ALWAYS if at is None else timeline.window(s.Window(at.span, at, None))
            return ClauseTimes((window,), warmup)
        start = ALWAYS.opens if statement.start is None else timeline.mark(statement.start, ALWAYS.opens)
        marks = [timeline.after(start, statement.every, turn) for turn in range(len(statement.selectors))]
        for selector, mark in zip(statement.selectors, marks, strict=True):
            timeline.never_thaws(selector, mark)
        return ClauseTimes(tuple(Interval(mark, None) for mark in marks), warmup)
