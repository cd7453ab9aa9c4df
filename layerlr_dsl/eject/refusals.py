"""What plain PyTorch cannot say, or this cannot write."""

from __future__ import annotations

from layerlr_dsl.language.source import Span


class CannotEject(Exception):
    """Nothing is written: `message` says what cannot be said, `place` where it stands (`file:line`)."""

    def __init__(self, message: str, span: Span | None = None) -> None:
        self.message = message
        self.place = None if span is None else span.place
        super().__init__(message if span is None else f"{span.place}: {message}")
