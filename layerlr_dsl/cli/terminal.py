"""The screen: its colours, its width, writing to it, and a sign of life while something takes long."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from layerlr_dsl.tools.cells import clip
from layerlr_dsl.tools.printable import escape, escape_json
from layerlr_dsl.tools.records import record

NARROWEST = 20
USUAL = 80

_STYLES = {
    "error": "1;31",
    "warning": "1;33",
    "info": "1;36",
    "help": "1;32",
    "gutter": "1;34",
    "bold": "1",
    "dim": "2",
    "struck": "2;9",
    "good": "32",
    "bad": "31",
    "accent": "36",
    "mark": "1;32",
}


@record
class Screen:
    """What a stream can show: colours or not, how many cells across, which alphabet."""

    colour: bool = False
    width: int = USUAL
    unicode: bool = True

    @staticmethod
    def of_stdout() -> Screen:
        return _screen(sys.stdout)

    @staticmethod
    def of_stderr() -> Screen:
        return _screen(sys.stderr)

    @property
    def ellipsis(self) -> str:
        return "…" if self.unicode else "..."

    def paint(self, text: str, style: str) -> str:
        """`text` in a style of the house; as it is where there is no colour."""
        if not self.colour or not text:
            return text
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def _screen(stream: IO[str]) -> Screen:
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
    return Screen(wants_colour(stream), columns(stream), encoding.startswith("utf"))


def is_terminal(stream: IO[str]) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def wants_colour(stream: IO[str]) -> bool:
    """NO_COLOR wins, then FORCE_COLOR, then whether the stream is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR")
    if forced:
        return forced != "0"
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def columns(stream: IO[str]) -> int:
    """COLUMNS, else the terminal's width, else 80; never under 20."""
    stated = os.environ.get("COLUMNS", "")
    if stated.isdigit() and int(stated) > 0:
        return max(NARROWEST, int(stated))
    return max(NARROWEST, _across(stream)) if is_terminal(stream) else USUAL


def _across(stream: IO[str]) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL
    except (OSError, ValueError):
        return USUAL


def write(text: str) -> None:
    """A line (or several) to standard output."""
    sys.stdout.write(text + "\n")


def write_json(text: str) -> None:
    """JSON to standard output; names in it come from elsewhere, and a terminal may be reading."""
    write(escape_json(text))


def write_error(text: str) -> None:
    """A line (or several) to standard error, after what standard output was given before."""
    sys.stdout.flush()
    sys.stderr.write(text + "\n")


# ---------------------------------------------------------------- waiting


PATIENCE = 1.0
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


@contextmanager
def waiting() -> Iterator[Callable[[str], None]]:
    """Gives a function to call, with a sentence, when something slow begins.

    A second later the sentence and the seconds gone are shown, until the block ends; off a terminal
    nothing is.
    """
    done = threading.Event()
    drawers: list[threading.Thread] = []

    def begin(what: str) -> None:
        if is_terminal(sys.stderr) and not drawers:
            drawers.append(threading.Thread(target=_draw, args=(escape(what), done), daemon=True))
            drawers[0].start()

    try:
        yield begin
    finally:
        done.set()
        for drawer in drawers:
            drawer.join()


def _draw(what: str, done: threading.Event) -> None:
    started = time.monotonic()
    if done.wait(PATIENCE):
        return
    frame = 0
    while not done.wait(0.1):
        seconds = time.monotonic() - started
        line = f"{_FRAMES[frame % len(_FRAMES)]} {what} ({seconds:.0f} s)"
        sys.stderr.write("\r\x1b[K" + clip(line, columns(sys.stderr) - 1))
        sys.stderr.flush()
        frame += 1
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()
