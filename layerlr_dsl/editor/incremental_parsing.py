"""A rule text as statements that are read one at a time, and again only where the text changed.

Each statement is read as a source of its own, so its spans stay right wherever it moves to. What a
change leaves alone is kept, object for object, and so is everything that was found out about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from sys import maxsize
from time import perf_counter

from layerlr_dsl.language.checked import PatternItem
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.includes import Expansion
from layerlr_dsl.language.parser import parse_first
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.language.syntax import Damaged, Statement

_TRIVIA = re.compile(r"(?:[ \t\r\f\ufeff\n;]+|\\[ \t\r]*\n|#[^\n]*)+")
# How far the parser may look behind the end of a statement that it could not read: past blank lines and
# comments to the first sign of the next line.
_LOOKED_AT = re.compile(r"[^\n]*\n?(?:[ \t\r]*(?:#[^\n]*)?\n)*[ \t\r]*(?:#[^\n]*|\S)?")
_LOOKS_ON = re.compile(r"[(,]|then")
# Nothing that is written behind this belongs to the statement before it. A `;` does not do: it may be part of
# a comment that goes on, as the line break may be part of a `\`.
_OVER = re.compile(r"[^\\ \t\r][ \t\r]*\n\Z")
UNKNOWN = -1


@dataclass(eq=False)
class Fragment(Source):
    """The text of one statement, its indent included; `start` is where it stands in the document at present."""

    start: int = 0


@dataclass(eq=False, slots=True)
class Piece:
    """One statement with what its own text tells of it.

    `indent`, `length` (indent included) and `reach` are relative to the fragment. A change at or behind
    `reach` cannot change how the piece reads (UNKNOWN: any may).
    """

    fragment: Fragment
    indent: int
    length: int
    reach: int
    statement: Statement | None
    damage: Damaged | None
    syntax: tuple[Diagnostic, ...]
    stale: bool = False
    """The text that it was read from has changed."""
    loose: bool = False
    """The text between it and the piece before has changed."""
    alive: bool = True
    pending: bool = True
    """What is said of it may be out of date: it has not been checked in its present surroundings."""
    checked: tuple[Diagnostic, ...] = ()
    items: tuple[PatternItem, ...] = ()
    """The patterns in its selectors."""
    included: Expansion | None = None
    """What its `include` brings in."""

    @property
    def start(self) -> int:
        return self.fragment.start + self.indent

    @property
    def end(self) -> int:
        return self.fragment.start + self.length


class Pieces:
    """The statements of a document, kept in step with its text."""

    def __init__(self, name: str, path: Path | None) -> None:
        self.name = name
        self.path = path
        self.text = ""
        self.pieces: list[Piece] = []
        self._known = 0
        """How many pieces from the start are sure to be right."""
        self._tail_loose = False

    @property
    def complete(self) -> bool:
        """Whether the whole text has been read."""
        return self._known == len(self.pieces) and not self._tail_loose

    def edit(self, start: int, end: int, new: str) -> None:
        """Replace `[start, end)` of the text; what that may affect is read again by `read`."""
        shift = len(new) - (end - start)
        line = self.text.rfind("\n", 0, end) + 1
        self.text = self.text[:start] + new + self.text[end:]
        first_behind = None
        for number, piece in enumerate(self.pieces):
            if piece.start >= end:
                if first_behind is None:
                    first_behind = number
                    piece.loose = True
                    self._known = min(self._known, number)
                if piece.damage is not None and self._begins_on(piece, line, end):
                    piece.stale = True
                piece.fragment.start += shift
            elif piece.reach == UNKNOWN or piece.fragment.start + piece.reach > start:
                piece.stale = True
                piece.fragment.start = min(piece.start, start) - piece.indent
                self._known = min(self._known, number)
        if first_behind is None:
            self._tail_loose = True

    def _begins_on(self, piece: Piece, line: int, end: int) -> bool:
        """Whether the changed line is the one that a damaged piece begins on: its indent may count."""
        return "\n" not in self.text[line : piece.start] if piece.start >= line else False

    def read(self, seconds: float = float("inf")) -> bool:
        """Read on for so long; True once everything is read."""
        until = perf_counter() + seconds
        while not self.complete:
            self._advance()
            if perf_counter() >= until:
                return self.complete
        return True

    def _advance(self) -> None:
        """Keep the next piece if it is still right, else read a statement in its place."""
        pieces, known = self.pieces, self._known
        if known < len(pieces) and not pieces[known].stale and not pieces[known].loose:
            self._known += 1
            return
        at = self._behind_trivia(pieces[known - 1].end if known else 0)
        self._drop_until(at)
        if known < len(pieces) and pieces[known].start == at and not pieces[known].stale:
            pieces[known].loose = False
            self._known += 1
        elif at >= len(self.text):
            self._drop_until(maxsize)
            self._tail_loose = False
        else:
            piece = read_piece(self.text, at, self.name, self.path)
            self._drop_until(piece.end)
            pieces.insert(known, piece)
            self._known += 1
            if known + 1 < len(pieces):
                pieces[known + 1].loose = True
            else:
                self._tail_loose = True

    def _behind_trivia(self, at: int) -> int:
        blank = _TRIVIA.match(self.text, at)
        return blank.end() if blank else at

    def _drop_until(self, at: int) -> None:
        pieces, known = self.pieces, self._known
        gone = known
        while gone < len(pieces) and pieces[gone].start < at:
            pieces[gone].alive = False
            gone += 1
        del pieces[known:gone]

    # ------------------------------------------------------------ asking

    def at(self, offset: int) -> Piece | None:
        """The piece at an offset, or right before it."""
        found = None
        for piece in self.pieces:
            if piece.start > offset:
                break
            found = piece
        return found if found is not None and offset <= found.end else None

    def statements(self) -> Iterator[tuple[Piece, Statement]]:
        for piece in self.pieces:
            if piece.statement is not None:
                yield piece, piece.statement


def read_piece(text: str, at: int, name: str, path: Path | None) -> Piece:
    """Read the statement that begins at `at`."""
    line = text.rfind("\n", 0, at) + 1
    # Where a damaged statement ends depends on its indent.
    begin = line if text[line:at].isspace() else at
    fragment = Fragment(name, text[begin:], path, begin)
    file, found, length = parse_first(fragment)
    damage = file.damaged[0] if file.damaged else None
    # A statement that was given up ends before the sign that ends it, any other behind it.
    given_up = damage is not None and file.damaged[-1].span.end == length
    reach = length
    if given_up:
        reach = _reach(text, at, begin + length, begin)
    elif begin + length == len(text) and not _OVER.search(text, begin):
        reach = length + 1
    fragment.text = fragment.text[:length]
    statement = file.statements[0] if file.statements else None
    return Piece(fragment, at - begin, length, reach, statement, damage, found)


def _reach(text: str, start: int, end: int, begin: int) -> int:
    # An open parenthesis, or a comma or `then` with nothing behind it, makes the parser look for what may
    # belong to it.
    if _LOOKS_ON.search(text, start, end + 1):
        return UNKNOWN
    looked = _LOOKED_AT.match(text, end)
    return (looked.end() if looked else end) - begin + 1


def document_offset(span: Span) -> tuple[int, int]:
    """A span of a fragment as offsets in the document."""
    shift = span.source.start if isinstance(span.source, Fragment) else 0
    return span.start + shift, span.end + shift
