"""Texts that nobody writes: each ends in one clear error at its place, however large it is."""

from __future__ import annotations

import pytest

from layerlr_dsl.language import parser
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.source import Source

WORDS = 2_000  # instead of 200,000: what happens there is the same, and takes a hundredth of the time


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many words in a statement, and statements in a file, as a test has patience for."""
    monkeypatch.setattr(parser, "_MOST_TOKENS", WORDS)
    monkeypatch.setattr(parser, "_MOST_STATEMENTS", WORDS)


def findings(text: str) -> list[tuple[str, int, str]]:
    return [place(d) for d in check(Source("t.lr", text)).diagnostics]


def place(d: Diagnostic) -> tuple[str, int, str]:
    return (d.code, d.span.first.column if d.span else 0, d.message)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("** -> lr " + "1+" * 2 * WORDS + "1", 10 + WORDS - 3),
        ("fc," * 2 * WORDS + "fc -> lr 1", 1 + 3 * WORDS // 2),
        ("** -> betas (" + "1," * 2 * WORDS + "1)", 14 + WORDS - 4),
        ("** where " + "tied and " * 2 * WORDS + "tied -> lr 1", 10 + 9 * WORDS // 2 - 9),
    ],
    ids=["terms", "selectors", "tuple", "conditions"],
)
def test_a_statement_of_too_many_words_is_one_error(text: str, column: int) -> None:
    """The place is where reading stopped, and the statement behind it is read."""
    found = findings(f"{text}\nfc -> lr")
    assert [code for code, _, _ in found] == ["LR007", "LR005"]
    assert found[0][1] == pytest.approx(column, abs=9)
    assert found[0][2] == "this statement has more than 2,000 words and signs"


@pytest.mark.usefixtures("small_limits")
def test_a_file_of_too_many_statements_is_one_error() -> None:
    """As many as the limit are read; the next one is where reading ends."""
    file, found = parser.parse(Source("t.lr", "freeze a;" * (WORDS + 1)))
    assert len(file.statements) == WORDS
    assert [place(d)[:2] for d in found] == [("LR007", 1 + 9 * WORDS)]


def test_a_hundred_thousand_words_are_a_statement_like_any_other() -> None:
    """The limits as they are shipped lie beyond what anybody writes."""
    assert findings("** -> lr " + "+".join(["1e-9"] * 50_000)) == []


@pytest.mark.parametrize(
    "pattern",
    [
        "a" * 10_001,
        "a." * 6_000 + "a",
        "?*" * 6_000,
        "{a,}" * 3_000,
        "<i>" * 4_000,
        "{0.." + "9" * 20_000 + "}",
    ],
    ids=["name", "path", "wildcards", "braces", "captures", "range"],
)
def test_a_selector_beyond_ten_thousand_characters_is_one_error(pattern: str) -> None:
    """As for regular expressions; quoted or not."""
    for written in (pattern, f'"{pattern}"'):
        found = findings(f"{written} -> lr 1")
        assert [code for code, _, _ in found] == ["LR011"]
        assert found[0][2] == "the pattern is longer than 10,000 characters"


def test_a_range_of_any_size_can_be_written() -> None:
    """Numbers have no bound that a file could hit: beyond 18 digits all are alike."""
    assert findings("layer{0.." + "9" * 5_000 + "} -> lr 1") == []
    assert findings("layer{" + "0" * 5_000 + "1..2} -> lr 1") == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("(" * 2_000_000, "LR001"),
        ("** -> lr " + "(" * 2_000_000, "LR007"),
        ('"' * 2_000_000, "LR001"),
        ('** -> lr "' + "x" * 2_000_000, "LR002"),
        ("{a,{a," * 400_000, "LR005"),
        ("{a," * 700_000 + " -> lr 1", "LR011"),
        ("** -> lr " + "9" * 2_000_000, "LR003"),
        ("** -> lr " + "-" * 2_000_000 + "1", "LR007"),
    ],
)
def test_one_long_line_is_one_error(text: str, code: str) -> None:
    """Brackets, quotes, signs and digits without end."""
    assert [found for found, _, _ in findings(text)] == [code]


@pytest.mark.parametrize("text", [";" * 2_000_000, " " * 2_000_000, "#" * 2_000_000, "\\\n" * 1_000_000])
def test_nothing_is_no_error_however_long(text: str) -> None:
    """Empty statements, blanks, comments and continued lines."""
    assert findings(text) == []
