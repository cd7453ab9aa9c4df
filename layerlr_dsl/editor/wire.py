"""From what was found out to what the protocol sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lsprotocol import types

from layerlr_dsl.catalogue.findings import KINDS
from layerlr_dsl.editor.completion import Suggestion
from layerlr_dsl.editor.findings import Elsewhere, Finding, Here
from layerlr_dsl.editor.outline import Hint, Symbol
from layerlr_dsl.editor.session import Session

_UNNECESSARY = 1  # of the protocol: shown faded
_SEVERITIES = {"error": 1, "warning": 2, "info": 4}
"""An info is a hint: shown at the place, not in lists of problems."""
_COMPLETION_KINDS = {
    "keyword": types.CompletionItemKind.Keyword,
    "module": types.CompletionItemKind.Module,
    "parameter": types.CompletionItemKind.Field,
    "group": types.CompletionItemKind.Reference,
    "option": types.CompletionItemKind.Property,
    "class": types.CompletionItemKind.Class,
    "constant": types.CompletionItemKind.Constant,
    "capture": types.CompletionItemKind.Variable,
    "attribute": types.CompletionItemKind.Field,
    "function": types.CompletionItemKind.Function,
    "unit": types.CompletionItemKind.Unit,
    "metric": types.CompletionItemKind.Variable,
    "file": types.CompletionItemKind.File,
}
_SYMBOL_KINDS = {
    "let": types.SymbolKind.Constant,
    "group": types.SymbolKind.Array,
    "optimizer": types.SymbolKind.Class,
    "schedule": types.SymbolKind.Class,
    "model": types.SymbolKind.Module,
    "include": types.SymbolKind.File,
    "rule": types.SymbolKind.Property,
    "freeze": types.SymbolKind.Event,
    "stage": types.SymbolKind.Namespace,
}


def path_of(uri: str) -> Path | None:
    """The file that a URI names, or None for what is no file."""
    from pygls.uris import to_fs_path

    try:
        path = to_fs_path(uri) if uri.startswith("file:") else None
    except ValueError:
        return None
    return Path(path) if path else None


def uri_of(path: Path | str) -> str:
    return Path(path).absolute().as_uri()


def position(session: Session, offset: int) -> types.Position:
    return types.Position(*session.text.place(offset))


def range_of(session: Session, here: Here) -> types.Range:
    return types.Range(position(session, here.start), position(session, here.end))


def range_between(session: Session, start: int, end: int) -> types.Range:
    return types.Range(position(session, start), position(session, end))


def location(session: Session, place: Here | Elsewhere) -> types.Location:
    if isinstance(place, Here):
        return types.Location(session.uri, range_of(session, place))
    first, last = place.range[:2], place.range[2:]
    return types.Location(uri_of(place.path), types.Range(types.Position(*first), types.Position(*last)))


# ---------------------------------------------------------------- diagnostics


def diagnostics(session: Session) -> list[dict[str, Any]]:
    """The findings of a document as plain data, which is quick to write."""
    return [_diagnostic(session, where, finding) for where, finding in session.findings()]


def _diagnostic(session: Session, where: Here, finding: Finding) -> dict[str, Any]:
    message = finding.message
    if isinstance(finding.place, Elsewhere):
        message = f"{finding.place.name}:{finding.place.range[0] + 1}: {message}"
    if finding.help:
        message += f"\nhelp: {finding.help}"
    related = list(finding.related)
    if isinstance(finding.place, Elsewhere):
        related.insert(0, ("here", finding.place))
    data: dict[str, Any] = {
        "range": _range(session, where.start, where.end),
        "severity": _SEVERITIES[finding.severity],
        "code": finding.code,
        "source": "layerlr",
        "message": message,
    }
    shown = [_related(session, *one) for one in related if not (isinstance(one[1], Here) and one[1].gone)]
    if shown:
        data["relatedInformation"] = shown
    if KINDS[finding.code].idle:
        data["tags"] = [_UNNECESSARY]
    return data


def _related(session: Session, message: str, place: Here | Elsewhere) -> dict[str, Any]:
    if isinstance(place, Here):
        where = {"uri": session.uri, "range": _range(session, place.start, place.end)}
    else:
        line, column, last_line, last_column = place.range
        where = {
            "uri": uri_of(place.path),
            "range": {
                "start": {"line": line, "character": column},
                "end": {"line": last_line, "character": last_column},
            },
        }
    return {"location": where, "message": message}


def _range(session: Session, start: int, end: int) -> dict[str, Any]:
    (line, column), (last_line, last_column) = session.text.place(start), session.text.place(end)
    return {
        "start": {"line": line, "character": column},
        "end": {"line": last_line, "character": last_column},
    }


# ---------------------------------------------------------------- the rest


def completion_item(
    session: Session, suggestion: Suggestion, offset: int, place: int
) -> types.CompletionItem:
    """`place` is that in the list: editors sort by it, and layer 10 comes behind layer 9."""
    new = suggestion.text or suggestion.label
    return types.CompletionItem(
        label=suggestion.label,
        kind=_COMPLETION_KINDS[suggestion.kind],
        detail=suggestion.detail or None,
        sort_text=f"{place:04}",
        filter_text=new,
        text_edit=types.TextEdit(range_between(session, suggestion.start, offset), new),
    )


def symbol(session: Session, found: Symbol) -> types.DocumentSymbol:
    return types.DocumentSymbol(
        name=found.name,
        detail=found.detail,
        kind=_SYMBOL_KINDS[found.kind],
        range=range_between(session, found.start, found.end),
        selection_range=range_between(session, found.name_start, found.name_end),
        children=[symbol(session, child) for child in found.children] or None,
    )


def inlay_hint(session: Session, hint: Hint) -> types.InlayHint:
    return types.InlayHint(position=position(session, hint.offset), label=hint.text, padding_left=True)


def code_actions(session: Session, wanted: types.Range) -> list[types.CodeAction]:
    """A quick fix for every finding that has one and touches the range, and one for all safe fixes."""
    start = session.text.offset(wanted.start.line, wanted.start.character)
    end = session.text.offset(wanted.end.line, wanted.end.character)
    actions = []
    safe: list[tuple[Here, str]] = []
    for where, finding in session.findings():
        change = finding.change
        if change is None or change.gone:
            continue
        if change.safe and not any(_overlap(here, other) for here, _ in change.edits for other, _ in safe):
            safe += change.edits
        if where.start <= end and start <= where.end:
            title = change.message[:1].upper() + change.message[1:]
            edit = _workspace_edit(session, list(change.edits))
            kind = types.CodeActionKind.QuickFix
            actions.append(types.CodeAction(title, kind=kind, edit=edit, is_preferred=change.safe))
    if safe:
        title, kind = "Apply all safe fixes", types.CodeActionKind.SourceFixAll
        actions.append(types.CodeAction(title, kind=kind, edit=_workspace_edit(session, safe)))
    return actions


def _overlap(one: Here, other: Here) -> bool:
    return (one.start < other.end and other.start < one.end) or one.start == other.start


def _workspace_edit(session: Session, edits: list[tuple[Here, str]]) -> types.WorkspaceEdit:
    changes = [types.TextEdit(range_of(session, here), new) for here, new in edits]
    return types.WorkspaceEdit(changes={session.uri: changes})
