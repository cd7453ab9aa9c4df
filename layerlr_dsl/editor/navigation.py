"""Definitions, references and renaming of lets and groups; the files that a document names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from layerlr_dsl.editor.nodes import Mention, mentions
from layerlr_dsl.editor.session import Session
from layerlr_dsl.editor.shown import Elsewhere, Here
from layerlr_dsl.editor.text import Text
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checker import RESERVED
from layerlr_dsl.language.source import Span

_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A mention and where it is."""

    mention: Mention
    place: Here | Elsewhere


class CannotRename(Exception):
    """Why a name cannot be changed, for the user."""


def occurrences(session: Session) -> Iterator[Occurrence]:
    """Every mention in the document, then every one in the files that it includes."""
    for _, statement in session.pieces.statements():
        for mention in mentions(statement):
            yield Occurrence(mention, _here(mention.span))
    brought = session.judge.includes.statements.values()
    for statements in brought:
        for statement in statements:
            for mention in mentions(statement):
                yield Occurrence(mention, _elsewhere(mention.span, session.text.encoding))


def occurrence_at(session: Session, offset: int) -> Occurrence | None:
    """The let or group at an offset of the document, if it is defined anywhere."""
    piece = session.pieces.at(offset)
    if piece is None or piece.statement is None:
        return None
    inside = offset - piece.fragment.start
    for mention in mentions(piece.statement):
        if mention.span.start - (mention.kind == "group") <= inside <= mention.span.end:
            found = Occurrence(mention, _here(mention.span))
            return found if definition(session, mention) is not None else None
    return None


def definition(session: Session, mention: Mention) -> Occurrence | None:
    """Where a let or group is defined; of several definitions, the first counts."""
    return next((o for o in occurrences(session) if o.mention.defines and _same(o.mention, mention)), None)


def references(session: Session, mention: Mention, definitions_too: bool) -> list[Occurrence]:
    """Every place that speaks of the same let or group."""
    return [
        o
        for o in occurrences(session)
        if _same(o.mention, mention) and (definitions_too or not o.mention.defines)
    ]


def rename(session: Session, mention: Mention, new: str) -> list[Here]:
    """The places where the new name must be written. Raises CannotRename."""
    new = new.removeprefix("@") if mention.kind == "group" else new
    if not _NAME.fullmatch(new):
        raise CannotRename(f"`{new}` is no name: letters, digits and `_`, not beginning with a digit")
    if mention.kind == "let" and new in RESERVED:
        raise CannotRename(f"`{new}` is a word of the language")
    every = list(occurrences(session))
    if any(o.mention.defines and o.mention.kind == mention.kind and o.mention.name == new for o in every):
        raise CannotRename(f"there is a {mention.kind} `{new}` already")
    places = []
    for found in every:
        if _same(found.mention, mention):
            if isinstance(found.place, Elsewhere):
                raise CannotRename(f"`{mention.name}` is also in {found.place.name}: rename it in each file")
            places.append(found.place)
    return places


def new_name(mention: Mention, new: str) -> str:
    return new.removeprefix("@") if mention.kind == "group" else new


def named_file(session: Session, offset: int) -> Path | None:
    """The file that the include or model statement at an offset names."""
    piece = session.pieces.at(offset)
    if piece is None or session.path is None:
        return None
    statement = piece.statement
    if isinstance(statement, s.IncludeStatement):
        sources = session.judge.includes.sources.get(id(piece)) or (
            piece.included.sources[1:] if piece.included is not None else []
        )
        return sources[0].path if sources else None
    if isinstance(statement, s.ModelStatement) and statement.spec.value.endswith(".json"):
        path = (session.root or session.path.parent) / statement.spec.value
        return path if path.is_file() else None
    return None


def _same(one: Mention, other: Mention) -> bool:
    return one.kind == other.kind and one.name == other.name


def _here(span: Span) -> Here:
    shift = getattr(span.source, "start", 0)
    return Here(None, span.start + shift, span.end + shift)


def _elsewhere(span: Span, encoding: str) -> Elsewhere:
    source = span.source
    text = Text(source.text, encoding)
    return Elsewhere(
        str(source.path or source.name), source.name, (*text.place(span.start), *text.place(span.end))
    )
