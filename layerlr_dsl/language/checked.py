"""Checked rules: a rule file whose names, options and units are known to exist.

This is what the resolver works from. It knows no model yet: selectors are compiled, not matched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TypeAlias

from layerlr_dsl.catalogue.optimizers import OptimizerInfo
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.expressions import Scope, Value
from layerlr_dsl.language.lets import Lets
from layerlr_dsl.language.patterns import CompiledPattern
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.tools.records import record


@record
class PatternItem:
    span: Span
    text: str
    pattern: CompiledPattern


@record
class RegexItem:
    span: Span
    text: str
    matches: Callable[[str], bool]


@record
class GroupItem:
    span: Span
    name: str


Item: TypeAlias = PatternItem | RegexItem | GroupItem


@record(eq=False)
class CheckedSelector:
    """A selector ready to be matched; `captures` are the names that any of its items binds."""

    span: Span
    include: tuple[Item, ...]
    exclude: tuple[Item, ...]
    where: s.Expression | None
    captures: frozenset[str]
    number: int
    """Which selector of its file it is."""


@record
class LeftOut:
    """The patterns of a selector whose statement is at fault elsewhere: a model may lack them all the same."""

    selector: CheckedSelector
    freezes: bool
    """Whether the statement freezes or thaws."""


@record(eq=False)
class CheckedSetting:
    """One option of a rule.

    `constant` holds the value where it depends on no parameter and no time. `factory` is set for
    `optimizer`, `sequence` for `schedule`; `moving` says that the value changes with time, `quoted` that it
    is handed to the optimizer as it is.
    """

    span: Span
    option: str
    multiply: bool
    expression: s.Expression | None
    constant: Value | None
    number: int
    """Which setting of its file it is."""
    factory: s.Factory | None = None
    sequence: s.ScheduleSequence | None = None
    moving: bool = False
    quoted: bool = False


@record(eq=False)
class CheckedClause:
    """A rule, freeze or unfreeze in the order of the cascade."""

    index: int
    statement: s.Clause
    selectors: tuple[CheckedSelector, ...]
    settings: tuple[CheckedSetting, ...]
    included: bool
    """Whether it came from an included file, where a selector may match nothing."""
    stage: int = 0
    """The stage that it stands under, from 1; 0 for what holds throughout."""

    @property
    def span(self) -> Span:
        return self.statement.span


@record(eq=False)
class CheckedExpectation:
    statement: s.Expectation
    selector: CheckedSelector | None
    stage: int = 0


@record(eq=False)
class CheckedOptimizer:
    """The optimizer of the whole file: its table entry and the settings given to it."""

    info: OptimizerInfo
    settings: Mapping[str, Value]
    span: Span | None
    name: str | None = None
    """What `optimizer NAME = ...` calls it."""


@record(eq=False)
class CheckedRules:
    """A whole rule file with its includes laid in place."""

    source: Source
    sources: tuple[Source, ...]
    model: s.ModelStatement | None
    epochs: Fraction | None
    steps: int | None
    steps_per_epoch: int | Fraction | None
    optimizer: CheckedOptimizer
    optimizers: Mapping[str, CheckedOptimizer]
    """Further optimizers by the name that the file gives them."""
    schedules: Mapping[int, s.ScheduleStatement]
    """By stage, 0 for the file's own."""
    stages: tuple[s.StageStatement, ...]
    lets: Lets
    groups: Mapping[str, CheckedSelector]
    clauses: tuple[CheckedClause, ...]
    expectations: tuple[CheckedExpectation, ...]
    diagnostics: tuple[Diagnostic, ...]
    complete: bool
    """False where a faulty statement was left out, so that what is missing must not be complained of."""
    left_out: tuple[LeftOut, ...] = ()

    @property
    def schedule(self) -> s.ScheduleStatement | None:
        """The file's own schedule."""
        return self.schedules.get(0)

    @property
    def scope(self) -> Scope:
        return Scope(self.lets)

    @property
    def exact_scope(self) -> Scope:
        return Scope(self.lets, exact=True)
