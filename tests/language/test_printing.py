"""What the printer writes is read back as the same tree, in the layout of `layerlr fmt`."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import strategies
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from layerlr_dsl.language import printing
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.language.machine import machine
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.patterns import compile_pattern
from layerlr_dsl.language.printing import selector_of, text_of
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.language.trees import same, walk

NOWHERE = Span(Source("", ""), 0, 0)
quick = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def read(text: str) -> tuple[s.File, tuple[Diagnostic, ...]]:
    return parse(Source("file.lr", text))


def one(text: str) -> Any:
    file, found = read(text)
    assert found == ()
    [statement] = file.statements
    return statement


@quick
@given(strategies.statements())
def test_a_statement_is_read_back_as_it_was(node: Any) -> None:
    """Every kind of statement, with every kind of node in it."""
    assert same(one(text_of(node)), node)


@quick
@given(strategies.files())
def test_a_file_is_read_back_as_it_was(nodes: list[Any]) -> None:
    """Statement by statement, with no findings."""
    text = text_of(s.File(Source("", ""), tuple(nodes), ()))
    file, found = read(text)
    assert found == ()
    assert same(file.statements, tuple(nodes))


@quick
@given(strategies.files(most=3))
def test_the_layout_is_that_of_the_formatter(nodes: list[Any]) -> None:
    """Nothing is left to lay out, neither in a file nor in a statement that stands alone."""
    text = text_of(s.File(Source("", ""), tuple(nodes), ()))
    assert format_text(Source("", text)) == text
    for node in nodes:
        alone = text_of(node)
        assert format_text(Source("", alone)) == alone + "\n"


@quick
@given(strategies.expressions())
def test_an_expression_is_read_back_as_it_was(node: Any) -> None:
    """Where any expression may stand, its text means what it meant, and is written the same again."""
    text = text_of(node)
    found = one(f"let x = {text}").value
    assert same(found, node)
    assert text_of(found) == text


def test_every_node_of_the_tree_has_a_text() -> None:
    """A node that is added to the language has to be added to its printer."""
    kinds = {kind for _, kind in inspect.getmembers(s, inspect.isclass) if kind.__module__ == s.__name__}
    assert kinds - {s.Comment, s.Damaged, s.File} == set(printing._WRITERS)


@pytest.mark.parametrize(
    "text",
    [
        "let x = 1e-5 * (2 + n) ^ -2",
        "let x = a - (b - c) - d / (e * f)",
        "let x = (2 ^ 3) ^ 4 ^ 5",
        "let x = -(a + b) + --c",
        "let x = ramp((0%, 0.04), (300 steps, 0.95), shape=power(2), endpoint=true, exact=true)",
        "let x = last(@g) + count(@g.i) * rates[-1]",
        "let x = inverse_sqrt(timescale=10000 steps) * min(1, (1 - progress) / 0.05)",
        "** where not (a or b) and ndim <= 1 -> weight_decay 0",
        'fc, "odd name" except /a\\/b/, @g -> lr *= 0.5, "rank" 128, betas (0.9, 0.999) from epoch 1 until 50%',
        "fc -> schedule linear(start_factor=0.1) for 1 epoch then constant, lr 1e-3",
        "schedule multistep(at=(30 epochs, 60 epochs)) for n epochs then step(every=(2 * n) steps)",
        "optimizer critic = adamw(lr=1e-4)",
        "freeze statistics of **.bn until step 100",
        "freeze a updating statistics until val_loss stops falling for 1 epoch by 0.1 warmup 5%",
        "unfreeze a",
        "unfreeze fc then layers.<i> by i descending then stem every 1 epoch starting at 10% warmup 5%",
        "stage all for 20 epochs until val_loss stops falling for 3 epochs, fresh optimizer",
        "after stages",
        "expect a[ , b lr == 1e-3 at step 3",
    ],
)
def test_tidy_text_is_written_as_it_was(text: str) -> None:
    """No parenthesis too many, and none too few."""
    assert text_of(one(text)) == text


def test_equal_numbers_are_spelled_alike() -> None:
    """However they were typed, but what is no whole number stays none."""
    assert text_of(one("let x = (1E-05, 0.00001, .50, 1_000, 007, 5., 10.0%)")) == (
        "let x = (1e-5, 1e-5, 0.5, 1000, 7, 5.0, 10%)"
    )


def test_long_statements_are_wrapped() -> None:
    """Behind commas and `then`, as the formatter has it."""
    turns = " then ".join(f"encoder.layer.{n}.attention" for n in range(6))
    text = text_of(one(f"unfreeze {turns} every 2 epochs"))
    assert text.splitlines()[0].endswith(" then")
    assert all(len(line) <= 100 for line in text.splitlines())
    assert text.splitlines()[1].startswith("    encoder")
    assert text.replace("\n    ", " ") == f"unfreeze {turns} every 2 epochs"


def test_chains_of_any_length_are_written() -> None:
    """10,000 operators are no nesting."""
    text = "let x = " + " + ".join(["n"] * 10_001)
    assert text_of(one(text).value) == text.removeprefix("let x = ")


def test_stages_are_set_apart() -> None:
    """A blank line stands before each heading, and what is under it is not indented."""
    text = "** -> lr 1\nstage a for 1 epoch\nfc -> lr 2\nafter stages\nb -> lr 3\n"
    file, _ = read(text)
    assert text_of(file) == "** -> lr 1\n\nstage a for 1 epoch\nfc -> lr 2\n\nafter stages\nb -> lr 3\n"


WORDS = [word.lower() for word in sorted(machine().words)]
PRINTABLE = st.characters(exclude_characters=".", exclude_categories=["C", "Z"])


@quick
@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(PRINTABLE, min_size=1)), min_size=1, max_size=3))
@example(["where"])
@example(["by"])
@example(["a*b", "[x]"])
@example(['q"', "\\"])
@example(["fc-", "-x"])
def test_the_selector_of_a_name_covers_that_name_wherever_it_stands(segments: list[str]) -> None:
    """Words of the language and odd characters are quoted; nothing in a name is a pattern."""
    written = selector_of(".".join(segments))
    for text in (f"{written} -> lr 1", f"freeze {written}", f"unfreeze fc then {written} every 1 epoch"):
        file, faults = parse(Source("file.lr", text))
        assert faults == ()
        patterns = [
            node for node in walk(*file.statements) if isinstance(node, s.Pattern) and node.span.text != "fc"
        ]
        [pattern] = [compile_pattern(node.text) for node in patterns]
        matched = zip(pattern.segments, segments, strict=True)
        assert [segment.match(name) for segment, name in matched] == [[()]] * len(segments)
