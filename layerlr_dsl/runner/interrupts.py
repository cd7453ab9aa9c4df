"""Ctrl-C and a machine's notice to stop, held back until the step at hand is done."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """While open, the first SIGINT or SIGTERM is only noted; a second one ends the process as usual.

    `asked` is the number of the signal that came, 0 for none. Off the main thread, where Python
    allows no handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            for known, handler in self._before.items():
                signal.signal(known, handler)
            signal.raise_signal(number)
        self.asked = number
