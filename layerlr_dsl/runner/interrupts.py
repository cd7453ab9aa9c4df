"""Ctrl-C and a machine's notice to stop, held back until the step at hand is done."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

ECHO_SECONDS = 1.0


class Interrupts:
    """While open, the first SIGINT or SIGTERM is only noted; a later one ends the process as usual.

    One that follows within a second is the same one: under torchrun Ctrl-C reaches a process from the
    terminal and from torchrun, and nervous fingers should not cost what was to be saved.

    `asked` is the number of the signal that came, 0 for none. Off the main thread, where Python
    allows no handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._before: dict[int, Any] = {}
        self._since = 0.0

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.asked and now - self._since < ECHO_SECONDS:
            return
        if self.asked:
            for known, handler in self._before.items():
                signal.signal(known, handler)
            signal.raise_signal(number)
        self.asked, self._since = number, now
