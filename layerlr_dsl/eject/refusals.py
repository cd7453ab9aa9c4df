"""What plain PyTorch cannot say, or this cannot write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from layerlr_dsl.language.source import Span


class CannotEject(Exception):
    """Nothing is written: what cannot be said, and where it stands (`file:line`); `reasons` has each by itself."""

    def __init__(self, message: str, span: Span | None = None) -> None:
        place = "" if span is None else f"{span.place}: "
        self.reasons: tuple[str, ...] = (f"{place}{message}",)
        super().__init__(self.reasons[0])

    @classmethod
    def of_all(cls, reasons: Iterable[str]) -> CannotEject:
        """One for all reasons, each of them once."""
        each = tuple(dict.fromkeys(reasons))
        made = cls("\n".join(each))
        made.reasons = each
        return made


@dataclass
class Refusals:
    """Collects what cannot be said, so that all of it is told at once."""

    reasons: list[str] = field(default_factory=list)

    def add(self, message: str, span: Span | None) -> None:
        """What cannot be said, and where it stands."""
        self.reasons += CannotEject(message, span).reasons

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Go on behind what cannot be said."""
        try:
            yield
        except CannotEject as fault:
            self.reasons += fault.reasons

    def check(self) -> None:
        """Raise CannotEject if there is anything."""
        if self.reasons:
            raise CannotEject.of_all(self.reasons)
