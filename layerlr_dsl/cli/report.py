"""What is wrong in rule files: one report of all inputs, its summary, and the safe fixes applied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Literal

from layerlr_dsl.cli.inputs import Input, gather
from layerlr_dsl.cli.outputs import write_output
from layerlr_dsl.cli.resolving import Resolved, Resolver
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.files import Unreadable
from layerlr_dsl.language.source import Source
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.records import record


@record
class Outcome:
    """One input, and what was found in it; `problem` says why it cannot be read."""

    entry: Input
    resolved: Resolved | None = None
    problem: str | None = None

    @property
    def status(self) -> Literal["clean", "findings", "unreadable"]:
        if self.problem is not None:
            return "unreadable"
        return "findings" if self.resolved is not None and self.resolved.findings else "clean"


@record
class Report:
    """All inputs of one run. Findings are in the order of the inputs, those of a shared include once."""

    outcomes: tuple[Outcome, ...]
    findings: tuple[Diagnostic, ...]
    strict: bool = False
    fixed: int | None = None
    """How many fixes were applied; None where nobody asked for that."""

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
    resolver: Resolver = field(default_factory=Resolver)
    strict: bool = False


def validate(request: Request) -> Report:
    """Check every input; nothing is printed and nothing written. Raises Refusal."""
    outcomes = tuple(_check(entry, request.resolver) for entry in gather(request.paths, request.root))
    findings = once_each(o.resolved.findings for o in outcomes if o.resolved is not None)
    return Report(outcomes, _promised(findings, _root(request)), request.strict)


def _promised(findings: tuple[Diagnostic, ...], root: Path | None) -> tuple[Diagnostic, ...]:
    """The findings; a fix that `fixed` would not make is not called safe."""
    from layerlr_dsl.cli.fixing import mend

    left: set[tuple[object, ...]] = set()
    for source in _to_mend(findings).values():
        mended = mend(source, root)
        left.update(_told(one) for one in (mended.found if mended.applied else findings))
    return tuple(
        replace(one, fix=replace(one.fix, safe=False)) if one.fix is not None and _told(one) in left else one
        for one in findings
    )


def _told(finding: Diagnostic) -> tuple[object, ...]:
    """What a finding says, wherever it stands."""
    text = "" if finding.span is None else finding.span.text
    return finding.code, finding.message, finding.fix and finding.fix.message, text


def _root(request: Request) -> Path | None:
    return None if request.root is None else Path(request.root)


def fixed(request: Request) -> Report:
    """Apply the safe fixes that help, then check. Raises Refusal where a file cannot be written."""
    from layerlr_dsl.cli.fixing import mend

    applied = 0
    for path, source in _to_mend(validate(request).findings).items():
        mended = mend(source, _root(request))
        if mended.applied:
            write_output(path, mended.source.text)
        applied += mended.applied
    return replace(validate(request), fixed=applied)


def _to_mend(findings: Iterable[Diagnostic]) -> dict[Path, Source]:
    """Files that have safe fixes."""
    found: dict[Path, Source] = {}
    for finding in findings:
        fix = finding.fix
        for edit in fix.edits if fix is not None and fix.safe else ():
            if edit.span.source.path is not None:
                found.setdefault(edit.span.source.path, edit.span.source)
    return found


def _check(entry: Input, resolver: Resolver) -> Outcome:
    try:
        return Outcome(entry, resolver.resolve(entry, entry.read()))
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
    """The one line that ends `validate`: `2 files: 1 error, 2 warnings`. hidden: notes that were not shown."""
    line = f"{plural(len(report.outcomes), 'file')}: {', '.join(_counted(report, hidden)) or 'no errors, no warnings'}"
    if report.fixed is not None:
        line += (
            f"; {plural(report.fixed, 'fix').replace('fixs', 'fixes')} applied"
            if report.fixed
            else "; nothing to fix"
        )
    line += _without_statements(report) + _without_a_model(report)
    if hidden:
        line += f" ({plural(hidden, 'note')} with --info)"
    return line


def _without_statements(report: Report) -> str:
    """A file that says nothing is not known to be right either."""
    empty = sum(o.resolved is not None and _says_nothing(o.resolved) for o in report.outcomes)
    if not empty:
        return ""
    return "; it says nothing" if len(report.outcomes) == 1 else f"; {empty} of them without a statement"


def _says_nothing(resolved: Resolved) -> bool:
    """Whether there is nothing but comments."""
    lines = resolved.rules.sources[0].text.splitlines()
    return all(not line.strip() or line.lstrip().startswith("#") for line in lines)


def _without_a_model(report: Report) -> str:
    """A file that was held against no model is not known to be right."""
    without = sum(o.resolved is not None and o.resolved.spec is None for o in report.outcomes)
    if not without:
        return ""
    if without == len(report.outcomes):
        return " (checked without a model)"
    return f" ({without} of them checked without a model)"


def _counted(report: Report, hidden: int) -> list[str]:
    shown = {"error": report.number("error"), "warning": report.number("warning")}
    shown["note"] = report.number("info") - hidden
    parts = [f"{plural(report.unreadable, 'file')} unreadable"] if report.unreadable else []
    return [*parts, *(plural(number, noun) for noun, number in shown.items() if number)]
