"""`layerlr validate PATH...`: what is wrong in rule files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

import click

from layerlr_dsl.cli.checking import Checked, Checker
from layerlr_dsl.cli.inputs import Input, gather
from layerlr_dsl.cli.options import clock_options, format_option, model_option, root_option
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.files import Unreadable
from layerlr_dsl.reports.words import count


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Report:
    """All inputs of one run. Findings are in the order of the inputs, those of a shared include once."""

    outcomes: tuple[Outcome, ...]
    findings: tuple[Diagnostic, ...]
    strict: bool = False
    fixed: int = 0

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


@dataclass(frozen=True, slots=True)
class Request:
    """What to validate, and how."""

    paths: tuple[str, ...]
    root: str | None = None
    checker: Checker = field(default_factory=Checker)
    strict: bool = False


@click.command("validate")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@model_option()
@click.option("--strict", is_flag=True, help="Let warnings fail the run too.")
@clock_options
@root_option
@format_option("text", "json", "github", "sarif")
@click.option("--fix", is_flag=True, help="Apply the safe fixes to the files.")
@click.option("--info", is_flag=True, help="Show notes besides errors and warnings (text format).")
@click.option("--advice", is_flag=True, help="Give advice (LR4xx) too; implies --info.")
@click.option("--watch", is_flag=True, help="Check again whenever a file changes, until Ctrl-C.")
def command(
    paths: tuple[str, ...],
    model: str | None,
    strict: bool,
    epochs: Fraction | None,
    steps_per_epoch: int | None,
    root: str | None,
    form: str,
    fix: bool,
    info: bool,
    advice: bool,
    watch: bool,
) -> int:
    """Find what is wrong in rule files.

    PATH is a file, a folder of *.lr files, `-` for standard input, or recipe:NAME. Each file is
    checked against --model, else against the model that it names, else for what needs no model.
    `layerlr rule CODE` explains a finding.

    \b
    Examples:
        layerlr validate my.lr
        layerlr validate rules --strict
        layerlr validate my.lr --model timm:vit_small_patch16_224 --epochs 30
        layerlr validate rules --format sarif > findings.sarif
    """
    from layerlr_dsl.cli import reporting

    def once() -> Report:
        checker = Checker(model, epochs, steps_per_epoch, advice=advice)
        request = Request(paths, root, checker, strict)
        report = fixed(request) if fix else validate(request)
        reporting.show(report, form, info or advice)
        return report

    if watch:
        from layerlr_dsl.cli.watching import watch_files

        return watch_files(once, paths)
    return once().exit_status


def validate(request: Request) -> Report:
    """Check every input; nothing is printed and nothing written. Raises Refusal."""
    outcomes = tuple(_check(entry, request.checker) for entry in gather(request.paths, request.root))
    findings = _once_each(o.checked.findings for o in outcomes if o.checked is not None)
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


def _once_each(batches: Iterable[Sequence[Diagnostic]]) -> tuple[Diagnostic, ...]:
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
    line = f"{count(len(report.outcomes), 'file')}: {', '.join(parts) or 'no errors, no warnings'}"
    if report.fixed:
        line += f"; {count(report.fixed, 'fix').replace('fixs', 'fixes')} applied"
    unchecked = [o for o in report.outcomes if o.checked is not None and o.checked.spec is None]
    if unchecked and len(unchecked) == len(report.outcomes):
        line += " (checked without a model)"
    if hidden:
        line += f" ({count(hidden, 'note')} with --info)"
    return line
