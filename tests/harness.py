"""Runs the command line in this process, as a shell would: arguments in, status and texts out."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from layerlr_dsl.cli import run


@dataclass(frozen=True)
class Ran:
    """What one command line came to. `together` is both streams in the order of writing."""

    status: int
    out: str
    err: str
    together: str


class _Stream(io.TextIOWrapper):
    """A text stream that also writes to a shared one."""

    def __init__(self, shared: io.StringIO, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")
        self._shared = shared
        self._terminal = terminal

    def write(self, text: str) -> int:
        self._shared.write(text)
        return super().write(text)

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined]


def layerlr(*arguments: object, stdin: str | bytes = "", terminal: bool = False) -> Ran:
    """Run `layerlr ARGUMENTS`; with `terminal`, standard output and error say that they are one."""
    shared = io.StringIO()
    with _streams(stdin, _Stream(shared, terminal), _Stream(shared, terminal)) as (out, err):
        status = run([str(argument) for argument in arguments])
        return Ran(status, out.text(), err.text(), shared.getvalue())


@contextmanager
def _streams(stdin: str | bytes, out: _Stream, err: _Stream) -> Iterator[tuple[_Stream, _Stream]]:
    saved = sys.stdin, sys.stdout, sys.stderr
    data = stdin.encode() if isinstance(stdin, str) else stdin
    sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"), out, err
    try:
        yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr = saved
