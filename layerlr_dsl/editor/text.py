"""Places in a text as editors count them: lines from 0, columns in the code units agreed on.

The language server protocol ends a line at `\\n`, `\\r\\n` or a lone `\\r` and counts UTF-16 units unless
client and server agree on another encoding; everything inside layerlr is an offset in code points.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache

_LINE_END = re.compile(r"\r\n|\n|\r")

Place = tuple[int, int]
"""A line and a column, both from 0; the column in code units."""


def utf16(character: str) -> int:
    return 2 if character > "\uffff" else 1


def utf8(character: str) -> int:
    return 1 if character < "\x80" else 2 if character < "\u0800" else 3 if character < "\U00010000" else 4


def utf32(character: str) -> int:
    return 1


UNITS = {"utf-8": utf8, "utf-16": utf16, "utf-32": utf32}


class Text:
    """An immutable text that knows where its lines are."""

    def __init__(self, content: str, encoding: str = "utf-16") -> None:
        self.content = content
        self.encoding = encoding
        self._units = UNITS[encoding]
        self._starts = [0, *(end.end() for end in _LINE_END.finditer(content))]

    def __len__(self) -> int:
        return len(self.content)

    def offset(self, line: int, column: int) -> int:
        """The offset of a place. Places outside the text are moved to the nearest one inside it.

        A column in the middle of a character stands for its beginning.
        """
        if line >= len(self._starts):
            return len(self.content)
        start = self._starts[max(line, 0)]
        written = self._line(max(line, 0))
        if written.isascii():
            return start + min(max(column, 0), len(written))
        passed = 0
        for at, character in enumerate(written):
            passed += self._units(character)
            if passed > column:
                return start + at
        return start + len(written)

    def place(self, offset: int) -> Place:
        """The line and column of an offset (clamped to the text)."""
        offset = min(max(offset, 0), len(self.content))
        line = bisect_right(self._starts, offset) - 1
        before = self.content[self._starts[line] : offset]
        if before.isascii():
            return line, len(before)
        return line, sum(map(self._units, before))

    def replaced(self, start: int, end: int, new: str) -> Text:
        """The text with `[start, end)` replaced."""
        return Text(self.content[:start] + new + self.content[end:], self.encoding)

    @property
    def line_count(self) -> int:
        return len(self._starts)

    def line_start(self, offset: int) -> int:
        """Where the line of an offset begins."""
        return self._starts[bisect_right(self._starts, offset) - 1]

    def _line(self, line: int) -> str:
        end = self._starts[line + 1] if line + 1 < len(self._starts) else len(self.content)
        return self.content[self._starts[line] : end].rstrip("\r\n")


@lru_cache(maxsize=8)
def text_of(content: str, encoding: str) -> Text:
    """The text of a file that several places are looked up in."""
    return Text(content, encoding)
