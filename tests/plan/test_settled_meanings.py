"""Small meanings that a checker from outside would ask for, each as the reference says it."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from small_models import inventory_of

import layerlr_dsl as layerlr
from layerlr_dsl.api import Rules
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.source import Source
from layerlr_dsl.plan.expect import run_expectations

MODEL = inventory_of({"body.weight": 2, "body.bias": 1, "fc.weight": 2})


def failures(text: str) -> list[str]:
    plan = layerlr.parse(text).resolve(MODEL, epochs=10)
    return [o.failure.message for o in run_expectations(plan) if o.failure is not None]


def found(text: str) -> list[tuple[str, str, str | None]]:
    rules = Rules(check(Source("t.lr", text)))
    return [
        (d.code, d.span.text if d.span else "", d.help)
        for d in rules.check(MODEL, epochs=10)
        if d.severity != "info" and d.code != "LR204"
    ]


CHOOSING = """
schedule cosine(warmup=1 epoch)
** -> lr 1
fc -> schedule constant, optimizer sgd
"""


@pytest.mark.parametrize(
    "holds",
    [
        'body schedule == "cosine"',
        "body schedule == cosine",
        'body schedule == "cosine(warmup=1 epoch)"',
        'fc schedule == "constant"',
        'fc schedule != "cosine"',
        'fc optimizer == "SGD"',
        "body optimizer == adamw",
        'body optimizer != "sgd"',
    ],
)
def test_expect_can_ask_which_schedule_and_optimizer(holds: str) -> None:
    """By name, a schedule by its whole text too; the negation fails and shows what was found."""
    assert failures(f"{CHOOSING}expect {holds}") == []
    other = holds.replace("==", "!=") if "==" in holds else holds.replace("!=", "==")
    (message,) = failures(f"{CHOOSING}expect {other}")
    assert message.startswith("expected ")


def test_a_failed_expectation_of_a_schedule_names_the_rule() -> None:
    """The rule that chose it is shown as the second place."""
    plan = layerlr.parse(f"{CHOOSING}expect fc schedule == cosine").resolve(MODEL, epochs=10)
    (failed,) = [o.failure for o in run_expectations(plan)]
    assert failed is not None
    assert failed.message == "expected schedule == cosine for `fc.weight`, but its schedule is constant"
    assert [r.span.first.line for r in failed.related if r.span] == [4]


def test_without_a_schedule_the_rate_is_constant() -> None:
    """A file that gives no schedule moves no rate."""
    assert failures("** -> lr 1\nexpect fc schedule == constant") == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("** -> lr 1\nexpect fc schedule < 3", "LR107"),
        ("** -> lr 1\nexpect fc optimizer == 3", "LR107"),
        ("** -> lr 1\nexpect fc optimizer == adamww", "LR104"),
    ],
)
def test_what_cannot_be_a_choice_is_an_error(text: str, code: str) -> None:
    """Names only, and of optimizers only those that there are."""
    assert [c for c, _, _ in found(text)] == [code]


@pytest.mark.parametrize("clock", [{"epochs": -1}, {"epochs": 0}, {"epochs": "x"}, {"steps_per_epoch": 0}])
def test_check_never_raises_for_an_impossible_clock(clock: dict[str, Any]) -> None:
    """A finding says so; `resolve` raises ValueError for the same."""
    rules = layerlr.parse("** -> lr 1")
    (one,) = rules.check(MODEL, **clock)
    assert (one.code, one.severity) == ("LR312", "error")
    with pytest.raises(ValueError, match="must be a"):
        rules.resolve(MODEL, **clock)


def test_check_never_raises_for_what_is_no_model() -> None:
    """A finding says what was given instead."""
    (one,) = layerlr.parse("** -> lr 1").check("resnet18")  # type: ignore[arg-type]
    assert (one.code, one.severity) == ("LR210", "error")


def test_events_name_metrics_that_rules_wait_for() -> None:
    """A slip of the pen would else look like a condition that never comes true."""
    plan = layerlr.parse("** -> lr 1\nfreeze fc until val_loss stops falling for 2 epochs").resolve(MODEL)
    assert plan.at(epoch=3, events={"val_loss": 2})["fc.weight"]["frozen"] is False
    with pytest.raises(ValueError, match="'val_los'; did you mean 'val_loss'"):
        plan.at(epoch=3, events={"val_los": 2})
    with pytest.raises(ValueError, match="they wait for val_loss"):
        plan.at(epoch=3, events={"accuracy": 2})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("** -> lr 1\nfc -> lr 2, optimizer sgd(lr=1)", [("LR124", "lr")]),
        ("** -> lr 1\nfc -> optimizer sgd(lr=1), lr *= 2", [("LR124", "lr")]),
        ('include "a\0b"\n** -> lr 1', [("LR010", "\0")]),
        ("** -> lr 1,\nweight_decay 0", [("LR005", ",")]),
        ("** -> lr 1,\nbetas (0.9, 0.95)", [("LR005", ",")]),
        ("** -> lr 1\ngroup g = body,\nfc", [("LR005", ",")]),
        ("** -> lr 1,\nfrezee fc until epoch 3", [("LR005", ","), ("LR004", "frezee")]),
        ("** -> lr 1,;\nweight_decay 0", [("LR005", ","), ("LR005", "weight_decay")]),
        ("** -> lr 1\nfc where module == Linear -> lr 2", [("LR107", "module == Linear")]),
        ("optimizer sgd\n** -> lr 1e200\n** -> lr *= 1e200\n** -> lr *= 1e200", [("LR108", "lr *= 1e200")]),
        ("optimizer rprop\n** -> lr 1\nschedule cosine", [("LR117", "schedule cosine")]),
        ("optimizer rprop\n** -> lr 1\nschedule constant", []),
        ("** -> lr 1\nfc. -> lr 2", [("LR011", ".")]),
        ("** -> optimizer sgd(lr=1, nesterov=true)", [("LR107", "nesterov=true")]),
        ("** -> optimizer sgd(lr=1, momentum=0.9, nesterov=true)", []),
        (
            "optimizer sgd(lr=1, momentum=0.9, nesterov=true)\n** -> lr 1\nfc -> momentum 0",
            [("LR107", "momentum 0")],
        ),
    ],
)
def test_one_fault_is_one_error(text: str, expected: list[tuple[str, str]]) -> None:
    """And it stands where the fault is."""
    assert [(code, place) for code, place, _ in found(text)] == expected


@pytest.mark.parametrize("selector", ["a" * 9_000, "body." * 1_500 + "x", "x." * 4_000 + "fc"])
def test_a_long_selector_does_not_fill_the_screen(selector: str) -> None:
    """What matches nothing is shown by its beginning."""
    (one,) = Rules(check(Source("t.lr", f"{selector} -> lr 1\n** -> lr 1"))).check(MODEL)[:1]
    assert one.code == "LR201"
    assert len(one.message) < 200
    assert len(one.help or "") < 400


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("freeze where until epoch 3", "a layer of this name stands in quotes"),
        ("freeze fc until loss stops decreasing for 3 epochs", "loss stops falling for 3 epochs`"),
        ("freeze fc until loss stops increasing for 3 epochs", "loss stops rising for 3 epochs`"),
        ("freeze fc until loss stops fallin for 3 epochs", "loss stops falling for 3 epochs`"),
        ("fc where name == bias -> lr 2", 'a text stands in quotes: `name == "bias"`'),
        ("fc where dtype == float3 -> lr 2", "did you mean `float32`?"),
    ],
)
def test_the_help_says_what_was_meant(text: str, help: str) -> None:
    """By meaning, where spelling would mislead."""
    (one,) = found(f"** -> lr 1\n{text}")
    assert one[2] is not None
    assert one[2].endswith(help)


@pytest.mark.parametrize(
    ("selector", "help"),
    [
        ("layer.{7..9}", "there is no `{7..9}` below `layer`: there are `0`, `1`"),
        ("layer.{0..1}.wieght", "did you mean `layer.{0..1}.weight`?"),
        ("{0..1}.x", "there is no `{0..1}` at the top: there are `layer`"),
        ("layer.[5-7].x", "there is no `[5-7]` below `layer`: there are `0`, `1`"),
    ],
)
def test_a_range_is_one_segment_in_the_help(selector: str, help: str) -> None:
    """Its dots end no segment."""
    model = inventory_of({"layer.0.weight": 2, "layer.1.weight": 2})
    found = Rules(check(Source("t.lr", f"** -> lr 1\n{selector} -> lr 2"))).check(model)
    assert [d.help for d in found if d.code == "LR201"] == [help]


def test_a_faulty_condition_is_told_at_each_rule_that_has_it() -> None:
    """Rules that ask the same share the answer, and a fault is no answer: none is told that it selects nothing."""
    model = inventory_of({"0.weight": 2, "1.weight": 2})
    rules = layerlr.parse(
        "** -> lr 1\n0 where 1 / (ndim - ndim) > 1 -> lr 2\n1 where 1 / (ndim - ndim) > 1 -> lr 3"
    )
    found = [(d.code, d.span.first.line) for d in rules.check(model) if d.severity == "error" and d.span]
    assert found == [("LR108", 2), ("LR108", 3)]


def test_a_faulty_rate_is_not_also_a_missing_one() -> None:
    """A rate that has no value for some parameters was given all the same."""
    rules = Rules(check(Source("t.lr", "** -> lr 1 / (ndim - 1)")))
    assert [d.code for d in rules.check(MODEL, epochs=10)] == ["LR108"]


@pytest.mark.parametrize("steps_per_epoch", [Fraction(25, 4), Fraction(13, 2), Fraction(22, 7)])
def test_a_stage_begins_at_a_step_and_counts_from_it(steps_per_epoch: Fraction) -> None:
    """Lengths add up exactly; under a stage a mark is where `epoch` has come to it, as in a run of its own."""
    text = (
        "** -> lr 1\nstage one for 1 epoch\nstage two for 2 epochs\nfc -> lr 2 until epoch 1\n"
        "body -> lr choose(epoch < 1, 2, 1)\nstage three\n** -> lr 3"
    )
    plan = layerlr.parse(text).resolve(MODEL, epochs=4, steps_per_epoch=steps_per_epoch)
    begins, ends = ceil(steps_per_epoch), ceil(3 * steps_per_epoch)
    for step in range(ceil(4 * steps_per_epoch)):
        early = begins <= step < ends and (step - begins) / steps_per_epoch < 1
        rate = 3 if step >= ends else 2 if early else 1
        now = plan.at(step=step)
        assert (now["fc.weight"]["lr"], now["body.weight"]["lr"]) == (rate, rate), step
