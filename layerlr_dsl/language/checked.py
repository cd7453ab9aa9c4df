"""Checked rules: a rule file whose names, options and units are known to exist.

This is what the resolver works from. It knows no model yet: selectors are compiled, not matched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from layerlr_dsl.catalogue.optimizers import OptimizerInfo
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.expressions import Scope, Value
from layerlr_dsl.language.lets import Lets
from layerlr_dsl.language.patterns import CompiledPattern
from layerlr_dsl.language.source import Source, Span


@dataclass(frozen=True, slots=True)
class PatternItem:
    span: Span
    text: str
    pattern: CompiledPattern


@dataclass(frozen=True, slots=True)
class RegexItem:
    span: Span
    text: str
    matches: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class GroupItem:
    span: Span
    name: str


Item: TypeAlias = PatternItem | RegexItem | GroupItem


@dataclass(frozen=True, slots=True, eq=False)
class CheckedSelector:
    """A selector ready to be matched; `captures` are the names that any of its items binds."""

    span: Span
    include: tuple[Item, ...]
    exclude: tuple[Item, ...]
    where: s.Expression | None
    captures: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class CheckedSetting:
    """One option of a rule.

    `constant` holds the value where it depends on no parameter. `optimizer` is set for an argument
    of `-> optimizer NAME(...)`, `factory` for `optimizer` and `schedule` themselves.
    """

    span: Span
    option: str
    multiply: bool
    expression: s.Expression | None
    constant: Value | None
    factory: s.Factory | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CheckedClause:
    """A rule, freeze or unfreeze in the order of the cascade."""

    index: int
    statement: s.Clause
    selectors: tuple[CheckedSelector, ...]
    settings: tuple[CheckedSetting, ...]
    included: bool
    """Whether it came from an included file, where a selector may match nothing."""

    @property
    def span(self) -> Span:
        return self.statement.span


@dataclass(frozen=True, slots=True, eq=False)
class CheckedExpectation:
    statement: s.Expectation
    selector: CheckedSelector | None


@dataclass(frozen=True, slots=True, eq=False)
class CheckedOptimizer:
    """The optimizer of the whole file: its table entry and the settings given to it."""

    info: OptimizerInfo
    settings: Mapping[str, Value]
    span: Span | None


@dataclass(frozen=True, slots=True, eq=False)
class CheckedRules:
    """A whole rule file with its includes laid in place."""

    source: Source
    sources: tuple[Source, ...]
    model: s.ModelStatement | None
    epochs: Fraction | None
    optimizer: CheckedOptimizer
    schedule: s.ScheduleStatement | None
    lets: Lets
    groups: Mapping[str, CheckedSelector]
    clauses: tuple[CheckedClause, ...]
    expectations: tuple[CheckedExpectation, ...]
    diagnostics: tuple[Diagnostic, ...]
    complete: bool
    """False where a faulty statement was left out, so that what is missing must not be complained of."""

    @property
    def scope(self) -> Scope:
        return Scope(self.lets)

    @property
    def exact_scope(self) -> Scope:
        return Scope(self.lets, exact=True)
