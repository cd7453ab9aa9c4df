"""One spelling for each number: short, as a rule file has it, and read back as the same number."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import layerlr_dsl
from layerlr_dsl.tools.numbers import in_words, plural, respelled, spelled

finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1e-5, "1e-5"),
        (0.001, "1e-3"),
        (0.05, "0.05"),
        (1000.0, "1e3"),
        (30.0, "30"),
        (-2.5e-7, "-2.5e-7"),
        (0.1 + 0.2, "0.3"),
        (True, "true"),
        (None, "none"),
        ("sum", '"sum"'),
        ((0.9, 0.999), "(0.9, 0.999)"),
        ((1e-5,), "(1e-5,)"),
        (3, "3"),
        (1_000_000, "1000000"),
        (Fraction(7, 3), "2.333333333"),
        (Fraction(600_000), "600000"),
        (0.0, "0"),
        (math.inf, "inf"),
    ],
)
def test_values_are_spelled_as_in_a_rule_file(value: object, words: str) -> None:
    """Floats in the shorter of their two spellings, whole numbers in full."""
    assert spelled(value) == words


def test_texts_stand_in_quotes_in_rule_files_only() -> None:
    """A table shows `sum` where a rule says `"sum"`."""
    assert (spelled("sum"), in_words("sum"), in_words(1e-5)) == ('"sum"', "sum", "1e-5")


def test_numbers_keep_the_digits_asked_for() -> None:
    """Ten in messages, fewer in tables, and none that are not known."""
    assert spelled(3.0903154e-5, 6) == "3.09032e-5"
    assert spelled(3.0903154e-5, 4) == "3.09e-5"
    assert spelled(1_234_567.0, 4) == "1.235e6"


@given(finite)
def test_all_digits_give_the_number_back(value: float) -> None:
    """With 17 digits no number is lost, and it is never longer than Python's own spelling."""
    assert float(spelled(value, 17)) == value
    assert len(spelled(value)) <= len(f"{value:.10g}")


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "1 epoch"), (11, "11 epochs"), (21, "21 epochs"), (0, "0 epochs"), (0.5, "0.5 epochs"),
     (Fraction(1), "1 epoch"), (Fraction(3, 2), "1.5 epochs"), (12_345, "12,345 epochs")],
)  # fmt: skip
def test_only_one_is_singular(number: int | float | Fraction, words: str) -> None:
    """Eleven ends in a one, and is many."""
    assert plural(number, "epoch") == words


@pytest.mark.parametrize(
    ("literal", "spelling"),
    [("1E-05", "1e-5"), ("1E+3", "1e3"), (".5", "0.5"), ("5.", "5.0"), ("007", "7"), ("000", "0"), ("0e5", "0.0"),
     ("0.0001", "1e-4"), ("1.50", "1.5"), ("100.0", "100.0"), ("10.0%", "10%"), (".5%", "0.5%"), ("1e-9999", "1e-9999"), ("600000", "600000"),
     ("0.30000000000000004000001", "0.30000000000000004000001")],
)  # fmt: skip
def test_literals_have_one_spelling(literal: str, spelling: str) -> None:
    """What is no whole number stays none, and no digit is lost."""
    assert respelled(literal) == spelling


@given(st.one_of(finite.map(abs).map(repr), st.integers(0, 10**30).map(str)))
def test_a_respelled_literal_is_the_same_number(literal: str) -> None:
    """Exactly, and spelled again it does not change."""
    assert Fraction(respelled(literal)) == Fraction(literal)
    assert respelled(literal).isdigit() == literal.isdigit()
    assert respelled(respelled(literal)) == respelled(literal)


def test_nothing_else_in_the_package_spells_numbers() -> None:
    """`{rate:g}` writes `1e-05`; only fixed places, as in a table of losses, are formatted where they stand."""
    package = Path(layerlr_dsl.__file__).parent
    found = {
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r":[<>]?[+,]?[.\d]*[ge]\}", line)
    }
    assert found == set()
