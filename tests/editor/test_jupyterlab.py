"""The colours of `%%layerlr` cells: the script for JupyterLab is the Pygments lexer in JavaScript."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import strategies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rule_edits import TEXTS
from valid_texts import valid_texts

from layerlr_dsl.editor import jupyterlab
from layerlr_dsl.editor.lexer import LayerlrLexer

NODE = shutil.which("node")
SCRIPT = jupyterlab.FOLDER / "static" / "remoteEntry.js"
ASK = f"""
require({json.dumps(str(SCRIPT))});
const {{ tokens, beginning }} = globalThis._JUPYTERLAB.layerlr;
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const words = text => tokens(text).map(([kind, from, to]) => [kind, text.slice(from, to)]);
console.log(JSON.stringify(asked.map(text => [words(text), beginning(text)])));
"""
needs_node = pytest.mark.skipif(NODE is None, reason="no Node.js is installed to run the script")
ANY = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=40)


def in_javascript(texts: list[str]) -> list[Any]:
    """Of each text, its tokens and where the rules of such a cell begin."""
    assert NODE is not None
    ran = subprocess.run(
        [NODE, "-e", ASK], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    return list(json.loads(ran.stdout))


def in_python(text: str) -> list[list[str]]:
    found = LayerlrLexer().get_tokens_unprocessed(text)
    return [[".".join(kind), written] for _, kind, written in found if written]


def test_the_script_holds_the_lexer_of_today() -> None:
    """`python -m layerlr_dsl.editor.colours` writes it, and its address for browsers."""
    for path, text in jupyterlab.files().items():
        assert path.read_text(encoding="utf-8") == text, path.name


@needs_node
def test_every_valid_file_has_the_same_tokens() -> None:
    """The recipes and every block of the documentation."""
    texts = list(valid_texts().values())
    assert len(texts) > 100
    for text, (found, _) in zip(texts, in_javascript(texts), strict=True):
        assert found == in_python(text)


@needs_node
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(TEXTS, ANY, strategies.untidy_files()), min_size=20, max_size=40))
def test_whatever_the_text_the_tokens_are_the_same(texts: list[str]) -> None:
    """Also of what is half written, and in every script."""
    for text, (found, _) in zip(texts, in_javascript(texts), strict=True):
        assert found == in_python(text)


@needs_node
def test_a_cell_of_another_kind_is_left_alone() -> None:
    """Only a first line that is the magic makes rules of what follows it."""
    rules = ["%%layerlr rules\nfc -> lr 1", "\n  %%layerlr rules --show\nfc -> lr 1", "%%layerlr"]
    others = [
        "",
        "x = 1",
        "# %%layerlr\nx",
        "x = '''\n%%layerlr rules\n'''",
        "%%layerlrs\nfc",
        "%%time\n%%layerlr",
    ]
    begins = [place for _, place in in_javascript([*rules, *others])]
    assert begins == [16, 26, 9, *(-1 for _ in others)]


def test_every_kind_of_token_has_a_colour_of_its_own_right() -> None:
    """Selectors, options and values apart; nothing is left to what Python's colours would be."""
    styles = dict(re.findall(r'"([\w.]+)": "(color[^"]*)"', SCRIPT.read_text(encoding="utf-8")))
    assert {kind for text in valid_texts().values() for kind, _ in in_python(text)} <= styles.keys()
    assert len({styles[kind] for kind in ("Name.Tag", "Name.Attribute", "Literal.Number", "Keyword")}) == 4
    assert all("font-weight:normal" in style for style in styles.values())


def test_jupyter_is_told_where_the_script_lies() -> None:
    """The manifest's names are those of the files, and the wheel puts the folder where Jupyter looks."""
    about = json.loads((jupyterlab.FOLDER / "package.json").read_text(encoding="utf-8"))
    load = about["jupyterlab"]["_build"]["load"]
    assert (jupyterlab.FOLDER / load.partition("?")[0]).is_file()
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"editors/jupyterlab" = "share/jupyter/labextensions/{about["name"]}"' in project
