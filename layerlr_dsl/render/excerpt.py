"""A few source lines with a span underlined, aligned by terminal cells.

Lines too long for the screen are cut around the span; tabs become blanks; characters
that must not reach a terminal are spelled out, and the carets follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from layerlr_dsl.language.source import Position, Span
from layerlr_dsl.tools.cells import cells
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.records import record

TAB = 4
MOST_LINES = 4
CONTEXT = 12  # cells kept before the span where a line is cut


@dataclass(frozen=True)
class Strip:
    """One source line ready to print: `pieces[k]` shows code point k, from cell `starts[k]` on."""

    text: str

    @property
    def _is_plain(self) -> bool:
        """Whether every character is shown as it is, in one cell."""
        return self.text.isascii() and self.text.isprintable()

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        if self._is_plain:
            return tuple(self.text)
        shown: list[str] = []
        at = 0
        for char in self.text:
            piece = " " * (TAB - at % TAB) if char == "\t" else escape(char)
            shown.append(piece)
            at += cells(piece)
        return tuple(shown)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The first cell of every code point, and one past the last cell of the line."""
        if self._is_plain:
            return tuple(range(len(self.text) + 1))
        at = 0
        found: list[int] = []
        for piece in self.pieces:
            found.append(at)
            at += cells(piece)
        return (*found, at)

    def window(self, first: int, last: int, width: int, ellipsis: str) -> tuple[str, int, int]:
        """The line cut to `width` cells around columns [first, last): its text, and the cells of the span.

        An empty span takes one cell, which may be the one after the line's last.
        """
        starts, length, dots = self.starts, len(self.text), cells(ellipsis)
        left = starts[min(first, length)]
        right = max(starts[min(last, length)], left + 1)
        whole = max(starts[-1], right)
        if whole <= width:
            return "".join(self.pieces), left, right
        want = 0 if right + dots <= width else min(left - min(CONTEXT, width // 3), whole - width + dots)
        begin = next(k for k, start in enumerate(starts) if start >= want)
        head = ellipsis if begin else ""
        room = width - cells(head)
        tail = "" if whole - starts[begin] <= room else ellipsis
        end = begin
        while end < length and starts[end + 1] - starts[begin] <= room - cells(tail):
            end += 1
        shift = cells(head) - starts[begin]
        text = head + "".join(self.pieces[begin:end]) + tail
        return text, min(left + shift, width - 1), min(right + shift, width)


@record
class Marked:
    """One source line to print, and the cells [left, right) of it to underline."""

    number: int
    text: str
    left: int
    right: int


def excerpt(span: Span, width: int, ellipsis: str) -> list[Marked]:
    """The lines of `span` with the cells to underline; the middle of a long span is left out."""
    first, last = span.first, span.last
    if last.column == 1 and last.line > first.line:
        last = span.source.position(span.end - 1)  # the span ends with its line's end
    numbers = list(range(first.line, last.line + 1))
    if len(numbers) > MOST_LINES:
        numbers = [*numbers[: MOST_LINES - 1], numbers[-1]]
    return [_marked(span, number, first, last, width, ellipsis) for number in numbers]


def _marked(span: Span, number: int, first: Position, last: Position, width: int, ellipsis: str) -> Marked:
    line = span.source.line(number)
    begin = first.column - 1 if number == first.line else len(line) - len(line.lstrip())
    end = last.column - 1 if number == last.line else len(line.rstrip())
    reach = 2 * width  # no more of a line than that is ever looked at
    if len(line) > 2 * reach:
        start = max(0, begin - reach)
        line, begin, end = line[start : begin + reach], begin - start, end - start
    text, left, right = Strip(line).window(begin, max(end, begin), width, ellipsis)
    return Marked(number, text, left, right)
