"""Starting the server, and the requests of the protocol, each handed to the module that knows the answer."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import defaultdict
from time import perf_counter
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from layerlr_dsl.editor import completion as completing
from layerlr_dsl.editor import hover as hovering
from layerlr_dsl.editor import navigation, outline, renaming, wire
from layerlr_dsl.editor import tokens as colours
from layerlr_dsl.editor.link import LinkDown
from layerlr_dsl.editor.server import Server, Settings
from layerlr_dsl.editor.session import Session

_SLICE = 0.02
"""Seconds after which others are let in."""
TRIGGERS = [".", "@", '"', "(", "=", ">"]


def make_server() -> Server:
    """A server with every feature, not yet started."""
    server = Server()
    register(server)
    return server


def main() -> int:
    """Serve over standard input and output until the client says `exit` or goes away; the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(levelname)s: %(message)s")
    client = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever a library prints must not end up among the messages.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    warm_up()
    server = make_server()
    try:
        server.start_io(stdout=client)
    finally:
        server.kill()
    return server.status


def warm_up() -> None:
    """Load what the first document would wait for."""
    Session("", None, "optimizer adamw\nschedule cosine\n** where ndim > 1 -> lr 1e-3 until epoch 1\n").work()


def register(server: Server) -> None:
    """Give the server its features."""
    feature = server.feature
    feature(types.INITIALIZE)(initialize)
    feature(types.INITIALIZED)(initialized)
    feature(types.SHUTDOWN)(shutdown)
    feature(types.EXIT)(leave)
    feature(types.TEXT_DOCUMENT_DID_SAVE)(did_save)
    feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)(did_save)
    options = types.CompletionOptions(trigger_characters=TRIGGERS)
    feature(types.TEXT_DOCUMENT_COMPLETION, options)(completion)
    feature(types.TEXT_DOCUMENT_HOVER)(hover)
    feature(types.TEXT_DOCUMENT_INLAY_HINT)(inlay_hints)
    legend = types.SemanticTokensLegend(token_types=list(colours.KINDS), token_modifiers=[])
    feature(types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, legend)(semantic_tokens)
    feature(types.TEXT_DOCUMENT_DEFINITION)(definition)
    feature(types.TEXT_DOCUMENT_REFERENCES)(references)
    feature(types.TEXT_DOCUMENT_PREPARE_RENAME)(prepare_rename)
    feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))(rename)
    feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)(document_symbols)
    feature(types.TEXT_DOCUMENT_FORMATTING)(formatting)
    kinds = [types.CodeActionKind.QuickFix, types.CodeActionKind.SourceFixAll]
    feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=kinds))(code_actions)
    feature("layerlr/settled")(settled)
    feature("layerlr/page")(page)
    feature("layerlr/news")(news)


def initialize(server: Server, params: types.InitializeParams) -> None:
    server.settings = Settings.of(params.initialization_options)


def initialized(server: Server, params: types.InitializedParams) -> None:
    server.settle_memory()


async def shutdown(server: Server, params: None) -> None:
    await server.finish()


def leave(server: Server, params: None) -> None:
    server.status = 0 if server.finished else 1


def did_save(server: Server, params: Any) -> None:
    server.look_again()


async def settled(server: Server, params: Any) -> dict[str, Any] | None:
    """Wait until all that can be known of a document is known; its text and version then."""
    session = await server.settled(params.uri)
    if session is None:
        return None
    return {"text": session.text.content, "version": session.version, "model": session.model_state}


async def page(server: Server, params: Any) -> str | None:
    """The picture of a document as a page that goes on by messages: what `news` gives for it."""
    return await _painted(server, params.uri, before=None)  # type: ignore[no-any-return]


async def news(server: Server, params: Any) -> dict[str, Any] | None:
    """What is new for the page of a document; `drawn` says whether a picture is on it already."""
    return await _painted(server, params.uri, before=bool(params.drawn))  # type: ignore[no-any-return]


async def _painted(server: Server, uri: str, before: bool | None) -> Any:
    session = await server.settled(uri)
    if session is None:
        return None
    try:
        return await server.painter.ask("picture", before=before, **server.request(session))
    except LinkDown:
        return None


# ---------------------------------------------------------------- asking


def _offset(session: Session, position: types.Position) -> int:
    return session.text.offset(position.line, position.character)


async def completion(server: Server, params: types.CompletionParams) -> types.CompletionList | None:
    session = await server.ready(params.text_document.uri)
    if session is None:
        return None
    offset = _offset(session, params.position)
    found = completing.suggestions(session, offset)
    items = [wire.completion_item(session, one, offset, place) for place, one in enumerate(found)]
    return types.CompletionList(is_incomplete=len(found) >= completing.MOST, items=items)


async def hover(server: Server, params: types.HoverParams) -> types.Hover | None:
    session = await server.ready(params.text_document.uri)
    found = hovering.hover(session, _offset(session, params.position)) if session is not None else None
    if session is None or found is None:
        return None
    contents = types.MarkupContent(types.MarkupKind.Markdown, found.text)
    return types.Hover(contents, wire.range_of(session, found.place))


