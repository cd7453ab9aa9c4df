"""The fenced blocks of a Markdown page, and running them as a reader would.

    lr title="x.lr"   written to a file of that name; `lr` without a title is read on its own
    python            executed, each page in one namespace of its own
    text              what the `python` block before it prints, if it prints anything
    console           `$ command` lines, run; lines below a command are what it prints
    py                Python that is read and not run here: it takes long, or other packages
    sh                commands that are not run here (they install, download or take long)
    lua, toml, elisp  settings of editors; not read
    yaml, json        read; with a title, written too

In expected output a line `...` stands for any lines, and `...` within a line for any characters.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import layerlr_dsl as layerlr
from layerlr_dsl import cli
from layerlr_dsl.cli.app import COMMANDS, app
from layerlr_dsl.language.diagnostics import has_errors
from layerlr_dsl.model.specs import inventory_of_spec

_FENCE = re.compile(
    r'^(?P<indent> *)```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?[^\n]*\n(?P<body>.*?)^(?P=indent)```$',
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    title: str | None
    body: str


def blocks(text: str) -> list[Block]:
    """Every fenced block of a page, from top to bottom."""
    return [
        Block(
            text.count("\n", 0, found.start()) + 1,
            found["language"],
            found["title"],
            textwrap.dedent(found["body"]),
        )
        for found in _FENCE.finditer(text)
    ]


@dataclass
class Reader:
    """Follows a page from top to bottom; what did not come out as shown is in `faults`."""

    folder: Path
    faults: list[str] = field(default_factory=list)
    _names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    _printed: str = ""
    """What the last `python` block printed and no `text` block has shown yet."""

    def follow(self, page: list[Block]) -> list[str]:
        for block in page:
            act = getattr(self, f"_{block.language}", None)
            if act is None:
                self._fault(block, f"nothing is done with blocks of `{block.language}`")
                continue
            try:
                act(block)
            except Exception as fault:
                self._fault(block, f"{type(fault).__name__}: {fault}")
        return self.faults

    def _fault(self, block: Block, message: str) -> None:
        self.faults.append(f"line {block.line}: {message}")

    def _write(self, block: Block) -> None:
        if block.title is not None:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body, encoding="utf-8")

    # ------------------------------------------------------------ languages

    def _lr(self, block: Block) -> None:
        self._write(block)
        if block.title is not None and Path(block.title).name.startswith("wrong"):
            return
        rules = layerlr.parse(block.body, filename=block.title or "<block>", root=self.folder)
        if rules.model is not None:
            found = rules.check(inventory_of_spec(rules.model, root=self.folder))
            if has_errors(found):
                raise layerlr.RuleError(found)

    def _python(self, block: Block) -> None:
        self._write(block)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.body, f"<line {block.line}>", "exec"), self._names)
        self._printed = printed.getvalue()

    def _py(self, block: Block) -> None:
        compile(block.body, f"<line {block.line}>", "exec")

    def _text(self, block: Block) -> None:
        if self._printed:
            self._compare(block, block.body, self._printed)
            self._printed = ""

    def _console(self, block: Block) -> None:
        for command, wanted in _commands(block.body):
            words = shlex.split(command)
            if words[0] == "cat":
                printed = (self.folder / words[1]).read_text(encoding="utf-8")
            elif words[0] == "layerlr":
                printed = _run(words[1:])
            else:
                self._fault(block, f"`{words[0]}` is not run: make this a `sh` block")
                continue
            if wanted:
                self._compare(block, wanted, printed)

    def _sh(self, block: Block) -> None:
        for line in block.body.replace("\\\n", " ").splitlines():
            if "layerlr " in line and not line.lstrip().startswith("#"):
                _known_options(line[line.index("layerlr ") :])

    def _lua(self, block: Block) -> None:
        """Nothing reads these here."""

    _elisp = _lua

    def _toml(self, block: Block) -> None:
        self._write(block)

    def _yaml(self, block: Block) -> None:
        yaml.safe_load(block.body)
        self._write(block)

    def _json(self, block: Block) -> None:
        json.loads(block.body)
        self._write(block)

    def _compare(self, block: Block, wanted: str, found: str) -> None:
        if not _matches(wanted, found):
            self._fault(
                block, f"expected\n{textwrap.indent(wanted, '    ')}found\n{textwrap.indent(found, '    ')}"
            )


def _commands(body: str) -> Iterator[tuple[str, str]]:
    """Commands, with what is shown below each."""
    for part in re.split(r"^\$ ", body, flags=re.M)[1:]:
        command, _, wanted = part.replace("\\\n", "").partition("\n")
        yield command, wanted


def _run(arguments: list[str]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = cli.run(arguments)
    printed = out.getvalue()
    assert status in (0, 1), f"exit status {status}: {printed}"
    return printed


def _known_options(line: str) -> None:
    """Every option of a command that is shown but not run is an option that it has."""
    words = shlex.split(line.split(" > ")[0].split(" | ")[0], comments=True)
    if len(words) < 2 or words[1] not in COMMANDS:
        assert words[1:2], f"`{line}`: a command is missing"
        assert words[1].startswith("-"), f"`{line}`: no such command"
        return
    command = app.get_command(None, words[1])  # type: ignore[arg-type]
    assert command is not None
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    unknown = [word for word in words[2:] if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]
    assert not unknown, f"`{line}`: {words[1]} has no {', '.join(unknown)}"


def _matches(wanted: str, found: str) -> bool:
    pattern = []
    for line in wanted.rstrip().splitlines():
        if line.strip() == "...":
            pattern.append(r"(?:.*\n)*?")
        else:
            pieces = (re.escape(piece) for piece in line.rstrip().split("..."))
            pattern.append(r".*?".join(pieces) + r"[ ]*\n")
    text = "".join(line.rstrip() + "\n" for line in found.rstrip().splitlines())
    return re.fullmatch("".join(pattern), text) is not None
