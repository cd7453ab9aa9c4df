"""Applying the safe fixes of findings to the files they stand in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from layerlr_dsl.cli.files import write_output
from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix


def apply_safe_fixes(findings: Iterable[Diagnostic]) -> int:
    """Write every safe fix that does not overlap one before it; return how many were. Raises Refusal."""
    edits: dict[Path, list[Edit]] = defaultdict(list)
    texts: dict[Path, str] = {}
    applied = 0
    for finding in findings:
        fix = finding.fix
        if fix is None or not fix.safe or not _on_disk(fix):
            continue
        if any(_overlaps(edit, other) for edit in fix.edits for other in edits[_path(edit)]):
            continue
        for edit in fix.edits:
            edits[_path(edit)].append(edit)
            texts[_path(edit)] = edit.span.source.text
        applied += 1
    for path, changes in edits.items():
        if changes:
            write_output(path, edited(texts[path], changes))
    return applied


def edited(text: str, edits: Iterable[Edit]) -> str:
    """`text` with all replacements made; they must not overlap."""
    for edit in sorted(edits, key=lambda e: e.span.start, reverse=True):
        text = text[: edit.span.start] + edit.replacement + text[edit.span.end :]
    return text


def _on_disk(fix: Fix) -> bool:
    return bool(fix.edits) and all(edit.span.source.path is not None for edit in fix.edits)


def _path(edit: Edit) -> Path:
    path = edit.span.source.path
    assert path is not None
    return path


def _overlaps(one: Edit, other: Edit) -> bool:
    if one.span.start == other.span.start:
        return True
    return one.span.start < other.span.end and other.span.start < one.span.end
