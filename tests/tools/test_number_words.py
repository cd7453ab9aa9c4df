"""Numbers in English words."""

from __future__ import annotations

import pytest

from layerlr_dsl.tools.number_words import number_of


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("five", "5"),
        ("twenty five", "25"),
        ("Twenty-Five", "25"),
        ("two hundred ten", "210"),
        ("a hundred thousand", "100000"),
        ("one thousandth", "1e-3"),
        ("two tenths", "0.2"),
        ("half", "0.5"),
    ],
)
def test_words_are_read_as_the_number_that_they_say(words: str, number: str) -> None:
    """In the spelling that rule files have."""
    assert number_of(words) == number


@pytest.mark.parametrize(
    "words", ["a", "base", "two three", "five half", "ten thousandth", "hundreds", "fc one"]
)
def test_what_says_no_one_number_is_none(words: str) -> None:
    """Other words, counts that cannot follow each other, and what may be read in two ways."""
    assert number_of(words) is None
