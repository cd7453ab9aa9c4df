"""From statements to checked rules: every name, option, unit and constant judged, no model needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_choices import CHOICES, check_expected_choice
from layerlr_dsl.language.check_expressions import Names, attempt, check_expression, constant
from layerlr_dsl.language.check_optimizers import check_optimizer_statement
from layerlr_dsl.language.check_selectors import SelectorChecker
from layerlr_dsl.language.check_settings import SettingsChecker
from layerlr_dsl.language.check_time import check_duration, check_stages, check_window
from layerlr_dsl.language.checked import (
    CheckedClause,
    CheckedExpectation,
    CheckedRules,
    CheckedSelector,
    CheckedSetting,
    LeftOut,
)
from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Findings, Fix, Related, causes, has_errors
from layerlr_dsl.language.expressions import Scope, Value
from layerlr_dsl.language.gathering import Gathered, gather
from layerlr_dsl.language.includes import Expansion, expand
from layerlr_dsl.language.lets import Lets, check_lets, literal_of
from layerlr_dsl.language.questions import is_constant
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.numbers import ratio

_OF_LENGTH = "the length of the run is a constant"


def check(source: Source, root: Path | None = None, lets: Mapping[str, Value] | None = None) -> CheckedRules:
    """Parse a rule text with its includes and check it. Never raises; findings are in the result.

    lets: constants that take the place of the file's own, before anything is worked out.
    """
    return check_expanded(source, expand(source, root), lets)


def check_expanded(
    source: Source, expansion: Expansion, given: Mapping[str, Value] | None = None
) -> CheckedRules:
    """Check statements that are already parsed and laid in place, all of a file's or some of them."""
    found = Findings(expansion.diagnostics)
    gathered = gather(expansion.statements, found)
    _replace_lets(gathered.lets, given or {}, found)
    lost = expansion.lost | gathered.refused
    lets = check_lets(gathered.lets, gathered.groups, found, given or {}, lost)
    selectors = SelectorChecker(lets, gathered.groups, found)
    groups = selectors.check_groups()
    optimizer = check_optimizer_statement(gathered.optimizer, lets, found)
    named = {
        name: check_optimizer_statement(statement, lets, found)
        for name, statement in gathered.optimizers.items()
    }
    rules = [clause for clause, _, _ in gathered.clauses]
    settings = SettingsChecker(lets, optimizer, named, rules, found)
    clauses, left_out = _check_clauses(gathered, selectors, settings, lets, found)
    expectations, not_expected = _check_expectations(gathered, selectors, settings, lets, found)
    settings.unused(found)
    _check_model(gathered.model, found)
    stages = check_stages(gathered.stages, lets, found)
    steps = _check_steps(gathered, lets, found)
    return CheckedRules(
        source=source,
        sources=tuple(expansion.sources),
        model=gathered.model,
        epochs=_check_epochs(gathered.epochs, lets, found),
        steps=steps,
        steps_per_epoch=_check_steps_per_epoch(gathered.steps_per_epoch, lets, found),
        optimizer=optimizer,
        optimizers=named,
        schedules=gathered.schedules,
        stages=stages,
        lets=lets,
        groups=groups,
        clauses=clauses,
        expectations=expectations,
        diagnostics=tuple(in_order(causes(found, not has_errors(found)), expansion.sources)),
        complete=not has_errors(found),
        left_out=(*left_out, *not_expected),
    )


def _check_clauses(
    gathered: Gathered, selectors: SelectorChecker, settings: SettingsChecker, lets: Lets, found: Findings
) -> tuple[tuple[CheckedClause, ...], list[LeftOut]]:
    """The clauses that are without fault, numbered in order, and the selectors of the others."""
    clauses: list[CheckedClause] = []
    left_out: list[LeftOut] = []
    for statement, included, stage in gathered.clauses:
        selectors.begin()
        checked = _check_clause(len(clauses), statement, included, stage, selectors, settings, lets, found)
        if checked is not None:
            clauses.append(checked)
        else:
            left_out += selectors.left_out(not isinstance(statement, s.RuleStatement))
    return tuple(clauses), left_out


