"""Parsing generated files gives the trees they were written from."""

from __future__ import annotations

from typing import Any

import strategies
import writing
from hypothesis import HealthCheck, given, settings

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source
from layerlr_dsl.language.trees import same, walk

quick = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(strategies.files())
def test_every_tree_is_read_back_as_it_was_written(nodes: list[Any]) -> None:
    """Writing a tree and parsing the text gives the same tree, with no findings."""
    text = "".join(writing.text(node) + "\n" for node in nodes)
    file, diagnostics = parse(Source("file.lr", text))
    assert diagnostics == ()
    assert same(file.statements, tuple(nodes))


@quick
@given(
    strategies.files(most=3).flatmap(lambda nodes: strategies.untidy(nodes).map(lambda text: (nodes, text)))
)
def test_layout_changes_no_meaning(given_pair: tuple[list[Any], str]) -> None:
    """Odd blanks, comments, line breaks and separators leave the tree as it is."""
    nodes, text = given_pair
    file, diagnostics = parse(Source("file.lr", text))
    assert diagnostics == ()
    assert same(file.statements, tuple(nodes))


@quick
@given(strategies.untidy_files(most=3))
def test_spans_hold_what_they_speak_of(text: str) -> None:
    """Every node lies within its statement, names and numbers exactly where they stand in the text."""
    file, _ = parse(Source("file.lr", text))
    for statement in file.statements:
        for node in walk(statement):
            assert statement.span.start <= node.span.start < node.span.end <= statement.span.end  # type: ignore[attr-defined]
            if isinstance(node, s.Name):
                assert node.span.text == node.name
            if isinstance(node, s.Call):
                assert node.function_span.text == node.function
            if isinstance(node, s.Pattern) and not node.quoted:
                assert node.span.text == node.text
            if isinstance(node, s.Setting):
                assert node.option_span.text == (writing.quoted(node.option) if node.quoted else node.option)
    for comment in file.comments:
        assert comment.span.text == comment.text
        assert comment.text.startswith("#")
