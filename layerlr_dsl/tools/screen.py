"""The screen: its colours, how wide it is, and which alphabet it shows."""

from __future__ import annotations

import os
import sys
from typing import IO

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

    def tinted(self, text: str, colour: str) -> str:
        """`text` in a colour such as `#440154`, or what is nearest to it of the 216 that terminals share."""
        if not self.colour or not text.strip():
            return text
        red, green, blue = (_step(int(colour[k : k + 2], 16)) for k in (1, 3, 5))
        return f"\x1b[38;5;{16 + 36 * red + 6 * green + blue}m{text}\x1b[0m"


def _step(light: int) -> int:
    """The nearest of the six steps that a terminal has for a part of a colour: 0, 95, 135, 175, 215, 255."""
    return min(range(6), key=lambda step: abs((step and 55 + 40 * step) - light))


def _screen(stream: IO[str]) -> Screen:
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
    return Screen(wants_colour(stream), columns(stream), encoding.startswith("utf"))


def is_terminal(stream: IO[str]) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def redraws(stream: IO[str]) -> bool:
    """Whether what stands on the stream can be drawn anew: a terminal, and not a cell of a notebook."""
    return is_terminal(stream) and not in_cell()


def in_cell() -> bool:
    """Whether a cell of a notebook runs this, with `!`: it gives a terminal, but keeps all that is written to it."""
    shell = os.environ.get("TERM"), os.environ.get("GIT_PAGER")
    return "JPY_PARENT_PID" in os.environ or shell == ("xterm-color", "cat")  # as ipykernel sets them


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
