"""The grammar and what is made of it: strict LALR, complete, and the same in the saved tables."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lark import Lark, Token

from layerlr_dsl.language import tables
from layerlr_dsl.language.builder import TreeBuilder
from layerlr_dsl.language.failure import WORDS
from layerlr_dsl.language.recovery import STATEMENT_WORDS
from layerlr_dsl.language.resources import grammar_path


class _Live:
    always_accept = ("END",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


@pytest.fixture(scope="module")
def strict() -> Lark:
    text = grammar_path().read_text(encoding="utf-8")
    return Lark(text, parser="lalr", lexer="contextual", strict=True, keep_all_tokens=True, postlex=_Live())


def test_the_grammar_has_no_conflict_and_no_colliding_terminals(strict: Lark) -> None:
    """Lark builds it in strict mode, where any conflict or collision is an error."""
    assert len(strict.terminals) > 60


def test_every_rule_of_the_grammar_is_built(strict: Lark) -> None:
    """No rule falls through to a bare parse tree."""
    builder = TreeBuilder()
    named = {
        rule.alias or rule.origin.name for rule in strict.rules if rule.alias or not rule.options.expand1
    }
    inlined = {name for name in named if name.startswith("_")}
    assert [name for name in sorted(named - inlined) if not hasattr(builder, name)] == []


def test_the_saved_tables_are_those_of_the_grammar() -> None:
    """After a change of the grammar: python -m layerlr_dsl.language.tables."""
    grammar = grammar_path().read_bytes()
    head, _, body = tables.SAVED.read_bytes().partition(b"\n")
    assert head == tables.saved_tables(grammar).partition(b"\n")[0]
    assert body, "the tables themselves are missing"


@pytest.mark.parametrize("damage", [b"", b"other head\n", None])
def test_tables_that_do_not_fit_are_built_anew(
    damage: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, foreign or cut-off tables cost time, never correctness."""
    saved = tmp_path / "tables.bin"
    if damage is None:
        saved.write_bytes(tables.SAVED.read_bytes()[:2000])
    elif damage:
        saved.write_bytes(damage + tables.SAVED.read_bytes().partition(b"\n")[2])
    monkeypatch.setattr(tables, "SAVED", saved)
    parser = tables.load(TreeBuilder(), lambda token: token)
    assert parser.parse("fc -> lr 1").selector.include[0].text == "fc"  # type: ignore[attr-defined]


def test_the_words_of_messages_are_those_of_the_grammar(strict: Lark) -> None:
    """Near misses are looked for among the very words that the lexer knows."""
    written = {t.name: re.split(r"\(\?!", t.pattern.value)[0] for t in strict.terminals}
    assert {name: written[name] for name in WORDS} == WORDS
    assert {written[word.upper()] for word in STATEMENT_WORDS} == set(STATEMENT_WORDS)


def test_reading_a_file_needs_no_torch() -> None:
    """Importing the parser and reading a text loads nothing heavy."""
    code = (
        "import sys\n"
        "from layerlr_dsl.language.parser import parse\n"
        "from layerlr_dsl.language.source import Source\n"
        "parse(Source('a', 'fc -> lr 1'))\n"
        "print([m for m in ('torch', 'pydantic', 'numpy', 'difflib') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
