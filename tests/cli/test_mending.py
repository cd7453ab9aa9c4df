"""`validate --fix` never makes a file worse, whatever is in it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlr_dsl.cli.fixing import Mended, mend
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.printing import text_of
from layerlr_dsl.language.source import Source
from tests.editor.rule_edits import SHARDS, STATEMENTS
from tests.plan.test_phrasebook import cases

TYPED = tuple(typed + "\n" for typed, _ in cases())
"""What newcomers type."""


@st.composite
def broken(draw: st.DrawFn) -> str:
    """A statement with something cut out of it, put into it or put twice."""
    text = draw(st.sampled_from((*STATEMENTS, *TYPED))).rstrip("\n")
    at = draw(st.integers(0, len(text)))
    end = draw(st.integers(at, min(len(text), at + 6)))
    put = draw(st.sampled_from(("", ":", "=", "::", "==", " = ", text[at:end] * 2, *SHARDS)))
    return text[:at] + put + text[end:] + "\n"


FILES = st.lists(st.one_of(st.sampled_from(STATEMENTS), st.sampled_from(TYPED), broken()), max_size=8).map(
    "".join
)


def mended(text: str) -> Mended:
    return mend(Source("a.lr", text), None)


def errors(text: str) -> int:
    """Errors of a text as `mend` counts them, which changes nothing that has no fix."""
    from layerlr_dsl.api import Rules
    from layerlr_dsl.language.checker import check

    return sum(one.severity == "error" for one in Rules(check(Source("a.lr", text))).diagnostics)


def whole_lines(text: str) -> list[str]:
    """The statements of a text that can be read, each on its own and as it is printed."""
    return [text_of(statement) for statement in parse(Source("a.lr", text))[0].statements]


@given(FILES)
@settings(max_examples=400, deadline=None)
def test_a_fixed_file_has_no_more_errors_and_nothing_left_to_fix(text: str) -> None:
    """And what is applied is counted: without a fix the text is the same, byte for byte."""
    after = mended(text)
    assert after.badness[0] == errors(after.source.text) <= errors(text)
    assert (after.applied == 0) == (after.source.text == text)
    again = mended(after.source.text)
    assert (again.source.text, again.applied) == (after.source.text, 0)


@given(
    st.lists(st.sampled_from(STATEMENTS), max_size=4),
    broken(),
    st.lists(st.sampled_from(STATEMENTS), max_size=4),
)
@settings(max_examples=300, deadline=None)
def test_what_is_in_order_is_left_alone(above: list[str], fault: str, below: list[str]) -> None:
    """Statements without a finding are read from the fixed file as from the faulty one, and in that order."""
    text = "".join([*above, fault, *below])
    after = mended(text)
    touched = {
        n
        for n, (a, b) in enumerate(zip(text.splitlines(), after.source.text.splitlines(), strict=False))
        if a != b
    }
    source = Source("a.lr", text)
    kept = [
        text_of(statement)
        for statement in parse(source)[0].statements
        if touched.isdisjoint(range(statement.span.first.line - 1, statement.span.last.line))
    ]
    now = iter(whole_lines(after.source.text))
    assert all(one in now for one in kept)  # each behind the one before


@pytest.mark.parametrize("typed", TYPED)
def test_what_newcomers_type_is_never_made_worse(typed: str) -> None:
    """Alone, and between two statements that are right."""
    for text in (typed, f"** -> lr 1e-3\n{typed}freeze layer1 until epoch 2\n"):
        after = mended(text)
        assert errors(after.source.text) < errors(text) or after.source.text == text
        assert mended(after.source.text).applied == 0
