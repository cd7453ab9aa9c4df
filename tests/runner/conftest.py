"""What the runner's tests share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Results are compared bit for bit, and the tests share their machine."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch):
    """`python:tiny:...` is found from the working folder, whatever other tests called `tiny`."""
    monkeypatch.chdir(HERE)
    monkeypatch.setattr(sys, "path", [str(HERE), *sys.path])
    if getattr(sys.modules.get("tiny"), "__file__", None) != str(HERE / "tiny.py"):
        monkeypatch.delitem(sys.modules, "tiny", raising=False)


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def layerlr(capfd, monkeypatch) -> Callable[..., Ran]:
    """Runs a command line in this process, on a screen so wide that no message is broken into lines."""
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setattr(sys, "argv", ["layerlr"])  # not pytest's own, where no `layerlr` is on the PATH

    def run(*arguments: object) -> Ran:
        from layerlr_dsl.cli import run as run_command

        capfd.readouterr()
        status = run_command([str(a) for a in arguments])
        return Ran(status, *capfd.readouterr())

    return run


@pytest.fixture
def rules(tmp_path) -> Path:
    """A rule file for the tiny model: two thaws, one in the middle of an epoch."""
    path = tmp_path / "tiny.lr"
    from tinyruns import RULES

    path.write_text(RULES)
    return path
