"""What a command loads: no torch where no live model is needed, nothing heavy that it does not use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import layerlr
from rule_texts import CLEAN

_PROBE = """
import io, json, sys
from contextlib import redirect_stdout, redirect_stderr
from layerlr_dsl.cli import run

loaded = {}
for line in sys.argv[1:]:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        status = run(line.split())
    assert status == 0, line
    loaded[line] = [m for m in ("torch", "rich", "pydantic", "matplotlib", "numpy", "pygls") if m in sys.modules]
print(json.dumps(loaded))
"""


def _loaded(*lines: str) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *lines],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded: dict[str, list[str]] = json.loads(done.stdout)
    return loaded


@pytest.fixture
def stored(write: Any) -> None:
    """A rule file whose model was built before and is remembered."""
    write("a.lr", CLEAN)
    assert layerlr("fmt", "a.lr").status == 0
    assert layerlr("validate", "a.lr").status == 0
    assert layerlr("inspect", "torchvision:resnet18", "-o", "resnet.json").status == 0


def test_commands_on_a_remembered_model_load_nothing_heavy(stored: None) -> None:
    """Neither torch nor rich nor pydantic, for text and for machines."""
    lines = [
        "validate a.lr",
        "validate a.lr --format json",
        "validate a.lr --format sarif",
        "plan a.lr",
        "plan a.lr --format json",
        "explain a.lr fc.weight",
        "diff a.lr a.lr",
        "test a.lr",
        "plot a.lr",
        "fmt --check a.lr",
        "rule LR201",
        "recipes",
        "completion bash",
        "--help",
        "--version",
    ]
    assert _loaded(*lines) == {line: [] for line in lines}


def test_an_inventory_that_somebody_sent_needs_pydantic_once_and_no_torch(stored: None) -> None:
    """It is checked against its schema; the second look takes it from the store."""
    sent = Path("resnet.json")
    sent.write_bytes(sent.read_bytes() + b"\n")  # its own text, which no other test has looked at
    assert _loaded("inspect resnet.json") == {"inspect resnet.json": ["pydantic"]}
    assert _loaded("init --model resnet.json") == {"init --model resnet.json": []}


def test_the_group_loads_no_command_before_it_is_called() -> None:
    """`layerlr --help` knows the commands by name alone."""
    code = "import sys; from layerlr_dsl.cli.app import app; print(sorted(m for m in sys.modules if m.startswith('layerlr_dsl.')))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['layerlr_dsl.cli', 'layerlr_dsl.cli.app', 'layerlr_dsl.cli.interrupted']"


def test_the_module_can_be_run(stored: None) -> None:
    """`python -m layerlr_dsl` is `layerlr`, statuses included."""
    command = [sys.executable, "-m", "layerlr_dsl", "validate"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert (
        subprocess.run([*command, "a.lr"], env=environment, capture_output=True, check=False).returncode == 0
    )
    assert (
        subprocess.run([*command, "b.lr"], env=environment, capture_output=True, check=False).returncode == 2
    )


def test_a_second_interrupt_at_the_very_end_leaves_no_traceback() -> None:
    """It meets what libraries do at exit; nothing is left to be saved then."""
    program = (
        "import atexit, os, sys, time\n"
        "atexit.register(lambda: (os.kill(os.getpid(), 2), time.sleep(5)))\n"
        "sys.argv = ['layerlr', '--version']\n"
        "from layerlr_dsl.cli import main\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (130, "")
