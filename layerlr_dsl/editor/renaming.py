"""Renaming a let or a group in all files that are known to share it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.editor.findings import Elsewhere, Here
from layerlr_dsl.editor.mentions import Mention, mentions
from layerlr_dsl.editor.navigation import Occurrence, definition, occurrences, same
from layerlr_dsl.editor.session import Session
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.names import RESERVED
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source

_NAME = re.compile(r"[^\W\d]\w*")


class CannotRename(Exception):
    """Why a name cannot be changed, for the user."""


def new_name(mention: Mention, new: str) -> str:
    """The bare name: a group may be given with its sign."""
    return new.removeprefix("@") if mention.kind == "group" else new


def rename(
    session: Session, opened: Iterable[Session], mention: Mention, new: str
) -> list[tuple[Session, Here | Elsewhere]]:
    """The places where the new name must be written, each with a session that knows its file.

    They are in the document, in the files that it includes, and in open documents that share the
    definition with it. Raises CannotRename where the new name would not do in one of them.
    """
    new = new_name(mention, new)
    if not _NAME.fullmatch(new):
        raise CannotRename(f"`{new}` is no name: letters, digits and `_`, not beginning with a digit")
    if mention.kind == "let" and new in RESERVED:
        raise CannotRename(f"`{new}` is a word of the language")
    if mention.kind == "optimizer" and (new == "default" or optimizers.find_unimported(new) is not None):
        raise CannotRename(f"`{new}` is the name of an optimizer itself")
    every = _known(_sharing(session, list(opened), mention))
    if any(o.mention.defines and o.mention.kind == mention.kind and o.mention.name == new for _, o in every):
        raise CannotRename(f"there is a {mention.kind} `{new}` already")
    chosen = [(owner, found) for owner, found in every if same(found.mention, mention)]
    _refuse_damage([found for _, found in chosen], new)
    return [(owner, found.place) for owner, found in chosen]


def _sharing(session: Session, opened: list[Session], mention: Mention) -> list[Session]:
    """Open documents that see the same definition, with those among the files that they include."""
    home = definition(session, mention)
    place = home.place if home is not None else None
    file = Path(place.path).resolve() if isinstance(place, Elsewhere) else _own(session)
    sharing = [one for one in opened if one is session or (file is not None and file in _files(one))]
    files = set().union(*map(_files, sharing))
    return [one for one in opened if one in sharing or _own(one) in files]


def _known(sessions: list[Session]) -> list[tuple[Session, Occurrence]]:
    """Every mention in these documents and their includes; an open document answers for its own file."""
    opened = {_own(session) for session in sessions}
    seen: set[tuple[str, tuple[int, ...]]] = set()
    known = []
    for session in sessions:
        for found in occurrences(session):
            place = found.place
            if isinstance(place, Elsewhere):
                key = (place.path, place.range)
                if key in seen or Path(place.path).resolve() in opened:
                    continue
                seen.add(key)
            known.append((session, found))
    return known


def _own(session: Session) -> Path | None:
    return session.path.resolve() if session.path is not None else None


def _files(session: Session) -> set[Path]:
    brought = [source.path for sources in session.checker.includes.sources.values() for source in sources]
    return {path.resolve() for path in (session.path, *brought) if path is not None}


def _refuse_damage(found: list[Occurrence], new: str) -> None:
    """Refuse a name that changes how one of the statements reads: a word of the place, or a capture."""
    grouped: dict[int, list[Mention]] = defaultdict(list)
    statements = {id(one.statement): one.statement for one in found}
    for one in found:
        grouped[id(one.statement)].append(one.mention)
    for key, statement in statements.items():
        if not _reads(statement, grouped[key], new):
            line = statement.span.excerpt
            raise CannotRename(f"`{new}` would mean something else in `{line}`")


def _reads(statement: s.Statement, changed: list[Mention], new: str) -> bool:
    """Whether the statement, with the mentions changed, is the same but for the name."""
    start, text = statement.span.start, statement.span.text
    for mention in sorted(changed, key=lambda one: one.span.start, reverse=True):
        text = text[: mention.span.start - start] + new + text[mention.span.end - start :]
    file, faults = parse(Source("renamed", text))
    if faults or len(file.statements) != 1:
        return False
    spans = [one.span for one in changed]
    wanted = [(one.kind, new if one.span in spans else one.name) for one in mentions(statement)]
    return [(one.kind, one.name) for one in mentions(file.statements[0])] == wanted
