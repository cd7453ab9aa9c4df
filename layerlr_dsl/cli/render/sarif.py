"""Findings as SARIF 2.1.0, which code hosts and editors read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from layerlr_dsl.catalogue.findings import KINDS
from layerlr_dsl.language.diagnostics import Diagnostic, Fix
from layerlr_dsl.language.source import Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """A whole SARIF log with one run."""
    found = list(diagnostics)
    codes = sorted({finding.code for finding in found})
    run = {
        "tool": {
            "driver": {
                "name": "layerlr",
                "rules": [_rule(code) for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, codes.index(finding.code)) for finding in found],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _rule(code: str) -> dict[str, Any]:
    known = KINDS[code]
    return {
        "id": code,
        "shortDescription": {"text": known.title},
        "help": {"text": known.read_page(), "markdown": known.read_page()},
        "defaultConfiguration": {"level": _LEVELS[known.severity]},
    }


def _result(finding: Diagnostic, index: int) -> dict[str, Any]:
    text = finding.message + (f"\nhelp: {finding.help}" if finding.help else "")
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
    }
    if finding.span is not None:
        result["locations"] = [{"physicalLocation": _location(finding.span)}]
    if finding.related:
        result["relatedLocations"] = [
            {"id": number, "physicalLocation": _location(r.span), "message": {"text": r.message}}
            for number, r in enumerate(finding.related)
        ]
    if finding.fix is not None:
        result["fixes"] = [_fix(finding.fix)]
    return result


def _uri(span: Span) -> dict[str, str]:
    return {"uri": quote(span.source.name.replace(os.sep, "/"))}


def _region(span: Span) -> dict[str, int]:
    first, last = span.first, span.last
    return {
        "startLine": first.line,
        "startColumn": first.column,
        "endLine": last.line,
        "endColumn": last.column,
        "charOffset": span.start,
        "charLength": max(span.end - span.start, 0),
    }


def _location(span: Span) -> dict[str, Any]:
    return {"artifactLocation": _uri(span), "region": _region(span)}


def _fix(fix: Fix) -> dict[str, Any]:
    changes: dict[str, list[dict[str, Any]]] = {}
    places: dict[str, dict[str, str]] = {}
    for edit in fix.edits:
        places[edit.span.source.name] = _uri(edit.span)
        changes.setdefault(edit.span.source.name, []).append(
            {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.replacement}}
        )
    return {
        "description": {"text": fix.message},
        "artifactChanges": [
            {"artifactLocation": places[name], "replacements": replacements}
            for name, replacements in changes.items()
        ],
    }
