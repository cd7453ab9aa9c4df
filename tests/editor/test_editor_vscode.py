"""The VS Code extension: grammar, package and client."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest

from layerlr_dsl.editor import colours, vsix
from layerlr_dsl.language.names import CAPTURE_FUNCTIONS, FUNCTIONS
from layerlr_dsl.language.recovery import STATEMENT_WORDS
from layerlr_dsl.language.vocabulary import ATTRIBUTES, FAMILIES

GRAMMAR = Path(vsix.__file__).with_name("layerlr.tmLanguage.json")
EXTENSION = vsix.extension_folder()


def patterns(node: Any) -> Iterator[str]:
    """Every regular expression in a TextMate grammar."""
    if isinstance(node, dict):
        yield from (node[key] for key in ("match", "begin", "end") if key in node)
        for value in node.values():
            yield from patterns(value)
    elif isinstance(node, list):
        for value in node:
            yield from patterns(value)


def includes(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "include" in node:
            yield node["include"]
        for value in node.values():
            yield from includes(value)
    elif isinstance(node, list):
        for value in node:
            yield from includes(value)


def test_the_grammar_is_json_whose_patterns_compile() -> None:
    """And whose includes are all there."""
    grammar = json.loads(GRAMMAR.read_text(encoding="utf-8"))
    every = list(patterns(grammar))
    assert len(every) > 20
    for pattern in every:
        re.compile(pattern)
    assert {f"#{name}" for name in grammar["repository"]} >= set(includes(grammar))


def test_the_grammar_knows_every_word_of_the_language() -> None:
    """A word added to the language has its colour: `python -m layerlr_dsl.editor.colours` gives those of the tables."""
    text = GRAMMAR.read_text(encoding="utf-8")
    assert colours.with_words(text) == text
    for word in (*STATEMENT_WORDS, *ATTRIBUTES, *FUNCTIONS, *CAPTURE_FUNCTIONS, *FAMILIES):
        assert re.search(rf"\b{word}\b", text), word


def test_the_extension_carries_the_same_grammar() -> None:
    """There is one grammar, in the package and in the extension's folder."""
    copied = EXTENSION / "syntaxes" / GRAMMAR.name
    assert copied.read_bytes() == GRAMMAR.read_bytes()


def test_every_file_that_the_extension_names_is_there() -> None:
    """A manifest that points to nothing packs, and does nothing."""
    about = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    language, grammar = about["contributes"]["languages"][0], about["contributes"]["grammars"][0]
    for named in (about["main"], language["configuration"], grammar["path"]):
        assert (EXTENSION / named).is_file(), named
    assert language["id"] == grammar["language"]
    assert "dependencies" not in about
    configuration = json.loads((EXTENSION / language["configuration"]).read_text(encoding="utf-8"))
    re.compile(configuration["wordPattern"])


def test_the_folder_packs_without_a_network(tmp_path: Path) -> None:
    """A zip with the manifests that VS Code reads; packed twice it is the same to the byte."""
    command = [sys.executable, "-m", "layerlr_dsl.editor.vsix", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    (packed,) = tmp_path.iterdir()
    first = packed.read_bytes()
    vsix.pack(packed)
    assert packed.read_bytes() == first
    with ZipFile(packed) as archive:
        names = set(archive.namelist())
        ElementTree.fromstring(archive.read("[Content_Types].xml"))
        manifest = ElementTree.fromstring(archive.read("extension.vsixmanifest"))
    assert {"extension/package.json", "extension/extension.js"} <= names
    assets = [asset.attrib["Path"] for asset in manifest.iter() if asset.tag.endswith("Asset")]
    assert set(assets) <= names


def test_a_wheel_carries_the_extension() -> None:
    """At the place where the packer looks for it when there is no checkout around it."""
    settings = (EXTENSION.parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert '"editors/vscode" = "layerlr_dsl/editor/vscode"' in settings


def test_an_unwritable_target_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2 and a sentence, no traceback."""
    assert vsix.main([str(tmp_path / "no" / "such" / "x.vsix")]) == 2
    assert "No such file" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node to run the extension's client")
def test_the_client_speaks_with_the_server(folder: Path) -> None:
    """Run in Node with a stand-in for the editor: findings, fixes, hover, completion, hints, colours, picture, and trouble."""
    script = Path(__file__).with_name("vscode_session.js")
    command = ["node", str(script), str(folder), str(EXTENSION), sys.executable, "-m", "layerlr_dsl", "lsp"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert ["LR103", 0, 2] in said["findings"]
    assert ["Replace by `weight_decay`", "quickfix", "weight_decay"] in said["actions"]
    assert said["hover"].startswith("72 tensors")
    assert "lr" in said["completion"]
    assert said["hints"] == ["· 74 tensors, 3.1 k", "· 72 tensors, 2.8 k"]
    assert "layers" in said["symbols"]
    assert said["format"].endswith("layers -> lr 1\n")
    preview = said["preview"]
    assert preview["first"]["title"] == "Network of a.lr"
    assert "a.lr on m.json" in preview["first"]["html"]
    assert preview["broken"] == {
        "found": ["LR005"],
        "stale": "this is the last picture that could be drawn",
        "drawn": False,
    }
    assert preview["mended"] == {"found": [], "stale": "", "drawn": True}
    assert (preview["panels"], preview["revealed"]) == (1, 1)
    assert said["tokens"] > 0
    assert said["tokens"] % 5 == 0
    troubles = said["troubles"]
    assert troubles["restarted"]
    ((text, answers),) = troubles["warnings"]
    assert text.startswith("layerlr: there is no `no-such-layerlr` to run.")
    assert answers == ["Open Settings", "Show Log", "Restart"]
    assert "there is no `no-such-layerlr` to run" in troubles["missing"]
