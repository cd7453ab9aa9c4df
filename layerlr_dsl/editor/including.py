"""What included files bring into a document, read from disk again only when they have changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from layerlr_dsl.editor.incremental_parsing import Piece
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.includes import Expansion, expand
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.language.syntax import IncludeStatement, Statement

Stamp = tuple[tuple[str, int, int], ...]


class Includes:
    """The include statements of one document; a file that several of them bring in counts once."""

    def __init__(self, path: Path | None, root: Path | None) -> None:
        self._own = path.resolve() if path is not None else None
        self._root = root
        self._stamps: dict[int, tuple[Piece, Stamp | None]] = {}
        self.statements: dict[int, list[Statement]] = {}
        """By id of an include's piece: the statements that it lays in its place."""
        self.diagnostics: dict[int, list[Diagnostic]] = {}
        self.lost: dict[int, dict[str, Span]] = {}
        """Names that went with statements which could not be read."""
        self.sources: dict[int, list[Source]] = {}

    def refresh(self, pieces: Iterable[Piece]) -> bool:
        """Read what has changed on disk; whether anything has."""
        own = [piece for piece in pieces if isinstance(piece.statement, IncludeStatement)]
        changed = [piece for piece in own if self._outdated(piece)]
        for piece in changed:
            piece.included = expand(piece.fragment, self._root)
            self._stamps[id(piece)] = (piece, _stamp(piece.included))
        gone = self._stamps.keys() - {id(piece) for piece in own}
        for key in gone:
            del self._stamps[key]
        if changed or gone:
            self._lay(own)
        return bool(changed or gone)

    def piece_of(self, source: Source) -> int | None:
        """The id of the piece by which a file came in."""
        return next((key for key, sources in self.sources.items() if _has(sources, source)), None)

    def _outdated(self, piece: Piece) -> bool:
        kept = self._stamps.get(id(piece))
        if kept is None or piece.included is None or kept[1] is None:
            return True
        return kept[1] != _stamp(piece.included)

    def _lay(self, own: list[Piece]) -> None:
        self.statements, self.diagnostics, self.lost, self.sources = {}, {}, {}, {}
        seen = {self._own}
        for piece in own:
            laid = piece.included
            assert laid is not None
            new = {source.path for source in laid.sources[1:]} - seen
            self.sources[id(piece)] = [source for source in laid.sources[1:] if source.path in new]
            self.statements[id(piece)] = [x for x, _ in laid.statements if x.span.source.path in new]
            self.diagnostics[id(piece)] = [
                d
                for d in laid.diagnostics
                if d.span is not None and (d.span.source is piece.fragment or d.span.source.path in new)
            ]
            self.lost[id(piece)] = laid.lost
            seen |= new


def _has(sources: list[Source], source: Source) -> bool:
    return any(one is source or (one.path is not None and one.path == source.path) for one in sources)


def _stamp(expansion: Expansion) -> Stamp | None:
    """The state on disk of all files that came in; None where one is missing and may turn up any time."""
    if any(d.code in ("LR113", "LR114") for d in expansion.diagnostics):
        return None
    stamp = []
    for source in expansion.sources[1:]:
        try:
            assert source.path is not None
            status = source.path.stat()
        except OSError:
            return None
        stamp.append((str(source.path), status.st_mtime_ns, status.st_size))
    return tuple(stamp)
