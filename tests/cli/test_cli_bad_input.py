"""Each command given what it cannot use: a clear message and status 2, never a traceback, nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from harness import Ran, layerlr
from rule_texts import CLEAN, FAULTY

MODEL = "torchvision:resnet18"
COMMANDS: dict[str, list[str]] = {
    "validate": ["validate", "FILE"],
    "plan": ["plan", "FILE"],
    "explain": ["explain", "FILE", "fc.weight"],
    "fmt": ["fmt", "FILE"],
    "test": ["test", "FILE"],
    "diff": ["diff", "FILE", "FILE"],
    "plot": ["plot", "FILE"],
}
WRITERS: dict[str, list[str]] = {
    "init": ["init", "--model", MODEL, "-o", "OUT"],
    "inspect": ["inspect", MODEL, "-o", "OUT"],
    "plot": ["plot", "FILE", "-o", "OUT.html"],
    "test": ["test", "FILE", "--junit", "OUT"],
}


def _run(command: list[str], file: object, out: object = "out", **more: Any) -> Ran:
    filled = [str(file) if word == "FILE" else word.replace("OUT", str(out)) for word in command]
    return layerlr(*filled, **more)


def _refused(ran: Ran) -> None:
    assert ran.status == 2, ran.together
    assert "Traceback" not in ran.together
    assert "internal error" not in ran.together
    assert "error: " in ran.err.lower()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("kind", ["missing", "folder", "latin", "loop", "nothing"])
def test_an_input_that_cannot_be_read(write: Any, command: list[str], kind: str) -> None:
    """A missing file, a folder without rules, another encoding, a link to itself, an empty name."""
    paths = {"missing": "no.lr", "folder": "folder", "latin": "latin.lr", "loop": "loop.lr", "nothing": ""}
    Path("folder").mkdir()
    write("latin.lr", "** -> lr 1 # \xe4".encode("latin-1"))
    os.symlink("loop.lr", "loop.lr")
    _refused(_run(command, paths[kind]))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_binary_file_is_told_from_a_rule_file(write: Any, command: list[str]) -> None:
    """Null bytes are findings (1) or an unreadable input (2), in a few lines, and the file stays as it is."""
    content = b"\x7fELF\x00\x01\x02" * 5000
    path = write("binary.lr", content)
    ran = _run(command, path)
    assert ran.status in (1, 2)
    assert "Traceback" not in ran.together
    assert "internal error" not in ran.together
    assert "\x00" not in ran.together
    assert len(ran.together.splitlines()) < 400
    assert path.read_bytes() == content


@pytest.mark.skipif(sys.platform != "linux", reason="other systems let no such name be")
@pytest.mark.parametrize(
    "command",
    [
        ["validate", "--format", "sarif"],
        ["plot", "-o", "a.html"],
        ["eject", "-o", "plain.py"],
    ],
    ids=lambda words: words[0],
)
def test_a_name_that_is_no_utf_8_is_spelled_out_in_what_is_written(write: Any, command: list[str]) -> None:
    """A file from an old archive: what holds its name is UTF-8 all the same."""
    write("gr\udcf6n.lr", CLEAN + "layer9 -> lr 1\n" * (command[0] == "validate"))
    ran = layerlr(*command, "gr\udcf6n.lr")
    assert ran.status == (1 if command[0] == "validate" else 0), ran.together
    written = ran.out if "--format" in command else Path(command[-1]).read_text(encoding="utf-8")
    assert ("gr%5Cudcf6n.lr" if "sarif" in command else r"gr\udcf6n.lr") in written


@pytest.mark.parametrize("width", [20, 40])
def test_a_model_tree_keeps_to_a_narrow_screen(
    write: Any, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """Nothing of what is said in whole sentences is cut off, and no line is blank but for a branch."""
    monkeypatch.setenv("COLUMNS", str(width))
    ran = layerlr("inspect", MODEL, "--select", "layer4")
    assert all(len(line) <= width for line in ran.out.splitlines())
    assert "11.7 M parameters in 62 tensors" in " ".join(ran.out.split())
    assert "8.4 M of 11.7 M parameters (72%)" in " ".join(ran.out.split())
    assert not any(line.endswith((" ", "│")) for line in ran.out.splitlines())


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_an_empty_file_is_a_rule_file_that_says_nothing(write: Any, command: list[str]) -> None:
    """No findings of the language; commands that need a model ask for one."""
    ran = _run([*command, *([] if command[0] == "fmt" else ["--model", MODEL])], write("empty.lr", ""))
    assert ran.status in (0, 2)
    assert "Traceback" not in ran.together
    assert "internal error" not in ran.together


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_file_without_its_last_line_end_is_read_whole(write: Any, command: list[str]) -> None:
    """The last statement counts."""
    assert _run(command, write("a.lr", CLEAN.rstrip("\n"))).status == 0


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_twenty_columns_are_enough(write: Any, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    """Nothing breaks on the narrowest screen, and no line of a layout of ours is wider."""
    from layerlr_dsl.tools.cells import cells

    monkeypatch.setenv("COLUMNS", "20")
    ran = _run(command, write("a.lr", CLEAN))
    assert ran.status == 0
    if command[0] not in ("fmt", "validate", "test"):
        assert all(cells(line) <= 20 for line in ran.out.splitlines())


@pytest.mark.parametrize("command", ["validate", "fmt"])
def test_five_megabytes_on_one_line(write: Any, command: str) -> None:
    """A line that long is one statement too many, said in a few lines."""
    ran = layerlr(command, write("long.lr", "a" * 5_000_000))
    assert ran.status == 1
    assert len(ran.together) < 3000


def test_a_rule_file_of_five_megabytes_is_checked(write: Any) -> None:
    """Comments do not count against anyone."""
    ran = layerlr("validate", write("big.lr", "# " + "x" * 5_000_000 + "\n" + CLEAN))
    assert ran.status == 0


def test_ten_thousand_brackets_are_one_finding(write: Any) -> None:
    """Nesting is bounded, so nothing overflows."""
    ran = layerlr("validate", write("deep.lr", "** -> lr " + "(" * 10_000 + "1" + ")" * 10_000))
    assert ran.status == 1
    assert "LR007" in ran.err


@pytest.mark.parametrize("command", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("place", ["folder/missing/out", "folder"])
def test_an_output_that_cannot_be_written(write: Any, command: list[str], place: str) -> None:
    """A folder that does not exist, or a folder in the file's place: refused, and nothing is left behind."""
    Path("folder").mkdir()
    Path("folder.html").mkdir()
    ran = _run(command, write("a.lr", CLEAN), place, stdin="")
    _refused(ran)
    assert sorted(os.listdir("folder")) == []


