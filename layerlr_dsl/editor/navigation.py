"""Definitions and references of lets and groups; the files that a document names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from layerlr_dsl.editor.findings import Elsewhere, Here
from layerlr_dsl.editor.mentions import Mention, mentions
from layerlr_dsl.editor.session import Session
from layerlr_dsl.editor.text import text_of
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.records import record


@record
class Occurrence:
    """A mention, the statement that it is in, and where it is."""

    mention: Mention
    statement: s.Statement
    place: Here | Elsewhere


def occurrences(session: Session) -> Iterator[Occurrence]:
    """Every mention in the document, then every one in the files that it includes."""
    for _, statement in session.pieces.statements():
        for mention in mentions(statement):
            yield Occurrence(mention, statement, _here(mention.span))
    brought = session.checker.includes.statements.values()
    for statements in brought:
        for statement in statements:
            for mention in mentions(statement):
                yield Occurrence(mention, statement, _elsewhere(mention.span, session.text.encoding))


def occurrence_at(session: Session, offset: int) -> Occurrence | None:
    """The let or group at an offset of the document, if it is defined anywhere."""
    piece = session.pieces.at(offset)
    if piece is None or piece.statement is None:
        return None
    inside = offset - piece.fragment.start
    for mention in mentions(piece.statement):
        if mention.span.start - (mention.kind == "group") <= inside <= mention.span.end:
            found = Occurrence(mention, piece.statement, _here(mention.span))
            return found if definition(session, mention) is not None else None
    return None


_WORD = re.compile(r"@?\w+")


def word_at(session: Session, offset: int) -> tuple[str, Here] | None:
    """The word at an offset and where it is, in a statement that cannot be read as in any other."""
    text = session.text.content
    line = text.rfind("\n", 0, offset) + 1
    for found in _WORD.finditer(text, line):
        if found.start() > offset:
            return None
        if offset <= found.end():
            return found[0], Here(None, found.start(), found.end())
    return None


def home_of(session: Session, word: str) -> Occurrence | None:
    """Where the let or the group (`@name`) that a word names is defined."""
    kind, name = ("group", word[1:]) if word.startswith("@") else ("let", word)
    defined = (o for o in occurrences(session) if o.mention.defines)
    return next((o for o in defined if (o.mention.kind, o.mention.name) == (kind, name)), None)


def definition(session: Session, mention: Mention) -> Occurrence | None:
    """Where a let or group is defined; of several definitions, the first counts."""
    return next((o for o in occurrences(session) if o.mention.defines and same(o.mention, mention)), None)


def references(session: Session, mention: Mention, definitions_too: bool) -> list[Occurrence]:
    """Every place that speaks of the same let or group."""
    return [
        o
        for o in occurrences(session)
        if same(o.mention, mention) and (definitions_too or not o.mention.defines)
    ]


def named_file(session: Session, offset: int) -> Path | None:
    """The file that the include or model statement at an offset names."""
    piece = session.pieces.at(offset)
    if piece is None or session.path is None:
        return None
    statement = piece.statement
    if isinstance(statement, s.IncludeStatement):
        sources = session.checker.includes.sources.get(id(piece)) or (
            piece.included.sources[1:] if piece.included is not None else []
        )
        return sources[0].path if sources else None
    if isinstance(statement, s.ModelStatement) and statement.spec.value.endswith(".json"):
        path = (session.root or session.path.parent) / statement.spec.value
        return path if path.is_file() else None
    return None


def same(one: Mention, other: Mention) -> bool:
    return one.kind == other.kind and one.name == other.name


def _here(span: Span) -> Here:
    shift = getattr(span.source, "start", 0)
    return Here(None, span.start + shift, span.end + shift)


def _elsewhere(span: Span, encoding: str) -> Elsewhere:
    source = span.source
    text = text_of(source.text, encoding)
    return Elsewhere(
        str(source.path or source.name), source.name, (*text.place(span.start), *text.place(span.end))
    )
