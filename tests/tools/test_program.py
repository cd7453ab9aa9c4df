"""How this program is called in hints."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from layerlr_dsl.tools.program import program


@pytest.mark.parametrize(
    ("called", "told"),
    [
        (".venv/bin/layerlr", [".venv/bin/layerlr"]),
        ("somewhere/layerlr_dsl/__main__.py", ["python", "-m", "layerlr_dsl"]),
        ("pytest", ["layerlr"]),
    ],
)
def test_a_program_that_is_not_found_by_its_name_is_called_by_its_path(
    called: str, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `make demo` calls it; where the name leads to it, the name is enough."""
    monkeypatch.chdir(tmp_path)
    script = Path(".venv/bin/layerlr")
    script.parent.mkdir(parents=True)
    script.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setenv("PATH", "")
    assert program() == told
    monkeypatch.setenv("PATH", str(script.parent.resolve()))
    assert program() == ["layerlr"]