def test_a_full_disk_leaves_the_old_file(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there before is still there when writing fails."""
    path = write("a.lr", "**->lr 1")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    ran = layerlr("fmt", path)
    _refused(ran)
    assert "no space left" in ran.err.lower()
    assert path.read_text() == "**->lr 1"
    assert os.listdir(".") == ["a.lr"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["validate"],
        ["validate", "--format", "yaml", "x"],
        ["plan", "a.lr", "--steps-per-epoch", "0"],
        ["explain", "a.lr"],
        ["rule", "LR999"],
        ["init", "--model", "torchvision:nothing"],
        ["init", "--model", MODEL, "--style", "odd"],
        ["inspect", "resnet18"],
        ["inspect", "python:no.such.module:thing"],
        ["inspect", "missing.json"],
        ["plot", "a.lr", "-o", "out.gif"],
        ["diff", "-", "-"],
        ["validate", "recipe:nothing-like-it"],
        ["explain", "a.lr", "fc.weight", "--at", "5"],
        ["explain", "a.lr", "fc.weight", "--at", "epoch -1"],
        ["explain", "a.lr", "fc.weight", "--at", "step 3"],
        ["explain", "a.lr", "fc.weight", "--event", "val_loss=3"],
        ["explain", "a.lr", "fc.wait"],
        ["explain", "a.lr", "fc -> lr 1"],
        ["inspect", MODEL, "--select", "layer9"],
        ["inspect", MODEL, "--select", "a -> lr 1; b"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(write: Any, arguments: list[str]) -> None:
    """Unknown commands, options, codes, recipes, parameters, models and times."""
    write("a.lr", CLEAN)
    ran = layerlr(*arguments)
    assert ran.status == 2, ran.together
    assert "Traceback" not in ran.together
    assert "internal error" not in ran.together
    assert ran.err


@pytest.mark.parametrize("command", ["plan", "explain", "plot", "diff", "test"])
def test_a_faulty_file_ends_other_commands_with_its_findings(write: Any, command: str) -> None:
    """Status 1 and the same findings as `validate` shows."""
    ran = _run(COMMANDS[command], write("a.lr", FAULTY))
    assert ran.status == 1
    assert "error[LR201]" in ran.err
    assert "error[LR103]" in ran.err


def test_commands_suggest_the_command_that_was_meant() -> None:
    """A misspelled command names its neighbour."""
    assert "Did you mean 'validate'?" in layerlr("valdiate", "x").err


def test_a_fault_of_ours_is_one_line_and_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, write: Any
) -> None:
    """Even a bug shows no traceback, unless LAYERLR_DEBUG asks for it."""
    monkeypatch.setattr("layerlr_dsl.cli.resolving.check", lambda *_: 1 / 0)
    ran = layerlr("validate", write("a.lr", CLEAN))
    assert ran.status == 2
    assert "internal error: ZeroDivisionError" in ran.err
    monkeypatch.setenv("LAYERLR_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        layerlr("validate", "a.lr")


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, write: Any) -> None:
    """An interrupt is neither a finding nor a refusal."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("layerlr_dsl.cli.resolving.check", interrupted)
    ran = layerlr("validate", write("a.lr", CLEAN))
    assert ran.status == 130
    assert "Traceback" not in ran.together


@pytest.mark.parametrize(
    "fault", [AttributeError("partially initialized module"), click.ClickException("no")]
)
def test_ctrl_c_that_an_import_swallows_is_130_all_the_same(
    monkeypatch: pytest.MonkeyPatch, write: Any, fault: Exception
) -> None:
    """What a half-made module then fails with is no fault of layerlr, and none of the input."""

    def half_made(*_: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException:
            raise fault from None

    monkeypatch.setattr("layerlr_dsl.cli.resolving.check", half_made)
    ran = layerlr("validate", write("a.lr", CLEAN))
    assert ran.status == 130
    assert "internal error" not in ran.together
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


INTERRUPTED_AT = """
import signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == {name!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
from layerlr_dsl.__main__ import main
sys.argv = ["layerlr", "rule"]
main()
"""


@pytest.mark.parametrize("name", ["layerlr_dsl.cli", "layerlr_dsl.cli.interrupted", "layerlr_dsl.cli.app"])
def test_ctrl_c_while_the_command_itself_is_imported_is_130(name: str) -> None:
    """From the first line of our own on, before anything of the command is there."""
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT.format(name=name)], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (130, "")


def test_ctrl_c_waits_for_torch_to_be_imported(monkeypatch: pytest.MonkeyPatch, write: Any) -> None:
    """Cut short there, some of its parts abort the process."""
    import time

    import torch

    seen = []

    def importing(*_: object) -> None:
        monkeypatch.setattr(torch.__spec__, "_initializing", True)
        signal.raise_signal(signal.SIGINT)
        seen.append("went on")
        monkeypatch.setattr(torch.__spec__, "_initializing", False)
        time.sleep(10)
        seen.append("was not stopped")

    monkeypatch.setattr("layerlr_dsl.cli.resolving.check", importing)
    assert layerlr("validate", write("a.lr", CLEAN)).status == 130
    assert seen == ["went on"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_closed_pipe_is_no_failure(write: Any, stream: str) -> None:
    """`layerlr ... | head` exits 0 and says nothing, whichever stream was closed."""
    write("a.lr", "\n".join(f"layer{k} -> lr 1e-4x" for k in range(3000)))
    reading, writing = os.pipe()
    os.close(reading)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writing}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "layerlr_dsl",
            "validate",
            "a.lr",
            "--format",
            "json" if stream == "stdout" else "text",
        ],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=streams["stdout"],
        stderr=streams["stderr"],
        check=False,
    )
    os.close(writing)
    assert done.returncode == 0
    assert not done.stderr


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_a_stream_closed_from_the_start_is_no_failure(write: Any, stream: str) -> None:
    """`layerlr ... >&-`: Python has no such stream then; the command does its work all the same."""
    write("a.lr", CLEAN)
    sign = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-"}[stream]
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m layerlr_dsl validate a.lr {sign}', sys.executable],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert bool(done.stdout) == (stream != "stdout")


