"""Diagnostics pages as data: the files of the example, its command, its output, and the fix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)


@dataclass(frozen=True)
class Page:
    code: str
    heading: str
    severity: str
    files: dict[str, str]
    command: list[str]
    output: str
    fixed: str


def read_page(path: Path) -> Page:
    """Raises AssertionError where the page has not the form that all pages have."""
    text = path.read_text(encoding="utf-8")
    before, example, fix = re.split(r"^## (?:Example|Fix)\n", text, flags=re.M)
    heading = re.match(r"# (LR\d{3}): (.+)\n\nSeverity: (\w+)", before)
    assert heading is not None, path
    blocks = _BLOCK.findall(example)
    files = {title: body for language, title, body in blocks if language != "console"}
    [console] = [body for language, _, body in blocks if language == "console"]
    command, _, output = console.partition("\n")
    assert command.startswith("$ layerlr "), path
    [(_, title, fixed)] = _BLOCK.findall(fix)
    assert title == "example.lr", path
    return Page(heading[1], heading[2], heading[3], files, command.split()[2:], output, fixed)


def write_output(path: Path, output: str) -> None:
    """Put what the example printed on its page."""
    text = path.read_text(encoding="utf-8")
    console = re.compile(r"(^```console\n[^\n]*\n).*?(^```$)", re.M | re.S)
    path.write_text(console.sub(lambda found: found[1] + output + found[2], text, count=1), encoding="utf-8")
