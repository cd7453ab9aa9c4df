"""What the segments of a selector accept, beyond what the oracle generates."""

from __future__ import annotations

import pytest

from layerlr_dsl.language.patterns import PatternFault, compile_pattern
from layerlr_dsl.language.regex import RegexFault, full_match


def ways(pattern: str, text: str) -> list[dict[str, int]]:
    (segment,) = compile_pattern(pattern).segments
    return [dict(bindings) for bindings in segment.match(text)]


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("layer{0..5}", ["layer0", "layer5", "layer05"], ["layer6", "layer12", "layer"]),
        ("{a,b}c", ["ac", "bc"], ["c", "abc"]),
        ("{layer*,fc}", ["layer9", "fc"], ["fc1"]),
        ("[a-c]?", ["ax", "cc"], ["dx", "a"]),
        ("[!a]", ["b"], ["a", ""]),
        ("[*]", ["*"], ["x"]),
        ("*a*", ["a", "bab"], ["b"]),
        ("x<i>", ["x1", "x10"], ["x", "xa", "x1a"]),
    ],
)
def test_a_segment_matches_as_in_a_shell(pattern: str, yes: list[str], no: list[str]) -> None:
    """Plus ranges compared as numbers, and captures."""
    assert all(ways(pattern, text) for text in yes)
    assert not any(ways(pattern, text) for text in no)


def test_a_capture_takes_a_maximal_run_of_digits() -> None:
    """It never binds a part of a number, and used twice it must agree."""
    assert ways("l<i>*", "l123x") == [{"i": 123}]
    assert ways("<i>x<i>", "7x7") == [{"i": 7}]
    assert ways("<i>x<i>", "7x8") == []
    assert ways("*<i>*", "a1b2") == [{"i": 1}, {"i": 2}]


@pytest.mark.parametrize(
    "text", ["", "a..b", ".a", "a.", "a**", "{a", "[a", "<a", "{a{b}}", "{a b}", "{}", "{5..1}"]
)
def test_a_malformed_pattern_says_where(text: str) -> None:
    """With the offsets of the fault."""
    with pytest.raises(PatternFault) as raised:
        compile_pattern(text)
    assert 0 <= raised.value.start <= raised.value.end <= max(1, len(text))


def test_no_pattern_can_be_made_to_hang() -> None:
    """A hundred stars against a long name: the set of places is walked, nothing is tried again."""
    assert ways("*a" * 100 + "b", "a" * 2000) == []
    assert ways("{a,aa}" * 100 + "b", "a" * 400) == []


def test_regular_expressions_are_re2s_and_take_the_whole_name() -> None:
    """What RE2 lacks is an error that says so."""
    assert full_match("a.*")("abc")
    assert not full_match("b")("abc")
    with pytest.raises(RegexFault, match="look-ahead"):
        full_match("a(?=b)")
    with pytest.raises(RegexFault, match="back-references"):
        full_match(r"(a)\1")
