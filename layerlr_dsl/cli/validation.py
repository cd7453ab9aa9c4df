"""What is wrong in rule files: one report of all inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from typing import Literal

from layerlr_dsl.cli.checking import Checked, Checker
from layerlr_dsl.cli.inputs import Input, gather
from layerlr_dsl.cli.summary import summary_line
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.files import Unreadable
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.words import count


@record
class Outcome:
    """One input, and what was found in it; `problem` says why it cannot be read."""

    entry: Input
    checked: Checked | None = None
    problem: str | None = None

    @property
    def status(self) -> Literal["clean", "findings", "unreadable"]:
        if self.problem is not None:
            return "unreadable"
        return "findings" if self.checked is not None and self.checked.findings else "clean"


@record
class Report:
    """All inputs of one run. Findings are in the order of the inputs, those of a shared include once."""

    outcomes: tuple[Outcome, ...]
    findings: tuple[Diagnostic, ...]
    strict: bool = False
    fixed: int = 0

    @property
    def checked(self) -> tuple[Checked, ...]:
        return tuple(o.checked for o in self.outcomes if o.checked is not None)

    def number(self, severity: str) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def unreadable(self) -> int:
        return sum(outcome.status == "unreadable" for outcome in self.outcomes)

    @property
    def valid(self) -> bool:
        return not (self.unreadable or self.number("error") or (self.strict and self.number("warning")))

    @property
    def exit_status(self) -> int:
        return 2 if self.unreadable else int(not self.valid)


@record
class Request:
    """What to validate, and how."""

    paths: tuple[str, ...]
    root: str | None = None
    checker: Checker = field(default_factory=Checker)
    strict: bool = False


def validate(request: Request) -> Report:
    """Check every input; nothing is printed and nothing written. Raises Refusal."""
    outcomes = tuple(_check(entry, request.checker) for entry in gather(request.paths, request.root))
    findings = once_each(o.checked.findings for o in outcomes if o.checked is not None)
    return Report(outcomes, findings, request.strict)


def fixed(request: Request) -> Report:
    """Apply safe fixes until none is left, then check. Raises Refusal where a file cannot be written."""
    from layerlr_dsl.cli.fixing import apply_safe_fixes

    applied = 0
    for _ in range(10):
        report = validate(request)
        done = apply_safe_fixes(report.findings)
        applied += done
        if not done:
            break
    return replace(report, fixed=applied)


def _check(entry: Input, checker: Checker) -> Outcome:
    try:
        return Outcome(entry, checker.check(entry, entry.read()))
    except Unreadable as fault:
        return Outcome(entry, problem=str(fault))


def once_each(batches: Iterable[Sequence[Diagnostic]]) -> tuple[Diagnostic, ...]:
    """The findings of all inputs, those of a shared include once."""
    seen: dict[tuple[object, ...], Diagnostic] = {}
    for number, batch in enumerate(batches):
        for finding in batch:
            span = finding.span
            key = (
                (finding.code, finding.message, span.source.name, span.start, span.end)
                if span is not None
                else (finding.code, finding.message, number)
            )
            seen.setdefault(key, finding)
    return tuple(seen.values())


def summary(report: Report, hidden: int) -> str:
    """`2 files: 1 error, 2 warnings`."""
    errors, warnings = report.number("error"), report.number("warning")
    parts = [count(report.unreadable, "file") + " unreadable"] if report.unreadable else []
    parts += [count(errors, "error")] if errors else []
    parts += [count(warnings, "warning")] if warnings else []
    notes = report.number("info") - hidden
    parts += [count(notes, "note")] if notes else []
    modelled = any(o.checked is None or o.checked.spec is not None for o in report.outcomes)
    return summary_line(len(report.outcomes), parts, hidden, report.fixed, modelled)
