"""A sign of life on standard error for work that takes more than a second."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from layerlr_dsl.cli.terminal import clip, columns, escape, is_terminal

PATIENCE = 1.0
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show `what` and the seconds gone once the block has run for a second; nothing off a terminal."""
    if not is_terminal(sys.stderr):
        yield
        return
    done = threading.Event()
    drawer = threading.Thread(target=_draw, args=(escape(what), done), daemon=True)
    drawer.start()
    try:
        yield
    finally:
        done.set()
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
