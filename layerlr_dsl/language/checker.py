"""From statements to checked rules: every name, option, unit and constant judged, no model needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_choices import CHOICES, check_expected_choice
from layerlr_dsl.language.check_expressions import Names, check_expression
from layerlr_dsl.language.check_selectors import SelectorChecker
from layerlr_dsl.language.check_settings import SettingsChecker, check_optimizer_statement
from layerlr_dsl.language.check_time import check_duration, check_window
from layerlr_dsl.language.checked import CheckedClause, CheckedExpectation, CheckedRules, CheckedSetting
from layerlr_dsl.language.diagnostics import Diagnostic, Related, error
from layerlr_dsl.language.expressions import (
    ATTRIBUTES,
    RESERVED,
    Fault,
    Scope,
    evaluate,
    is_constant,
)
from layerlr_dsl.language.includes import Expansion, expand
from layerlr_dsl.language.lets import Lets, check_lets
from layerlr_dsl.language.source import Source


@dataclass
class _Gathered:
    """The statements of a file and its includes, sorted by what they are for."""

    model: s.ModelStatement | None = None
    epochs: s.EpochsStatement | None = None
    optimizer: s.OptimizerStatement | None = None
    schedule: s.ScheduleStatement | None = None
    lets: dict[str, s.LetStatement] = field(default_factory=dict)
    groups: dict[str, s.GroupStatement] = field(default_factory=dict)
    clauses: list[tuple[s.Clause, bool]] = field(default_factory=list)
    expectations: list[s.Expectation] = field(default_factory=list)


def check(source: Source, root: Path | None = None) -> CheckedRules:
    """Parse a rule text with its includes and check it. Never raises; findings are in the result."""
    return check_expanded(source, expand(source, root))


def check_expanded(source: Source, expansion: Expansion) -> CheckedRules:
    """Check statements that are already parsed and laid in place, all of a file's or some of them."""
    found = list(expansion.diagnostics)
    gathered = _gather(expansion.statements, found)
    lets = check_lets(gathered.lets, found)
    selectors = SelectorChecker(lets, gathered.groups, found)
    groups = selectors.check_groups()
    optimizer = check_optimizer_statement(gathered.optimizer, lets, found)
    settings = SettingsChecker(lets, optimizer, [clause for clause, _ in gathered.clauses], found)
    clauses: list[CheckedClause] = []
    for statement, included in gathered.clauses:
        checked = _check_clause(len(clauses), statement, included, selectors, settings, lets, found)
        if checked is not None:
            clauses.append(checked)
    expectations = [
        e
        for e in (_check_expectation(x, selectors, settings, lets, found) for x in gathered.expectations)
        if e
    ]
    _check_model(gathered.model, found)
    return CheckedRules(
        source=source,
        sources=tuple(expansion.sources),
        model=gathered.model,
        epochs=_check_epochs(gathered.epochs, lets, found),
        optimizer=optimizer,
        schedule=gathered.schedule,
        lets=lets,
        groups=groups,
        clauses=tuple(clauses),
        expectations=tuple(expectations),
        diagnostics=tuple(in_order(found, expansion.sources)),
        complete=not any(d.severity == "error" for d in found),
    )


def in_order(found: Iterable[Diagnostic], sources: Iterable[Source]) -> list[Diagnostic]:
    """Findings by place: the main file's first, each file's from top to bottom."""
    rank = {id(source): n for n, source in enumerate(sources)}

    def key(d: Diagnostic) -> tuple[int, int, str]:
        return (
            (-1, 0, d.code)
            if d.span is None
            else (rank.get(id(d.span.source), len(rank)), d.span.start, d.code)
        )

    return sorted(dict.fromkeys(found), key=key)


def _gather(statements: list[tuple[s.Statement, bool]], found: list[Diagnostic]) -> _Gathered:
    gathered = _Gathered()
    for statement, included in statements:
        if isinstance(statement, s.LetStatement):
            _define(gathered.lets, statement, found)
        elif isinstance(statement, s.GroupStatement):
            _define(gathered.groups, statement, found)
        elif isinstance(
            statement, (s.RuleStatement, s.FreezeStatement, s.UnfreezeStatement, s.UnfreezeSequenceStatement)
        ):
            gathered.clauses.append((statement, included))
        elif included:
            continue
        elif isinstance(statement, s.ModelStatement):
            gathered.model = statement
        elif isinstance(statement, s.EpochsStatement):
            gathered.epochs = statement
        elif isinstance(statement, s.OptimizerStatement):
            gathered.optimizer = statement
        elif isinstance(statement, s.ScheduleStatement):
            gathered.schedule = statement
        elif isinstance(statement, (s.ExpectOption, s.ExpectState, s.ExpectCount)):
            gathered.expectations.append(statement)
    return gathered


