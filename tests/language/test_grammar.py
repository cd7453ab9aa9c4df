"""The grammar and what is made of it: strict LALR, complete, and read as Lark itself would read it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lark
import pytest
import strategies
import writing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerlr_dsl.language import tables
from layerlr_dsl.language.builder import TreeBuilder
from layerlr_dsl.language.failure import WORDS
from layerlr_dsl.language.machine import Machine, Run, Unreadable, machine
from layerlr_dsl.language.recovery import STATEMENT_WORDS
from layerlr_dsl.language.source import Source
from layerlr_dsl.language.tokens import Token
from layerlr_dsl.language.trees import same
from layerlr_dsl.tools.resources import grammar_path


class _Live:
    always_accept = ("END",)

    def process(self, stream: Iterator[lark.Token]) -> Iterator[lark.Token]:
        return stream


class _ForLark:
    """The tree builder, with Lark's tokens turned into ours."""

    def __init__(self) -> None:
        self.builder = TreeBuilder(Source("file.lr", ""))

    def __getattr__(self, name: str) -> Any:
        if name.isupper():
            raise AttributeError(name)
        method = getattr(self.builder, name)
        return lambda children: method([self._ours(child) for child in children])

    def _ours(self, child: Any) -> Any:
        if isinstance(child, lark.Token):
            return Token(child.type, str(child), child.start_pos or 0, child.end_pos or 0)
        return child


@pytest.fixture(scope="module")
def strict() -> lark.Lark:
    text = grammar_path().read_text(encoding="utf-8")
    return lark.Lark(
        text, parser="lalr", lexer="contextual", strict=True, keep_all_tokens=True, postlex=_Live()
    )


@pytest.fixture(scope="module")
def by_lark() -> lark.Lark:
    text = grammar_path().read_text(encoding="utf-8")
    return lark.Lark(text, parser="lalr", lexer="contextual", keep_all_tokens=True, transformer=_ForLark())


def test_the_grammar_has_no_conflict_and_no_colliding_terminals(strict: lark.Lark) -> None:
    """Lark builds it in strict mode, where any conflict or collision is an error."""
    assert len(strict.terminals) > 60


def test_every_rule_of_the_grammar_is_built() -> None:
    """Each reduction has a method of the builder, but for those that pass their one value on."""
    builder = TreeBuilder(Source("", ""))
    methods = {rule.method for rule in tables.load().rules if rule.method}
    assert [name for name in sorted(methods) if not hasattr(builder, name)] == []
    assert len(methods) > 60


def test_the_saved_tables_are_those_of_the_grammar() -> None:
    """After a change of the grammar: python -m layerlr_dsl.language.tables."""
    made = tables.make(grammar_path().read_text(encoding="utf-8"))
    assert tables.to_json(made) == tables.SAVED.read_text(encoding="utf-8")


@pytest.mark.parametrize("damage", ["missing", "cut off", "foreign"])
def test_tables_that_do_not_fit_are_made_anew(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, cut-off or foreign tables cost time, never correctness."""
    saved = tmp_path / "tables.json"
    text = tables.SAVED.read_text(encoding="utf-8")
    if damage == "cut off":
        saved.write_text(text[:2000], encoding="utf-8")
    elif damage == "foreign":
        saved.write_text(re.sub(r'("fingerprint": ")....', r"\1beef", text), encoding="utf-8")
    monkeypatch.setattr(tables, "SAVED", saved)
    assert tables.load() == tables.make(grammar_path().read_text(encoding="utf-8"))


def _by_machine(text: str) -> Any:
    """One statement in one line by our machine; None if it cannot be read."""
    builder = TreeBuilder(Source("file.lr", text))
    run = Run(machine(), machine().callbacks(builder))
    at = 0
    try:
        while (token := run.next_token(text, at)).kind != "EOF":
            at = token.end
            if token.kind != "COMMENT":
                run.feed(token)
        return run.finish(at)
    except Unreadable:
        return None


def _by_lark(parser: lark.Lark, text: str) -> Any:
    parser.options.transformer.builder.begin_statement()
    try:
        return parser.parse(text)
    except lark.UnexpectedInput:
        return None


quick = settings(
    max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@quick
@given(node=strategies.statements())
def test_statements_are_read_as_lark_reads_them(by_lark: lark.Lark, node: Any) -> None:
    """Our machine and Lark's own parser make the same tree of every statement."""
    text = writing.text(node)
    ours = _by_machine(text)
    assert ours is not None
    assert same(ours, _by_lark(by_lark, text))


@quick
@given(node=strategies.statements(), data=st.data())
def test_what_lark_refuses_is_refused(by_lark: lark.Lark, node: Any, data: st.DataObject) -> None:
    """Of statements with pieces lost or doubled, both read the same ones, and the same way."""
    pieces = writing.tokens(node)
    at = data.draw(st.integers(0, len(pieces) - 1))
    action = data.draw(st.sampled_from(["drop", "double", "swap", "glue"]))
    if action == "drop":
        del pieces[at]
    elif action == "double":
        pieces.insert(at, pieces[at])
    elif action == "swap":
        pieces[at], pieces[-1] = pieces[-1], pieces[at]
    text = ("" if action == "glue" else " ").join(pieces)
    assert same(_by_machine(text), _by_lark(by_lark, text))


def test_what_may_follow_is_known_exactly(by_lark: lark.Lark) -> None:
    """The kinds of tokens that a message names are those that Lark's parser accepts."""
    for text in (
        "",
        "fc",
        "freeze",
        "freeze fc",
        "fc ->",
        "fc -> lr",
        "fc -> lr (1 +",
        "expect fc",
        "a where x",
    ):
        session = by_lark.parse_interactive(text)
        kinds = tuple(token.type for token in session.exhaust_lexer())
        assert machine().accepted(kinds) == session.accepts()  # type: ignore[no-untyped-call]


def test_a_machine_keeps_nothing_of_what_it_read() -> None:
    """Scanners are made on demand and shared; a second machine is told the same."""
    fresh = Machine(tables.load())
    assert fresh.accepted(("FREEZE",)) == machine().accepted(("FREEZE",))


def test_the_words_of_messages_are_those_of_the_grammar() -> None:
    """Near misses are looked for among the very words that the lexer knows."""
    written = {t.name: re.split(r"\(\?!", t.pattern)[0] for t in tables.load().terminals}
    assert {name: written[name] for name in WORDS} == WORDS
    assert {written[word.upper()] for word in STATEMENT_WORDS} == set(STATEMENT_WORDS)


def test_reading_a_file_loads_nothing_heavy() -> None:
    """Importing the parser and reading a text needs neither torch nor Lark."""
    code = (
        "import sys\n"
        "from layerlr_dsl.language.parser import parse\n"
        "from layerlr_dsl.language.source import Source\n"
        "assert len(parse(Source('a', 'fc -> lr 1'))[0].statements) == 1\n"
        "print([m for m in ('torch', 'pydantic', 'numpy', 'difflib', 'lark', 'click') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
