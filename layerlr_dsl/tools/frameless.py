"""Errors whose message says all there is to say."""

from __future__ import annotations


class Frameless(Exception):
    """Shown by IPython without a traceback: no line of this library tells of what is wrong with the input."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]