async def inlay_hints(server: Server, params: types.InlayHintParams) -> list[types.InlayHint]:
    session = await server.ready(params.text_document.uri)
    if session is None:
        return []
    start, end = _offset(session, params.range.start), _offset(session, params.range.end)
    return [wire.inlay_hint(session, hint) for hint in outline.hints(session, start, end)]


async def semantic_tokens(server: Server, params: types.SemanticTokensParams) -> types.SemanticTokens | None:
    session = await server.ready(params.text_document.uri)
    if session is None or session.large:
        return None
    text, data, before, since = session.text, list[int](), (0, 0), perf_counter()
    for statement in colours.words(session):
        for word in statement:
            place, end = text.place(word.start), text.place(word.end)
            line = place[0] - before[0]
            column = place[1] - (before[1] if line == 0 else 0)
            data += [line, column, end[1] - place[1], colours.KINDS.index(word.kind), 0]
            before = place
        if perf_counter() - since > _SLICE:
            await asyncio.sleep(0)
            since = perf_counter()
            if session.text is not text:
                return None
    return types.SemanticTokens(data=data)


async def document_symbols(server: Server, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
    session = await server.ready(params.text_document.uri)
    if session is None:
        return []
    return [wire.symbol(session, found) for found in outline.symbols(session)]


# ---------------------------------------------------------------- going


async def definition(server: Server, params: types.DefinitionParams) -> types.Location | None:
    session = await server.ready(params.text_document.uri)
    if session is None:
        return None
    offset = _offset(session, params.position)
    found = navigation.occurrence_at(session, offset)
    if found is not None:
        home = navigation.definition(session, found.mention)
        return wire.location(session, home.place) if home is not None else None
    piece = session.pieces.at(offset)
    if piece is None or piece.statement is None:
        word = navigation.word_at(session, offset)
        home = None if word is None else navigation.home_of(session, word[0])
        return wire.location(session, home.place) if home is not None else None
    path = navigation.named_file(session, offset)
    start = types.Position(0, 0)
    return types.Location(wire.uri_of(path), types.Range(start, start)) if path is not None else None


async def references(server: Server, params: types.ReferenceParams) -> list[types.Location]:
    session = await server.ready(params.text_document.uri)
    found = None if session is None else navigation.occurrence_at(session, _offset(session, params.position))
    if session is None or found is None:
        return []
    every = navigation.references(session, found.mention, params.context.include_declaration)
    return [wire.location(session, one.place) for one in every]


async def prepare_rename(server: Server, params: types.PrepareRenameParams) -> types.Range | None:
    session = await server.ready(params.text_document.uri)
    found = None if session is None else navigation.occurrence_at(session, _offset(session, params.position))
    return None if session is None or found is None else wire.location(session, found.place).range


async def rename(server: Server, params: types.RenameParams) -> types.WorkspaceEdit | None:
    session = await server.ready(params.text_document.uri)
    found = None if session is None else navigation.occurrence_at(session, _offset(session, params.position))
    if session is None or found is None:
        return None
    # What is on disk now is what the edits must fit.
    server.look_again()
    for uri in list(server.documents):
        await server.ready(uri)
    try:
        places = renaming.rename(session, server.sessions(), found.mention, params.new_name)
    except renaming.CannotRename as reason:
        raise JsonRpcInvalidParams(str(reason)) from None
    new = renaming.new_name(found.mention, params.new_name)
    changes: dict[str, list[types.TextEdit]] = defaultdict(list)
    for owner, place in places:
        where = wire.location(owner, place)
        changes[where.uri].append(types.TextEdit(where.range, new))
    return types.WorkspaceEdit(changes=changes)


# ---------------------------------------------------------------- changing


async def formatting(server: Server, params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
    """The one canonical layout; None while the text has syntax errors, which nobody can lay out."""
    session = await server.ready(params.text_document.uri)
    if session is None:
        return None
    old = session.text
    try:
        new = await server.formatter.ask("format", text=old.content, name=session.name)
    except LinkDown:
        return None
    if new is None or new == old.content or session.text is not old:
        return None
    whole = types.Range(types.Position(0, 0), types.Position(*old.place(len(old))))
    return [types.TextEdit(whole, new)]


async def code_actions(server: Server, params: types.CodeActionParams) -> list[types.CodeAction]:
    session = await server.ready(params.text_document.uri)
    if session is None:
        return []
    only = params.context.only
    actions = wire.code_actions(session, params.range)
    return [a for a in actions if only is None or any(_is_kind(a.kind, wanted) for wanted in only)]


def _is_kind(kind: types.CodeActionKind | str | None, wanted: types.CodeActionKind | str) -> bool:
    have, want = (str(getattr(k, "value", k) or "") for k in (kind, wanted))
    return have == want or have.startswith(f"{want}.")