@pytest.mark.parametrize("command", [WRITERS["init"], WRITERS["inspect"], WRITERS["test"]])
def test_a_dash_is_no_name_of_a_file_to_write(write: Any, command: list[str]) -> None:
    """`-o -` leaves no file of that name behind."""
    _refused(_run(command, write("a.lr", CLEAN), "-"))
    assert not Path("-").exists()


def test_a_folder_in_the_place_of_a_starting_file_is_called_one(write: Any) -> None:
    """`init -o FOLDER` does not speak of overwriting."""
    Path("folder").mkdir()
    ran = layerlr("init", "--model", MODEL, "-o", "folder")
    _refused(ran)
    assert "is a directory" in ran.err


ODD = """\
from torch import nn

class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        for name in ("new\\nline", "\\x1b[31m", "\\u202ertl", "\\x9b1m", "日本語", "\\U000e0041"):
            self.add_module(name, nn.Linear(1, 1))
"""


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "command",
    [
        ["inspect", "python:odd_names:Odd"],
        ["plan", "a.lr", "--model", "python:odd_names:Odd"],
        ["explain", "a.lr", "**", "--model", "python:odd_names:Odd"],
        ["validate", "b.lr", "--model", "python:odd_names:Odd"],
    ],
    ids=lambda command: command[0],
)
def test_names_reach_no_screen_unescaped(write: Any, command: list[str], form: str) -> None:
    """No control character and no sign that turns the reading direction, in machine formats neither."""
    import json

    write("odd_names.py", ODD)
    write("a.lr", "epochs 3\n** -> lr 1\n** where index < 6 -> lr 2")
    write("b.lr", "nothing -> lr 1")
    ran = layerlr(*command, "--format", form)
    assert "internal error" not in ran.together
    assert all(char.isprintable() or char == "\n" for char in ran.together)
    assert "日本語" in ran.together
    if form == "json":
        json.loads(ran.out)
    else:
        assert (
            "new-line" if command[0] == "plan" else "new\\x0aline"
        ) in ran.together  # groups have plain names
