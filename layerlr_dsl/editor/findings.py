"""Findings tied to the statements they speak of, so that they move along when the text does."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from layerlr_dsl.editor.incremental_parsing import Fragment, Piece, Pieces
from layerlr_dsl.editor.text import text_of
from layerlr_dsl.language.diagnostics import Diagnostic, Fix
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.records import record


@record
class Here:
    """A range of the document: of one statement, and gone with it, or of no statement in particular."""

    piece: Piece | None
    first: int
    last: int

    @property
    def gone(self) -> bool:
        return self.piece is not None and not self.piece.alive

    @property
    def start(self) -> int:
        return self.first + (self.piece.fragment.start if self.piece is not None else 0)

    @property
    def end(self) -> int:
        return self.last + (self.piece.fragment.start if self.piece is not None else 0)


@record
class Elsewhere:
    """A range of another file: first line and column, last line and column, as the client counts."""

    path: str
    name: str
    range: tuple[int, int, int, int]


@record
class Change:
    """A fix: each range of the document with what to write there."""

    message: str
    edits: tuple[tuple[Here, str], ...]
    safe: bool

    @property
    def gone(self) -> bool:
        return any(here.gone for here, _ in self.edits)


@record
class Finding:
    """A finding as it is published. `place` is None where it belongs to no text."""

    code: str
    severity: str
    message: str
    help: str | None
    place: Here | Elsewhere | None
    related: tuple[tuple[str, Here | Elsewhere], ...] = ()
    change: Change | None = None

    @property
    def gone(self) -> bool:
        return isinstance(self.place, Here) and self.place.gone


class Makers:
    """Makes findings for one document from what its own process finds."""

    def __init__(self, pieces: Pieces, encoding: str) -> None:
        self.pieces = pieces
        self.encoding = encoding

    def finding(self, found: Diagnostic) -> Finding:
        return Finding(
            found.code,
            found.severity,
            found.message,
            found.help,
            None if found.span is None else self.place(found.span),
            tuple((related.message, self.place(related.span)) for related in found.related),
            None if found.fix is None else self._change(found.fix),
        )

    def place(self, span: Span) -> Here | Elsewhere:
        source = span.source
        if isinstance(source, Fragment):
            return Here(None, span.start + source.start, span.end + source.start)
        if source.name == self.pieces.name and source.path == self.pieces.path:
            return Here(None, span.start, span.end)
        text = text_of(source.text, self.encoding)
        return Elsewhere(
            str(source.path or source.name), source.name, (*text.place(span.start), *text.place(span.end))
        )

    def _change(self, fix: Fix) -> Change | None:
        edits = []
        for edit in fix.edits:
            place = self.place(edit.span)
            if isinstance(place, Elsewhere):
                return None
            edits.append((place, edit.replacement))
        return Change(fix.message, tuple(edits), fix.safe)


class Snapshot:
    """Where every statement stood when a text was sent away, to place what comes back about it."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = list(pieces.pieces)
        self._starts = [piece.fragment.start for piece in self._pieces]

    def place(self, data: dict[str, Any]) -> Here | Elsewhere:
        if "file" in data:
            first, second, third, fourth = data["range"]
            return Elsewhere(data["file"], data["name"], (first, second, third, fourth))
        return self.here(data["start"], data["end"])

    def here(self, start: int, end: int) -> Here:
        number = bisect_right(self._starts, start) - 1
        if number >= 0:
            piece, shift = self._pieces[number], self._starts[number]
            if end <= shift + piece.length:
                return Here(piece, start - shift, end - shift)
        return Here(None, start, end)

    def finding(self, data: dict[str, Any]) -> Finding:
        return Finding(
            data["code"],
            data["severity"],
            data["message"],
            data["help"],
            None if data["place"] is None else self.place(data["place"]),
            tuple((r["message"], self.place(r["place"])) for r in data["related"]),
            None if data["fix"] is None else self._change(data["fix"]),
        )

    def _change(self, fix: dict[str, Any]) -> Change:
        edits = tuple((self.here(e["place"]["start"], e["place"]["end"]), e["new"]) for e in fix["edits"])
        return Change(fix["message"], edits, fix["safe"])
