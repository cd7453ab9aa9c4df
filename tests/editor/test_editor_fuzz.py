"""Any sequence of edits, sent to a real server: it survives, keeps the text, and ends up knowing the same."""

from __future__ import annotations

import random
from typing import Any

import pytest
from lsp_client import Client
from rule_edits import INCLUDED, SHARDS, STATEMENTS

from layerlr_dsl.editor.text import Text

SEQUENCES = 8
EDITS = 25


def change(text: Text, generator: random.Random) -> tuple[Text, dict[str, Any]]:
    """A random change as a client sends it, and the text that comes about by it."""
    start = generator.randint(0, len(text))
    end = min(len(text), start + generator.choice((0, 0, 0, 1, 3, 20)))
    # A client cannot name the middle of a line ending, and neither can a person.
    start, end = (text.offset(*text.place(offset)) for offset in (start, end))
    new = "".join(generator.choice((*STATEMENTS, *SHARDS)) for _ in range(generator.choice((0, 1, 1, 2))))
    if generator.random() < 0.05:
        return Text(text.content[:start] + new), {"text": text.content[:start] + new}
    (line, column), (last_line, last_column) = text.place(start), text.place(end)
    span = {
        "start": {"line": line, "character": column},
        "end": {"line": last_line, "character": last_column},
    }
    return text.replaced(start, end, new), {"range": span, "text": new}


def requests(client: Client, uri: str, generator: random.Random) -> None:
    """Ask something about a place that may not even be there."""
    line, column = generator.randint(0, 30), generator.randint(0, 40)
    method = generator.choice(("hover", "completion", "definition", "prepareRename"))
    client.at(method, uri, line, column)
    whole = {"start": {"line": 0, "character": 0}, "end": {"line": line, "character": column}}
    document = {"textDocument": {"uri": uri}}
    if generator.random() < 0.3:
        client.request("textDocument/inlayHint", {**document, "range": whole})
        client.request("textDocument/documentSymbol", document)
        client.request(
            "textDocument/codeAction", {**document, "range": whole, "context": {"diagnostics": []}}
        )


@pytest.mark.parametrize("seed", range(SEQUENCES))
def test_the_server_survives_any_edits_and_forgets_none(client: Client, seed: int) -> None:
    """Its text is the client's, and its findings are those of the same text opened anew."""
    (client.folder / "inc.lr").write_text(INCLUDED)
    generator = random.Random(seed)
    text = Text('model "m.json"\nepochs 10\n' + "".join(generator.choices(STATEMENTS, k=8)))
    uri = client.open("edited.lr", text.content)
    for number in range(EDITS):
        text, sent = change(text, generator)
        client.change(uri, sent)
        if number % 5 == 0:
            requests(client, uri, generator)
    assert client.settled(uri)["text"] == text.content
    edited = client.findings(uri)
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    again = client.open("edited.lr", text.content)
    assert plain(client.findings(again)) == plain(edited)
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})


def plain(found: list[dict[str, Any]]) -> list[str]:
    return sorted(map(repr, found))
