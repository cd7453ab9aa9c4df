"""Rule files that nobody writes: twice as large a file takes about twice the work, or is refused."""

from __future__ import annotations

import sys
from time import process_time

import pytest
from small_models import inventory_of

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory
from tests.worst_files import HEAD, WORST

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


@pytest.mark.parametrize("kind", ["values per parameter", "moving values per parameter"])
def test_values_that_hang_on_the_parameter_are_bounded(kind: str, resnet18: Inventory) -> None:
    """Rules times parameters of them; the first rule that is one too many is named, with the limit, and no more."""
    (finding,) = check(WORST[kind](100_000), resnet18)
    limit = 25_000 + 200 * len(resnet18)
    assert (finding.code, f"more than {limit:,} times" in finding.message) == ("LR007", True)


def test_a_rule_for_each_parameter_of_a_large_model_is_not_too_many() -> None:
    """The bound grows with the model: a value of their own for 3,000 parameters, by twelve rules."""
    model = inventory_of({f"layers.{n}.weight": 2 for n in range(3_000)})
    text = HEAD + "** -> lr 0.1\n" + 12 * "layers.<i> -> lr *= 1 - i / 100_000\n"
    assert [finding.code for finding in check(text, model)] == []


def test_what_was_looked_at_only_now_and_then_is_said(resnet18: Inventory) -> None:
    """A note, for values that differ in more than a number in front; those that do not are looked at once."""
    long = "epochs 100\nsteps_per_epoch 100\n** -> lr ramp((0%, {}), (100%, 0.1)) * cosine(floor=0.1)"
    assert "LR323" in {finding.code for finding in check(long.format("0.1 / (1 + index)"), resnet18)}
    shared = "epochs 100\nsteps_per_epoch 100\n** -> lr 0.1 / (1 + index) * ramp((0%, 1), (100%, 0.1)) * cosine(floor=0.1)"
    assert check(shared, resnet18) == []


def test_numbers_that_come_to_the_same_are_told_apart_only_by_name() -> None:
    """What is said of 300 experts is worked out once for each outcome of the condition, not once for each number."""
    model = inventory_of({f"layers.{n % 3}.experts.{n}.weight": 2 for n in range(300)})
    text = HEAD + "** -> lr 0.1\nlayers.*.experts.<e> where e > last(e) - 8 -> lr *= 2\n"
    plan = layerlr.parse(text).resolve(model)
    assert len({id(cascade) for cascade in plan.cascades}) == 2
    assert [len(group.parameters) for group in plan.groups] == [292, 8]


def test_each_is_explained_by_its_own_number() -> None:
    """Two experts of one rate, of which the same is worked out: the numbers behind it are theirs."""
    model = inventory_of({f"experts.{n}.weight": 2 for n in range(9)})
    plan = layerlr.parse(HEAD + "** -> lr 0.1\nexperts.<e> -> lr 0.1 * min(e + 1, 3)\n").resolve(model)
    assert len(plan.groups) == 3
    for number in (5, 7):
        told = plan.explain(f"experts.{number}.weight").options["lr"].steps[-1]
        assert (told.value, told.filled) == (pytest.approx(0.3), f"0.1 * min({number} + 1, 3) = 0.3")