def _check_expectations(
    gathered: Gathered, selectors: SelectorChecker, settings: SettingsChecker, lets: Lets, found: Findings
) -> tuple[tuple[CheckedExpectation, ...], list[LeftOut]]:
    """The expectations that are without fault, and the selectors of the others."""
    expectations: list[CheckedExpectation] = []
    left_out: list[LeftOut] = []
    for expected, stage in gathered.expectations:
        selectors.begin()
        holds = _check_expectation(expected, stage, selectors, settings, lets, found)
        if holds is not None:
            expectations.append(holds)
        else:
            left_out += selectors.left_out(freezes=False)
    return tuple(expectations), left_out


def _check_steps(gathered: Gathered, lets: Lets, found: Findings) -> int | None:
    """The length of the run in steps, which must not be given in epochs too."""
    steps = _whole(gathered.steps, lets, found)
    if steps is not None and gathered.epochs is not None and gathered.steps is not None:
        message = "the length of the run is given twice, in epochs and in steps"
        related = (Related("the epochs are here", gathered.epochs.span),)
        found.error("LR009", message, gathered.steps.span, "keep one of them", related=related)
    return steps


def _replace_lets(statements: dict[str, s.LetStatement], given: Mapping[str, Value], found: Findings) -> None:
    """Put values from outside in the place of the file's own."""
    for name, value in given.items():
        statement = statements.get(name)
        literal = None if statement is None else literal_of(value, statement.value.span)
        if statement is None:
            near = nearest(name, statements)
            known = ", ".join(f"`{one}`" for one in statements) or "none"
            help = f"did you mean `{near}`?" if near else f"it has {known}"
            found.error("LR101", f"the file has no `let` called `{name}`", None, help)
        elif literal is None:
            message = f"the value given for `{name}` is no number, text, truth value or tuple of these"
            found.error("LR107", message, statement.name_span, "give a constant")
        else:
            statements[name] = replace(statement, value=literal)


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


# ---------------------------------------------------------------- single statements


def _check_epochs(statement: s.EpochsStatement | None, lets: Lets, found: Findings) -> Fraction | None:
    if statement is None:
        return None
    value = constant(statement.value, Names(lets, reason=_OF_LENGTH), found, exact=True)
    if value is None:
        return None
    if isinstance(value, (bool, str, tuple)) or value <= 0 or value > 10**9:
        found.error(
            "LR312",
            "the length of the run is a positive number of epochs",
            statement.value.span,
            "write `epochs 30`",
        )
        return None
    return Fraction(value)


def _check_steps_per_epoch(
    statement: s.StepsPerEpochStatement | None, lets: Lets, found: Findings
) -> int | Fraction | None:
    """Whole, but where a step may take batches of two epochs."""
    if statement is None:
        return None
    value = constant(statement.value, Names(lets, reason=_OF_LENGTH), found, exact=True)
    if value is None:
        return None
    steps = ratio(value)
    if steps is None or not 0 < steps <= 10**12:
        message = "`steps_per_epoch` is a positive number"
        found.error("LR312", message, statement.value.span, "write `steps_per_epoch 1000`")
        return None
    return steps


def _whole(statement: s.StepsStatement | None, lets: Lets, found: Findings) -> int | None:
    """A number of steps, which is whole."""
    if statement is None:
        return None
    value = constant(statement.value, Names(lets, reason=_OF_LENGTH), found, exact=True)
    if value is None:
        return None
    if isinstance(value, (bool, str, tuple)) or value != int(value) or not 0 < value <= 10**12:
        message = "`steps` is a whole number of 1 or more"
        found.error("LR312", message, statement.value.span, "write `steps 1000`")
        return None
    return int(value)


def _check_model(statement: s.ModelStatement | None, found: Findings) -> None:
    if statement is not None and statement.spec.value.strip().startswith("python:"):
        found.error(
            "LR123",
            "a rule file cannot name a `python:` model, since that would run code",
            statement.spec.span,
            f"give it on the command line: --model {statement.spec.value.strip()}",
        )


