"""Source texts and places in them.

A place is a pair of offsets in code points; lines and columns are worked out only
when somebody asks, because most spans are never printed.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from layerlr_dsl.tools.records import record


@record
class Position:
    """A place in a text: 1-based line and column, 0-based offset, all in code points."""

    line: int
    column: int
    offset: int


@dataclass(eq=False)
class Source:
    """One rule text: what it is called, what it says, and where it lies on disk, if it does."""

    name: str
    text: str = field(repr=False)
    path: Path | None = None

    @cached_property
    def _starts(self) -> list[int]:
        text = self.text
        starts = [0]
        find = text.find
        at = find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = find("\n", at + 1)
        return starts

    def position(self, offset: int) -> Position:
        """The line and column of `offset` (clamped to the text)."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect_right(self._starts, offset)
        return Position(line, offset - self._starts[line - 1] + 1, offset)

    def line(self, number: int) -> str:
        """The text of line `number` (1-based) without its line ending; empty past the end."""
        starts = self._starts
        if not 1 <= number <= len(starts):
            return ""
        end = starts[number] - 1 if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].removesuffix("\r")


@record
class Span:
    """A half-open range `[start, end)` of code points in one source."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def excerpt(self) -> str:
        """The text on one line, each gap in it one blank wide."""
        return " ".join(self.text.split())

    @property
    def first(self) -> Position:
        return self.source.position(self.start)

    @property
    def last(self) -> Position:
        return self.source.position(self.end)

    @property
    def place(self) -> str:
        """`file:line`, the short form used in tables and JSON."""
        return f"{self.source.name}:{self.first.line}"

    def to(self, other: Span) -> Span:
        """From the start of this span to the end of `other`."""
        return Span(self.source, self.start, other.end)
