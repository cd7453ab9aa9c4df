"""Findings as workflow commands, which GitHub shows as annotations at the lines of a change."""

from __future__ import annotations

from collections.abc import Iterable

from layerlr_dsl.language.diagnostics import Diagnostic

_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """One command a line."""
    return "\n".join(_command(diagnostic) for diagnostic in diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    fields: dict[str, object] = {}
    span = diagnostic.span
    if span is not None:
        first, last = span.first, span.last
        fields = {"file": span.source.name, "line": first.line, "endLine": last.line}
        if first.line == last.line:  # columns are only understood within one line
            fields |= {"col": first.column, "endColumn": max(last.column, first.column + 1)}
    fields["title"] = f"layerlr {diagnostic.code}"
    message = diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in fields.items())
    return f"::{_LEVELS[diagnostic.severity]} {properties}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
