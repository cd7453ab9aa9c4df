"""Rule files that nobody writes: twice as large a file takes about twice the work, or is refused."""

from __future__ import annotations

import sys
from time import process_time

import pytest

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory
from tests.worst_files import WORST

SMALL = 3_000
LARGER = {"lets misspelled": 14_000, "groups misspelled": 14_000}
"""Up to 200 names, a misspelled one is compared with each."""


def check(text: str, model: Inventory) -> list[layerlr.Diagnostic]:
    """Every finding of a text against a model."""
    try:
        return list(layerlr.parse(text).check(model))
    except layerlr.RuleError as refused:
        return list(refused.diagnostics)


def work(text: str, model: Inventory) -> int:
    """How many calls checking a text takes, of functions in Python and in C."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        check(text, model)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("kind", WORST)
def test_twice_as_large_a_file_is_about_twice_the_work(kind: str, resnet18: Inventory) -> None:
    """Whatever a file is full of; the square of its size would be four times the work."""
    size = LARGER.get(kind, SMALL)
    small, large = WORST[kind](size), WORST[kind](2 * size)
    check(WORST[kind](1_000), resnet18)  # what is read once, such as tables
    assert work(large, resnet18) < 2.8 * work(small, resnet18) + 100_000


@pytest.mark.parametrize("kind", ["turns", "lets misspelled", "moving factors", "windows", "stages"])
def test_a_file_of_a_hundred_thousand_characters_is_answered(kind: str, resnet18: Inventory) -> None:
    """The kinds that once took longest; with much room for a machine that is busy."""
    started = process_time()
    assert len(check(WORST[kind](100_000), resnet18)) < 5_000
    assert process_time() - started < 8


def test_stages_that_wait_for_metrics_are_bounded(resnet18: Inventory) -> None:
    """Each is tried with all before it; the first one too many is named, once."""
    found = check(WORST["stages behind a metric"](20_000), resnet18)
    errors = [finding for finding in found if finding.severity == "error"]
    assert [(finding.code, finding.span.text) for finding in errors if finding.span] == [("LR007", "s100")]
