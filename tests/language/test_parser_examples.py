"""Faulty texts with every finding about them, as plain files that run as they stand.

A case is a title behind `===`, the text, `---`, and the findings: place, code, message, help and fix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source

FILES = sorted((Path(__file__).parent / "syntax").glob("*.txt"))


def cases(path: Path) -> Iterator[tuple[str, str, str]]:
    for case in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
        title, _, rest = case.partition("\n")
        text, _, expected = rest.partition("---\n")
        yield title, text, expected.rstrip("\n") + "\n"


def shown(finding: Diagnostic) -> str:
    assert finding.span is not None
    first, last = finding.span.first, finding.span.last
    lines = [f"{first.line}:{first.column}-{last.column} {finding.code} {finding.message}"]
    if finding.help:
        lines.append(f"    help: {finding.help}")
    if finding.fix:
        edits = ", ".join(f"{e.span.text!r} -> {e.replacement!r}" for e in finding.fix.edits)
        lines.append(f"    {'safe fix' if finding.fix.safe else 'fix'}: {edits}")
    return "\n".join(lines) + "\n"


def findings(text: str) -> str:
    return "".join(shown(d) for d in parse(Source("file.lr", text))[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(text, expected, id=f"{path.stem}: {title}")
        for path in FILES
        for title, text, expected in cases(path)
    ],
)
def test_findings_are_worded_and_placed_as_shown(text: str, expected: str) -> None:
    """Each text has exactly the findings of its case."""
    assert findings(text) == expected


def test_every_syntax_code_has_a_case() -> None:
    """No code that the parser gives goes without an example."""
    written = "".join(path.read_text(encoding="utf-8") for path in FILES)
    missing = [code for code in [*(f"LR{n:03}" for n in range(1, 12)), "LR106"] if f" {code} " not in written]
    assert missing == []
