"""Writing to the screen, and a sign of life while something takes long."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from layerlr_dsl.tools.cells import clip
from layerlr_dsl.tools.printable import escape, escape_json
from layerlr_dsl.tools.screen import Screen as Screen
from layerlr_dsl.tools.screen import columns as columns
from layerlr_dsl.tools.screen import is_terminal as is_terminal
from layerlr_dsl.tools.screen import redraws as redraws


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
        if redraws(sys.stderr) and not drawers:
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