def _define(
    table: dict[str, s.LetStatement] | dict[str, s.GroupStatement], statement: object, found: list[Diagnostic]
) -> None:
    assert isinstance(statement, (s.LetStatement, s.GroupStatement))
    first = table.get(statement.name)
    word = "let" if isinstance(statement, s.LetStatement) else "group"
    if first is not None:
        found.append(
            error(
                "LR102",
                f"{word} `{statement.name}` is defined twice",
                statement.name_span,
                "rename one of them",
                related=(Related("first defined here", first.name_span),),
            )
        )
        return
    if word == "let" and statement.name in RESERVED:
        what = "an attribute of parameters" if statement.name in ATTRIBUTES else "a word of the language"
        found.append(
            error(
                "LR102",
                f"`{statement.name}` is {what} and cannot be redefined",
                statement.name_span,
                "choose another name",
            )
        )
        return
    table[statement.name] = statement  # type: ignore[assignment]


def _try(expression: s.Expression, scope: Scope, found: list[Diagnostic]) -> None:
    try:
        evaluate(expression, scope)
    except Fault as fault:
        found.append(error(fault.code, fault.message, fault.span, fault.help))


# ---------------------------------------------------------------- single statements


def _check_epochs(
    statement: s.EpochsStatement | None, lets: Lets, found: list[Diagnostic]
) -> Fraction | None:
    if statement is None:
        return None
    before = len(found)
    check_expression(statement.value, Names(lets.keys(), reason="the length of the run is a constant"), found)
    if len(found) > before:
        return None
    try:
        value = evaluate(statement.value, Scope(lets, exact=True))
    except Fault as fault:
        found.append(error(fault.code, fault.message, fault.span, fault.help))
        return None
    if isinstance(value, (bool, str, tuple)) or value <= 0 or value > 10**9:
        found.append(
            error(
                "LR312",
                "the length of the run is a positive number of epochs",
                statement.value.span,
                "write `epochs 30`",
            )
        )
        return None
    return Fraction(value)


def _check_model(statement: s.ModelStatement | None, found: list[Diagnostic]) -> None:
    if statement is not None and statement.spec.value.strip().startswith("python:"):
        found.append(
            error(
                "LR123",
                "a rule file cannot name a `python:` model, since that would run code",
                statement.spec.span,
                f"give it on the command line: --model {statement.spec.value.strip()}",
            )
        )


def _check_clause(
    index: int,
    statement: s.Clause,
    included: bool,
    selectors: SelectorChecker,
    settings: SettingsChecker,
    lets: Lets,
    found: list[Diagnostic],
) -> CheckedClause | None:
    before = len(found)
    written = (
        statement.selectors if isinstance(statement, s.UnfreezeSequenceStatement) else (statement.selector,)
    )
    compiled = tuple(selectors.check(selector) for selector in written)
    checked: tuple[CheckedSetting, ...] = ()
    if isinstance(statement, s.RuleStatement):
        captures = compiled[0].captures if compiled[0] is not None else None
        checked = settings.check(statement, captures, selectors.missing_captures(compiled[0]))
        check_window(statement.window, lets, found)
    else:
        _check_freeze_times(statement, lets, found)
    if any(d.severity == "error" for d in found[before:]) or not all(compiled):
        return None
    return CheckedClause(index, statement, tuple(c for c in compiled if c is not None), checked, included)


def _check_freeze_times(
    statement: s.FreezeStatement | s.UnfreezeStatement | s.UnfreezeSequenceStatement,
    lets: Lets,
    found: list[Diagnostic],
) -> None:
    if isinstance(statement, s.FreezeStatement):
        check_window(statement.window, lets, found)
    elif isinstance(statement, s.UnfreezeStatement):
        check_window(s.Window(statement.at.span, statement.at, None), lets, found)
    else:
        check_duration(statement.every, lets, found, positive=True)
        if statement.start is not None:
            check_window(s.Window(statement.start.span, statement.start, None), lets, found)
    if statement.warmup is not None:
        check_duration(statement.warmup, lets, found, positive=False)


def _check_expectation(
    statement: s.Expectation,
    selectors: SelectorChecker,
    settings: SettingsChecker,
    lets: Lets,
    found: list[Diagnostic],
) -> CheckedExpectation | None:
    before = len(found)
    selector = None if isinstance(statement, s.ExpectCount) else selectors.check(statement.selector)
    captures = selector.captures if selector is not None else frozenset()
    if isinstance(statement, s.ExpectOption) and statement.option in CHOICES:
        check_expected_choice(statement, found)
    elif not isinstance(statement, s.ExpectState):
        if isinstance(statement, s.ExpectOption):
            settings.expected(statement)
        names = Names(lets.keys(), captures, attributes=selector is not None)
        check_expression(statement.value, names, found)
        if len(found) == before and is_constant(statement.value, lets):
            _try(statement.value, Scope(lets), found)
    if statement.at is not None:
        check_window(s.Window(statement.at.span, statement.at, None), lets, found)
    if len(found) > before:
        return None
    return CheckedExpectation(statement, selector)
