"""What a page that follows a rule file is told: the findings of now, and a new picture where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from layerlr_dsl.language.diagnostics import Diagnostic

SUPPOSED = 10
"""Epochs of a run whose length nobody says."""
_STALE = "this is the last picture that could be drawn"
_BROKEN = "nothing can be drawn yet"
_LENGTH = f"the length of the run is not known: drawn as if it were {SUPPOSED} epochs"


def drawn(found: Iterable[Diagnostic], drawing: dict[str, Any], supposed: bool) -> dict[str, Any]:
    """A new picture. supposed: the file does not say how long the run is."""
    return {"found": as_shown(found), "stale": _LENGTH if supposed else "", "drawing": drawing}


def undrawn(found: Iterable[Diagnostic], before: bool, *said: dict[str, Any]) -> dict[str, Any]:
    """No new picture; `before` says whether there is an older one. said: findings that are of no file."""
    return {"found": [*as_shown(found), *said], "stale": _STALE if before else _BROKEN}


def fault(message: str, help: str | None = None) -> dict[str, Any]:
    """What is wrong with no place in a file."""
    return {"severity": "error", "message": message, "help": help}


def as_shown(found: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """Findings as the page prints them, less what is a mere note."""
    return [_with_excerpt(one) for one in found if one.severity != "info"]


def _with_excerpt(found: Diagnostic) -> dict[str, Any]:
    """A finding with its line and a caret below."""
    shown: dict[str, Any] = {
        "severity": found.severity,
        "code": found.code,
        "message": found.message,
        "help": found.help,
    }
    if found.span is None:
        return shown
    first, last = found.span.first, found.span.last
    line = found.span.source.line(first.line)
    end = last.column if last.line == first.line else len(line) + 1
    caret = " " * (first.column - 1) + "^" * max(end - first.column, 1)
    place = f"{os.path.basename(found.span.source.name)}:{first.line}:{first.column}"
    return {**shown, "place": place, "excerpt": f"{line.expandtabs(1)}\n{caret}"}
