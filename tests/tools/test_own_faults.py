"""Where in the user's own code something was raised."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from layerlr_dsl.tools.own_faults import raised_at


def test_the_innermost_line_of_ones_own_code_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the line of a library that it calls; and nothing where a library was called at once."""
    monkeypatch.chdir(tmp_path)
    code = "import torch\n\n\ndef net():\n    return torch.nn.Linear('a', 2)\n"
    Path("nets.py").write_text(code)
    space: dict = {}
    exec(compile(code, str(tmp_path / "nets.py"), "exec"), space)
    with pytest.raises(TypeError) as caught:
        space["net"]()
    assert raised_at(caught.value.with_traceback(caught.tb.tb_next)) == " (nets.py, line 5)"
    try:
        torch.nn.Linear("a", 2)  # type: ignore[arg-type]
    except TypeError as fault:
        within = fault.with_traceback(fault.__traceback__ and fault.__traceback__.tb_next)
    assert raised_at(within) == ""
