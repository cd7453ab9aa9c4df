"""Whole screens: each file in `golden/` is a command line and what it prints, both streams together.

`UPDATE_EXPECTED=1 pytest tests/cli/test_cli_golden.py` writes the screens of today, to be looked at.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import pytest
from harness import layerlr

GOLDEN = Path(__file__).parent / "golden"


def printed(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The command line of a golden file, and what it prints now."""
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    words = shlex.split(first.removeprefix("$ "))
    while "=" in words[0]:
        monkeypatch.setenv(*words.pop(0).split("=", 1))
    return f"{first}\n{layerlr(*words[1:]).together}"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_screen_is_as_it_was_last_looked_at(
    path: Path, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of any screen is seen in review."""
    for rules in GOLDEN.glob("*.lr"):
        shutil.copy(rules, empty_folder)
    screen = printed(path, monkeypatch)
    if os.environ.get("UPDATE_EXPECTED"):
        path.write_text(screen, encoding="utf-8")
    assert screen == path.read_text(encoding="utf-8")
