"""Printing what `validate` and `test` found: text to people, machine formats to standard output."""

from __future__ import annotations

import json
from collections.abc import Iterable

from layerlr_dsl.cli.report import Outcome, Report, summary
from layerlr_dsl.cli.terminal import Screen, write, write_error, write_json
from layerlr_dsl.language import diagnostics
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.tools.printable import escape


def show(report: Report, form: str, notes: bool) -> None:
    """Print a report of `validate` in the form asked for."""
    if form == "text":
        _problems(report)
        _text(report, notes)
    else:
        show_to_machines(report, form, summary(report, 0))


def show_to_machines(report: Report, form: str, closing: str) -> None:
    """Print a report as json, sarif or github; the last ends with a line that closes it."""
    _problems(report)
    if form == "json":
        write_json(as_json(report))
    elif form == "sarif":
        from layerlr_dsl.cli.render import sarif

        write_json(sarif.render(report.findings))
    else:
        if report.findings:
            write(as_annotations(report.findings))
        write(closing)


def _problems(report: Report) -> None:
    for outcome in report.outcomes:
        if outcome.problem is not None:
            from layerlr_dsl.render.text import labelled

            write_error("\n".join(labelled("error", outcome.problem, Screen.of_stderr())))


def _text(report: Report, notes: bool) -> None:
    shown = [finding for finding in report.findings if notes or finding.severity != "info"]
    if shown:
        from layerlr_dsl.render.text import render_all

        write_error(render_all(shown, Screen.of_stderr()) + "\n")
    write(summary(report, len(report.findings) - len(shown)))


def as_json(report: Report) -> str:
    """The report in its published schema."""
    told = {
        "version": 1,
        "valid": report.valid,
        "errors": report.number("error"),
        "warnings": report.number("warning"),
        "files": [_file(outcome) for outcome in report.outcomes],
        "diagnostics": [diagnostics.as_json(finding) for finding in report.findings],
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _file(outcome: Outcome) -> dict[str, object]:
    own = outcome.resolved.findings if outcome.resolved is not None else ()
    return {
        "file": outcome.entry.name,
        "status": outcome.status,
        "model": outcome.resolved.spec if outcome.resolved is not None else None,
        "errors": sum(finding.severity == "error" for finding in own),
        "warnings": sum(finding.severity == "warning" for finding in own),
        "problem": outcome.problem,
    }


# ---------------------------------------------------------------- GitHub

_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}


def as_annotations(findings: Iterable[Diagnostic]) -> str:
    """Workflow commands, one a line, which GitHub shows at the lines of a change."""
    return "\n".join(_command(finding) for finding in findings)


def _command(finding: Diagnostic) -> str:
    fields: dict[str, object] = {}
    span = finding.span
    if span is not None:
        first, last = span.first, span.last
        fields = {"file": span.source.name, "line": first.line, "endLine": last.line}
        if first.line == last.line:  # columns are only understood within one line
            fields |= {"col": first.column, "endColumn": max(last.column, first.column + 1)}
    fields["title"] = f"layerlr {finding.code}"
    message = finding.message + (f"\nhelp: {finding.help}" if finding.help else "")
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in fields.items())
    return f"::{_LEVELS[finding.severity]} {properties}::{_data(message)}"


def _data(text: str) -> str:
    """The text as a command takes it; a log shows it raw, so what no line may hold is spelled out."""
    return "%0A".join(escape(line).replace("%", "%25") for line in text.split("\n"))


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
