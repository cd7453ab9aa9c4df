"""The safe fixes of a rule file, made so that the file is never worse for them.

A text is mended in memory and checked again. What is kept has fewer errors than before: a fix that only
moves a fault somewhere else is left to people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix
from layerlr_dsl.language.source import Source
from layerlr_dsl.tools.records import record

_ROUNDS = 10
_MOST_TRIALS = 200
Check = Callable[[Source], tuple[Diagnostic, ...]]


@record
class Mended:
    """A text, what is wrong with it, and how many fixes brought it there."""

    source: Source
    found: tuple[Diagnostic, ...]
    applied: int = 0

    @property
    def badness(self) -> tuple[int, int]:
        """Errors, then all findings: what every fix must lower."""
        return sum(d.severity == "error" for d in self.found), len(self.found)


def mend(source: Source, root: Path | None) -> Mended:
    """Make every safe fix of a text that leaves fewer errors."""

    def check(text: Source) -> tuple[Diagnostic, ...]:
        from layerlr_dsl.api import Rules
        from layerlr_dsl.language.checker import check

        return Rules(check(text, root)).diagnostics

    before = Mended(source, check(source))
    fixes = _safe(before)
    if not fixes:
        return before
    together = _carried_through(before, fixes, check)
    if together.badness[0] <= before.badness[0] - _errors_fixed(before):
        return together
    return _one_by_one(before, check)


def _safe(text: Mended) -> list[Fix]:
    fixes = [d.fix for d in text.found if d.fix is not None and d.fix.safe and d.fix.edits]
    return [fix for fix in fixes if all(edit.span.source is text.source for edit in fix.edits)]


def _errors_fixed(text: Mended) -> int:
    safe = {id(fix) for fix in _safe(text)}
    return sum(d.severity == "error" and id(d.fix) in safe for d in text.found)


def _carried_through(text: Mended, fixes: list[Fix], check: Check) -> Mended:
    """The text with these fixes, and with those of the faults that lay behind them."""
    for _ in range(_ROUNDS):
        if not fixes:
            break
        text = _with(text, fixes, check)
        fixes = _safe(text)
    return text


def _one_by_one(text: Mended, check: Check) -> Mended:
    """Each fix on its own, from the first on: one fix may need another on its line before anything is better."""
    passed = trials = 0
    while passed < len(fixes := _safe(text)) and trials < _MOST_TRIALS:
        trials += 1
        tried = _with(text, [fixes[passed]], check)
        line = _line(fixes[passed])
        for _ in range(_ROUNDS):
            behind = [fix for fix in _safe(tried) if _line(fix) == line]
            if tried.badness < text.badness or not behind:
                break
            tried = _with(tried, behind[:1], check)
        if tried.badness < text.badness:
            text = tried
        else:
            passed += 1
    return text


def _line(fix: Fix) -> int:
    return fix.edits[0].span.first.line


def _with(text: Mended, fixes: Iterable[Fix], check: Check) -> Mended:
    """The text with those of the fixes that do not overlap one before them."""
    edits: list[Edit] = []
    applied = 0
    for fix in fixes:
        if not any(_overlaps(edit, other) for edit in fix.edits for other in edits):
            edits += fix.edits
            applied += 1
    source = Source(text.source.name, edited(text.source.text, edits), text.source.path)
    return Mended(source, check(source), text.applied + applied)


def edited(text: str, edits: Iterable[Edit]) -> str:
    """`text` with all replacements made; they must not overlap."""
    for edit in sorted(edits, key=lambda e: e.span.start, reverse=True):
        text = text[: edit.span.start] + edit.replacement + text[edit.span.end :]
    return text


def _overlaps(one: Edit, other: Edit) -> bool:
    if one.span.start == other.span.start:
        return True
    return one.span.start < other.span.end and other.span.start < one.span.end