def _check_clause(
    index: int,
    statement: s.Clause,
    included: bool,
    stage: int,
    selectors: SelectorChecker,
    settings: SettingsChecker,
    lets: Lets,
    found: Findings,
) -> CheckedClause | None:
    part = found.part()
    written = (
        statement.selectors if isinstance(statement, s.UnfreezeSequenceStatement) else (statement.selector,)
    )
    compiled = tuple(selectors.check(selector) for selector in written)
    checked: tuple[CheckedSetting, ...] = ()
    if isinstance(statement, s.RuleStatement):
        first = compiled[0]
        captures = selectors.bound(statement.selector) if first is None else first.captures
        checked = settings.check(statement, captures, selectors.missing_captures(compiled[0]))
        check_window(statement.window, lets, found)
    else:
        _check_freeze_times(statement, lets, found)
        if isinstance(statement, s.UnfreezeSequenceStatement):
            _check_turns(statement, compiled, found)
    if part.errors or not all(compiled):
        return None
    return CheckedClause(
        index, statement, tuple(c for c in compiled if c is not None), checked, included, stage
    )


def _check_turns(
    statement: s.UnfreezeSequenceStatement,
    selectors: tuple[CheckedSelector | None, ...],
    found: Findings,
) -> None:
    """A sequence has several turns, each by a capture that its selector binds."""
    for turn, selector in zip(statement.turns, selectors, strict=True):
        if turn.by is not None and selector is not None and turn.by not in selector.captures:
            near = nearest(turn.by, selector.captures)
            help = f"did you mean `by {near}`?" if near else f"bind it in the selector: `layer<{turn.by}>`"
            message = f"`{turn.by}` is no capture of `{turn.selector.span.text}`"
            found.error("LR119", message, turn.by_span or turn.span, help)
    if len(statement.turns) > 1 or statement.turns[0].by is not None:
        return
    written = statement.turns[0].selector
    items = [item.span.text for item in written.include]
    every = statement.every.span.text
    message = f"`every {every}` has but one turn: nothing is ever frozen"
    fix = None
    if len(items) > 1 and not written.exclude and written.where is None:
        edits = tuple(
            Edit(Span(left.span.source, left.span.end, right.span.start), " then ")
            for left, right in pairwise(written.include)
        )
        fix = Fix("write `then` between the turns", edits)
        help = f"write `unfreeze {' then '.join(items)} every {every}`"
    else:
        help = f"name more turns with `then`, or write `freeze {written.span.text} until ...`"
    found.error("LR315", message, statement.span, help, fix=fix)


def _check_freeze_times(
    statement: s.FreezeStatement
    | s.FreezeStatisticsStatement
    | s.UnfreezeStatement
    | s.UnfreezeSequenceStatement,
    lets: Lets,
    found: Findings,
) -> None:
    if isinstance(statement, s.FreezeStatisticsStatement):
        check_window(statement.window, lets, found)
        return
    if isinstance(statement, s.FreezeStatement):
        check_window(statement.window, lets, found)
    elif isinstance(statement, s.UnfreezeStatement):
        if statement.at is not None:
            check_window(s.Window(statement.at.span, statement.at, None), lets, found)
    else:
        check_duration(statement.every, lets, found, positive=True)
        if statement.start is not None:
            check_window(s.Window(statement.start.span, statement.start, None), lets, found)
    if statement.warmup is not None:
        check_duration(statement.warmup, lets, found, positive=False)


def _check_expectation(
    statement: s.Expectation,
    stage: int,
    selectors: SelectorChecker,
    settings: SettingsChecker,
    lets: Lets,
    found: Findings,
) -> CheckedExpectation | None:
    part = found.part()
    selector = None if isinstance(statement, s.ExpectCount) else selectors.check(statement.selector)
    captures = selector.captures if selector is not None else frozenset()
    if isinstance(statement, s.ExpectOption) and statement.option in CHOICES:
        check_expected_choice(statement, found)
    elif not isinstance(statement, s.ExpectState):
        if isinstance(statement, s.ExpectOption):
            settings.expected(statement)
        names = Names(lets, captures, selector is not None, model=True)
        check_expression(statement.value, names, found)
        if part.clean and is_constant(statement.value, lets):
            attempt(statement.value, Scope(lets), found)
    if statement.at is not None:
        check_window(s.Window(statement.at.span, statement.at, None), lets, found)
    if not part.clean:
        return None
    return CheckedExpectation(statement, selector, stage)
