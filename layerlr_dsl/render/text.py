"""Findings as a person reads them: code and message, place, source with carets, related places, help."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from layerlr_dsl.language.diagnostics import Diagnostic, Related
from layerlr_dsl.language.source import Position, Span
from layerlr_dsl.tools.cells import cells, wrap
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.screen import Screen


def render(diagnostic: Diagnostic, screen: Screen) -> str:
    """One finding, several lines, no line end after the last."""
    places = [diagnostic.span, *(related.span for related in diagnostic.related)]
    gutter = max((len(str(span.last.line)) for span in places if span is not None), default=1)
    lines = _title(diagnostic, screen)
    if diagnostic.span is not None:
        lines += _place("-->", diagnostic.span, gutter, screen)
        lines += _source(diagnostic.span, "^", diagnostic.severity, "", gutter, screen)
    for related in diagnostic.related:
        lines += _related(related, diagnostic, gutter, screen)
    notes = _notes(diagnostic, screen)
    if notes and diagnostic.span is not None:
        lines.append(_bar(gutter, screen))
    return "\n".join(lines + notes)


def render_all(diagnostics: Iterable[Diagnostic], screen: Screen) -> str:
    """All findings, an empty line between two."""
    return "\n\n".join(render(diagnostic, screen) for diagnostic in diagnostics)


def underlined(span: Span, screen: Screen) -> list[str]:
    """The source of a place, set in, with carets below."""
    marks = excerpt(span, screen.width - 4, screen.ellipsis)
    rows = ((mark.text, " " * mark.left + "^" * (mark.right - mark.left)) for mark in marks)
    return [f"    {line}" for row in rows for line in row]


def labelled(label: str, text: str, screen: Screen, style: str | None = None) -> list[str]:
    """`label: text`, wrapped, the lines after the first set in by the label's width where there is room."""
    head = f"{label}: "
    deep = cells(head) if screen.width >= 40 else 2
    lines = wrap(escape(text), screen.width, cells(head), " " * deep)
    return [screen.paint(f"{label}:", style or label) + " " + lines[0], *lines[1:]]


def _title(diagnostic: Diagnostic, screen: Screen) -> list[str]:
    head = f"{diagnostic.severity}[{diagnostic.code}]"
    lines = wrap(escape(diagnostic.message), screen.width, cells(head) + 2, "  ")
    first = screen.paint(head, diagnostic.severity) + screen.paint(":", "bold")
    return [f"{first} {screen.paint(lines[0], 'bold')}", *(screen.paint(line, "bold") for line in lines[1:])]


def _bar(gutter: int, screen: Screen) -> str:
    return " " * gutter + " " + screen.paint("|", "gutter")


def _place(arrow: str, span: Span, gutter: int, screen: Screen) -> list[str]:
    at = span.first
    return [
        f"{' ' * gutter}{screen.paint(arrow, 'gutter')} {escape(span.source.name)}:{at.line}:{at.column}",
        _bar(gutter, screen),
    ]


def _source(span: Span, sign: str, style: str, label: str, gutter: int, screen: Screen) -> list[str]:
    lines: list[str] = []
    before: int | None = None
    for mark in excerpt(span, screen.width - gutter - 3, screen.ellipsis):
        if before is not None and mark.number > before + 1:
            lines.append(screen.paint("...", "gutter"))
        before = mark.number
        number = screen.paint(f"{mark.number:>{gutter}} |", "gutter")
        lines.append(f"{number} {mark.text}".rstrip())
        carets = " " * mark.left + screen.paint(sign * (mark.right - mark.left), style)
        lines.append(f"{_bar(gutter, screen)} {carets}")
        reach = gutter + 3 + mark.right
    if not label:
        return lines
    if reach + 1 + cells(label) <= screen.width:
        lines[-1] += " " + screen.paint(label, style)
        return lines
    set_in = gutter + 3
    for line in wrap(label, screen.width - set_in):
        lines.append(f"{_bar(gutter, screen)} {screen.paint(line, style)}")
    return lines


def _related(related: Related, to: Diagnostic, gutter: int, screen: Screen) -> list[str]:
    lines = [_bar(gutter, screen)] if to.span is not None else []
    lines += _place(":::", related.span, gutter, screen)
    return lines + _source(related.span, "-", "gutter", escape(related.message), gutter, screen)


def _notes(diagnostic: Diagnostic, screen: Screen) -> list[str]:
    lines: list[str] = []
    if diagnostic.help:
        lines += labelled("help", diagnostic.help, screen)
    fix = diagnostic.fix
    if fix is not None and fix.safe:
        lines += labelled("fix", f"{fix.message} (`validate --fix` does it)", screen, "help")
    return lines


# ---------------------------------------------------------------- the source below a finding


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
