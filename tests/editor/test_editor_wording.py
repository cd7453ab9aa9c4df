"""One finding, one wording: what the editor shows is what `layerlr validate` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import layerlr
from lsp_client import Client

from layerlr_dsl.catalogue.findings import KINDS, PAGES


def _example(code: str) -> str | None:
    """The only file of a page's example, where the example is a plain `layerlr validate` of it."""
    text = (PAGES / f"{code}.md").read_text("utf-8").partition("## Example\n")[2].partition("## Fix\n")[0]
    if text.count('title="') != 1 or "$ layerlr validate --info example.lr\n" not in text.replace(
        "validate example", "validate --info example"
    ):
        return None
    return text.partition('title="example.lr"\n')[2].partition("```\n")[0]


EXAMPLES = {code: example for code in KINDS if (example := _example(code)) is not None}


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_editor_says_what_validate_says(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Each kind of finding, with its message and its help, at the same place."""
    text = EXAMPLES[code]
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LAYERLR_CACHE_DIR", str(folder / "cache"))
    (folder / "example.lr").write_text(text, encoding="utf-8")
    ran = layerlr("validate", "--info", "--format", "json", "example.lr")
    told = [
        (d["code"], d["message"] + (f"\nhelp: {d['help']}" if d["help"] else ""))
        for d in json.loads(ran.out)["diagnostics"]
    ]
    uri = client.open("example.lr", text)
    shown = [(d["code"], d["message"]) for d in client.findings(uri)]
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert sorted(shown) == sorted(told)
    assert code in dict(told)
