"""Ranges of `let`s: how they are written, what is tried of them, how they grow."""

from __future__ import annotations

import pytest

from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.tuning.budget import parse as parse_time
from layerlr_dsl.tuning.ranges import Range, is_range, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("base=1e-5..1e-2 log", ("base", Range(1e-5, 1e-2, log=True))),
        ("decay = 0.5 .. 0.9", ("decay", Range(0.5, 0.9))),
        ("depth=1..8", ("depth", Range(1, 8, whole=True))),
        ("x=.5..1.", ("x", Range(0.5, 1.0))),
        ("shift=-2..2", ("shift", Range(-2, 2, whole=True))),
    ],
)
def test_a_range_is_read_as_it_is_meant(text: str, expected: tuple[str, Range]) -> None:
    """Numbers in any spelling, `log` or not; whole ends mean whole numbers."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("base", "base=", "base=1..", "base=..1", "base=a..b", "base=2..1", "base=1..1", "base=0..1 log"),
        *("1x=1..2", "base=1..inf", "base=nan..1", "base=1..2 lin", "base=1..2..3", "=1..2"),
        "base=1e-5...1e-2",
    ],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    """With the text in the message and how a range is written as help."""
    with pytest.raises(RunnerError) as refused:
        parse(text)
    assert text in refused.value.message
    assert refused.value.status == 2


def test_a_text_with_dots_in_it_is_one_value() -> None:
    """As `train` takes it."""
    assert is_range("base=1..2")
    assert not is_range('where="stem..body"')


def test_a_grid_begins_in_the_middle_and_has_both_ends() -> None:
    """Points are even by the logarithm, in two digits."""
    points = Range(1e-5, 1e-1, log=True).points(5)
    assert points[0] == 1e-3
    assert sorted(points) == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert Range(1, 4, whole=True).points(5) != []
    assert len(set(Range(1, 3, whole=True).points(5))) == len(Range(1, 3, whole=True).points(5)) == 3


def test_a_range_grows_beyond_the_edge_at_which_the_best_lies_but_not_for_ever() -> None:
    """By a step of the grid, three times at most, and only where a logarithm says that the scale is open."""
    found = Range(1e-4, 1e-2, log=True)
    tried = [1e-4, 1e-3, 1e-2]
    assert found.beyond(1e-3, 3, tried) is None
    for expected in (0.1, 1.0, 10.0):
        assert found.beyond(max(tried), 3, tried) == expected
        tried.append(expected)
    assert found.beyond(10.0, 3, tried) is None
    assert found.beyond(1e-4, 3, [1e-4, 1e-3, 1e-2]) == 1e-5
    assert Range(0.5, 0.9).beyond(0.9, 3, [0.9]) is None


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("12", 12)])
def test_times_are_read(text: str, seconds: float) -> None:
    """Seconds, minutes, hours; a bare number is seconds."""
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "10 days", "-5m", "0s", "m", "1e3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(RunnerError, match="is no time"):
        parse_time(text)
