"""Ctrl-C in the middle of an import, which libraries catch and turn into errors of their own."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType, TracebackType

SOON_SECONDS = 0.1
PATIENT = ("torch", "optuna")
"""Cut short, parts of torch take the whole process down, and Optuna seems not to be installed."""


class Interrupted:
    """While open, remembers in `came` that Ctrl-C came, and lets it do what it always does.

    A module whose import was cut short is left half made: what then fails, and how, is anyone's guess. One that
    comes while a library of `PATIENT` is imported waits for the end of that.
    """

    def __init__(self) -> None:
        self.came = False
        self._own = False

    def __enter__(self) -> Interrupted:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            try:
                signal.signal(signal.SIGINT, self._note)
                self._own = True
            except ValueError:  # not the main thread, which alone is interrupted
                pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        if any(map(_half_made, PATIENT)):
            _send_later(number)
        else:
            signal.default_int_handler(number, frame)


def _half_made(name: str) -> bool:
    """Whether a module is being imported."""
    return bool(getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False))


def _send_later(number: int) -> None:
    from threading import Timer

    timer = Timer(SOON_SECONDS, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()
