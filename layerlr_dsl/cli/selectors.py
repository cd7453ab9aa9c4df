"""Selectors typed on the command line: which parameters they cover."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from layerlr_dsl.cli.exits import HasErrors
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.diagnostics import Diagnostic, error
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.language.syntax import RuleStatement
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plan.resolve import resolve

_REST = " -> lr 1"


def selected_rows(
    inventory: Inventory, selector: str, context: Source | None = None, root: Path | None = None
) -> dict[int, str]:
    """The parameters that a selector covers, by row and in the order of the model, each by a covered name.

    A tied parameter is covered where any of its names is. `context` is a rule file whose groups and lets
    the selector may use, `root` that of its includes. Raises HasErrors (status 2) where the selector is
    faulty or covers nothing.
    """
    before = "" if context is None else context.text.rstrip() + "\n"
    source = Source("<selector>", before + selector + _REST, None if context is None else context.path)
    rules = check(source, root)
    _refuse(rules.diagnostics, selector, len(before))
    last = rules.clauses[-1].statement if rules.clauses else None
    whole = isinstance(last, RuleStatement) and last.span.start == len(before) and len(last.settings) == 1
    if not whole or "\n" in selector:
        shown = Source("<selector>", selector)
        raise HasErrors([error("LR001", "this is more than a selector", Span(shown, 0, len(selector)))], 2)
    plan: Plan = resolve(rules, inventory, Clock(), lenient=True)
    # That a rule must agree on all names of a tied parameter is no concern of a selector that has no rule.
    _refuse((d for d in plan.diagnostics if d.code != "LR205"), selector, len(before))
    return _covered(plan, len(rules.clauses) - 1)


def _covered(plan: Plan, clause: int) -> dict[int, str]:
    covers = [any(one.clause == clause for one in cascade.selected) for cascade in plan.cascades]
    names = [
        *enumerate(plan.inventory.names),
        *((row.parameter, row.name) for row in plan.matches.alias_rows),
    ]
    found: dict[int, str] = {}
    for (parameter, name), kind in zip(names, plan.matches.class_of, strict=True):
        if covers[kind]:  # its own name comes before those that it has through ties
            found.setdefault(parameter, name)
    return dict(sorted(found.items()))


def _refuse(findings: Iterable[Diagnostic], selector: str, start: int) -> None:
    """Raise the errors that stand in the selector, placed in it alone, as it was typed."""
    shown = Source("<selector>", selector)
    errors = [
        replace(finding, span=_within(finding.span, shown, start), related=(), fix=None)
        for finding in findings
        if finding.severity == "error" and finding.span is not None and finding.span.end > start
    ]
    if errors:
        raise HasErrors(errors, 2)


def _within(span: Span, shown: Source, start: int) -> Span:
    end = len(shown.text)
    first, last = min(max(span.start - start, 0), end), min(max(span.end - start, 0), end)
    return Span(shown, first, max(first, last))
