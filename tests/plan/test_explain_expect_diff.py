"""Explaining a parameter, testing a file by its own `expect`, and comparing two files."""

from __future__ import annotations

import pytest

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.diff import diff
from layerlr_dsl.plan.expect import run_expectations
from layerlr_dsl.plan.findings.advice import advice

LAYERED = """let base = 1e-3
** -> lr base
layer<i> -> lr *= 0.5 ^ (last(i) - i + 1)
layer4.* -> lr 1e-4
fc -> lr 1e-2 until epoch 2
freeze layer1 until epoch 5
"""


def statuses(plan: layerlr.Plan, name: str, option: str, epoch: float = 0) -> list[tuple[str, str]]:
    return [(s.place.rpartition(":")[2], s.status) for s in plan.explain(name, epoch).options[option].steps]


def test_explain_marks_the_winner_and_what_it_overrides(resnet18: Inventory) -> None:
    """Every rule that matches, in order, with its part in the outcome."""
    plan = layerlr.parse(LAYERED).resolve(resnet18, epochs=10)
    assert statuses(plan, "layer4.0.bn1.bias", "lr") == [
        ("2", "overridden"),
        ("3", "overridden"),
        ("4", "wins"),
    ]
    assert statuses(plan, "layer2.0.bn1.bias", "lr") == [("2", "applies"), ("3", "wins")]
    assert statuses(plan, "fc.bias", "lr", 3) == [("2", "wins"), ("5", "outside")]
    assert statuses(plan, "layer1.0.bn1.bias", "frozen", 5) == [("6", "outside")]


def test_explain_fills_expressions_with_their_values(resnet18: Inventory) -> None:
    """As one would work it out on paper."""
    told = layerlr.parse(LAYERED).resolve(resnet18, epochs=10).explain("layer2.0.bn1.bias")
    assert told.options["lr"].steps[1].filled == "0.5 ^ (4 - 2 + 1) = 0.125"
    assert told.options["lr"].value == pytest.approx(1.25e-4)


def test_explain_refuses_an_unknown_name(resnet18: Inventory) -> None:
    """A KeyError, as for any mapping."""
    with pytest.raises(KeyError):
        layerlr.parse(LAYERED).resolve(resnet18, epochs=10).explain("nope")


def outcomes(text: str, model: Inventory, **run: float) -> list[str | None]:
    plan = layerlr.parse(text).resolve(model, **run)  # type: ignore[arg-type]
    return [None if o.failure is None else o.failure.message for o in run_expectations(plan)]


def test_expectations_hold_or_say_what_was_found(resnet18: Inventory) -> None:
    """All failures in one run, each with the value found."""
    text = (
        LAYERED
        + """
expect layer4.0.conv1.weight lr == 1e-4
expect layer1 frozen at epoch 4
expect layer1 trains at epoch 5
expect fc lr == 1e-2
expect fc lr == 1e-2 at epoch 1
expect trainable < 10% at epoch 0
expect trainable >= 99% at epoch 6
expect groups == 3
expect layer<i> lr <= 1e-3
expect layer<i>.0.bn1 lr == 1e-3 * 0.5 ^ (last(i) - i + 1)
"""
    )
    found = outcomes(text, resnet18, epochs=10)
    assert found[:3] == [None, None, None]
    assert found[3] == "expected lr == 0.01 for `fc.weight`, but its lr is 1e-3 at epoch 2"
    assert found[4] is None
    assert found[5] is not None
    assert "98.73%" in found[5]
    assert found[6] is None
    assert found[7] == "expected groups == 3, but `groups` is 6"
    assert found[8] is None
    assert found[9] is not None
    assert "layer4" in found[9]


def test_a_failed_expectation_points_to_the_rule(resnet18: Inventory) -> None:
    """The rule that the value came from is shown beside it."""
    plan = layerlr.parse("** -> lr 1e-4\nexpect fc lr == 1").resolve(resnet18)
    failure = run_expectations(plan)[0].failure
    assert failure is not None
    assert failure.code == "LR220"
    assert [r.span.text for r in failure.related] == ["** -> lr 1e-4"]


def test_an_expectation_of_nothing_is_an_error(resnet18: Inventory) -> None:
    """A test that tests nothing must not pass."""
    with pytest.raises(layerlr.RuleError) as raised:
        layerlr.parse("** -> lr 1\nexpect nothing lr == 1").resolve(resnet18)
    assert [d.code for d in raised.value.diagnostics] == ["LR201"]


def test_floats_compare_within_a_billionth(resnet18: Inventory) -> None:
    """0.1 + 0.2 is 0.3, and 1e-12 is not 2e-12."""
    assert outcomes("** -> lr 0.1 + 0.2\nexpect fc lr == 0.3", resnet18) == [None]
    assert outcomes("** -> lr 1e-12\nexpect fc lr == 2e-12", resnet18) != [None]


def test_diff_gives_both_values_over_time(resnet18: Inventory) -> None:
    """By parameter, and only those that differ."""
    old = layerlr.parse("** -> lr 1e-4; fc -> lr 1e-3").resolve(resnet18, epochs=5)
    new = layerlr.parse("** -> lr 1e-4; fc -> lr 1e-3 until epoch 2; freeze conv1").resolve(
        resnet18, epochs=5
    )
    found = {(d.parameter, d.option): (d.old, d.new) for d in diff(old, new)}
    assert found == {
        ("conv1.weight", "frozen"): ("false", "true"),
        ("fc.weight", "lr"): ("1e-3", "1e-3, from epoch 2 1e-4"),
        ("fc.bias", "lr"): ("1e-3", "1e-3, from epoch 2 1e-4"),
    }


def test_a_file_does_not_differ_from_itself(resnet18: Inventory) -> None:
    """Nor from the same rules in other words."""
    plans = [
        layerlr.parse(t).resolve(resnet18) for t in ("** -> lr 1e-4", "** -> lr 2e-4 / 2", "**.* -> lr 1e-4")
    ]
    assert [list(diff(plans[0], p)) for p in plans] == [[], [], []]


def test_statistics_are_compared_as_they_are(resnet18: Inventory) -> None:
    """What a freeze holds and what is held by itself are alike, and a layer without statistics is not named."""
    texts = (
        "** -> lr 1e-3\nfreeze statistics of layer1",
        "** -> lr 1e-3\nfreeze statistics of **\nfreeze layer1, fc until epoch 3",
    )
    plans = [layerlr.parse(text).resolve(resnet18, epochs=6) for text in texts]
    found = {(d.parameter, d.old, d.new) for d in diff(*plans) if d.option == "statistics"}
    assert {(old, new) for _, old, new in found} == {("going on", "held")}
    assert {name.split(".")[0] for name, _, _ in found} == {"bn1", "layer2", "layer3", "layer4"}
    assert {name.rsplit(".")[-2] for name, _, _ in found} == {"bn1", "bn2", "1"}  # `1`: of a downsample
    frozen = layerlr.parse("** -> lr 1e-3\nfreeze layer1").resolve(resnet18, epochs=6)
    trains = layerlr.parse("** -> lr 1e-3").resolve(resnet18, epochs=6)
    assert {d.option for d in diff(trains, frozen)} == {"frozen"}


def test_advice_is_given_only_when_asked_for(resnet18: Inventory) -> None:
    """LR4xx never appear among a plan's own findings."""
    plan = layerlr.parse("** -> lr 1e-8; fc -> lr 1e-2").resolve(resnet18)
    assert not [d for d in plan.diagnostics if d.code.startswith("LR4")]
    assert {d.code for d in advice(plan)} == {"LR401", "LR402"}


def test_explain_says_what_becomes_of_running_statistics(resnet18: Inventory) -> None:
    """For norms that keep them, beside what is said of their parameters; a plain freeze needs no word."""
    text = "** -> lr 1e-3\nfreeze statistics of ** until epoch 5\nfreeze layer1 updating statistics until epoch 3\nfreeze layer2"
    plan = layerlr.parse(text).resolve(resnet18, epochs=10)
    assert statuses(plan, "layer1.0.bn1.bias", "statistics", 2) == [("2", "overridden"), ("3", "wins")]
    assert plan.explain("layer1.0.bn1.bias", 2).options["statistics"].value == "going on"
    assert plan.explain("layer1.0.bn1.bias", 4).options["statistics"].value == "held"
    assert statuses(plan, "layer2.0.bn1.bias", "statistics", 2) == [("2", "overridden")]
    assert plan.explain("fc.bias", 6).options.keys() == {"lr", "frozen"}
    assert "statistics" not in plan.explain("layer1.0.conv1.weight", 2).options


def test_a_sequence_of_schedules_says_for_how_long_each_is(resnet18: Inventory) -> None:
    """Two that differ in the words alone are one behaviour still."""
    text = "schedule linear for 20% then constant for (4 + 4) epochs then cosine\n** -> lr 1e-3\nfc -> schedule linear for 2 epochs then constant for 8 epochs then cosine"
    plan = layerlr.parse(text).resolve(resnet18, epochs=10 + 10)
    assert (
        plan.explain("conv1.weight").schedule == "linear for 20% then constant for (4 + 4) epochs then cosine"
    )
    same = layerlr.parse(text.replace("20%", "10%")).resolve(resnet18, epochs=20)
    assert len(same.groups) == 1


def test_a_running_warm_up_is_known_to_an_explanation(resnet18: Inventory) -> None:
    """A rate below its own has a cause."""
    text = "** -> lr 1e-3\nfreeze layer1 until epoch 2 warmup 2 epochs"
    plan = layerlr.parse(text).resolve(resnet18, epochs=10, steps_per_epoch=10)
    thawing = [plan.explain("layer1.0.conv1.weight", epoch).thawing for epoch in (1, 3, 5)]
    assert thawing == [False, True, False]


def test_a_warm_up_after_a_thaw_is_a_difference(resnet18: Inventory) -> None:
    """Rates differ while it lasts, though every option and every freeze is the same."""
    text = "** -> lr 1e-3\nfreeze layer1 until epoch 2 warmup {} epochs\nfreeze layer2 until val_loss stops falling for 3 epochs warmup {} epochs"
    plans = [layerlr.parse(text.format(n, n)).resolve(resnet18, epochs=10) for n in (1, 2)]
    found = {(one.old, one.new) for one in diff(*plans)}
    assert found == {
        ("epoch 2 to epoch 3", "epoch 2 to epoch 4"),
        ("1 epoch long when a metric says so", "2 epochs long when a metric says so"),
    }
    assert {one.option for one in diff(*plans)} == {"thaw_warmup"}


STAGES = """** -> lr 1e-3
freeze layer1
stage one {first}, fresh optimizer
stage two for 2 epochs{second}
fc -> lr 1e-3
stage three{third}"""


def test_where_a_stage_begins_with_a_fresh_optimizer_is_a_difference(resnet18: Inventory) -> None:
    """For what trains at all; of the first stage it changes nothing, and behind a metric nobody knows when."""

    def states(*sides: tuple[str, str, str]) -> set[tuple[str, str, str]]:
        texts = [STAGES.format(first=a, second=b, third=c) for a, b, c in sides]
        found = list(diff(*(layerlr.parse(text).resolve(resnet18, epochs=9) for text in texts)))
        assert {one.option for one in found} <= {"optimizer_state"}
        assert not any(one.parameter.startswith("layer1.") for one in found)
        return {(one.option, one.old, one.new) for one in found}

    fixed, waits = "for 3 epochs", "until val_loss stops falling for 2 epochs"
    fresh = ", fresh optimizer"
    assert states((fixed, "", ""), (fixed, "", fresh)) == {("optimizer_state", "kept", "fresh at epoch 5")}
    assert states((fixed, fresh, ""), (fixed, fresh, fresh)) == {
        ("optimizer_state", "fresh at epoch 3", "fresh at epoch 3, fresh at epoch 5")
    }
    assert states((waits, "", ""), (waits, fresh, "")) == {
        ("optimizer_state", "kept", "fresh when stage two begins")
    }
    assert states((fixed, "", ""), (fixed, "", "")) == set()


def test_statistics_differ_where_there_are_any(resnet18: Inventory) -> None:
    """A convolution has none, whatever covers it."""
    plans = [
        layerlr.parse(f"** -> lr 1e-3{more}").resolve(resnet18, epochs=10)
        for more in ("", "\nfreeze statistics of **")
    ]
    names = {one.parameter for one in diff(*plans)}
    assert "bn1.weight" in names
    assert not names & {"conv1.weight", "fc.bias"}


@pytest.mark.parametrize(("frozen", "told"), [("bn1", True), ("bn1.bias", False), ("**.bias", False)])
def test_a_norm_of_which_a_part_trains_never_stood_still(
    resnet18: Inventory, frozen: str, told: bool
) -> None:
    """It goes by each batch from the start, so nothing was fitted to its statistics."""
    rules = layerlr.parse(f"** -> lr 1e-3\nfreeze {frozen} until epoch 2")
    plan = rules.resolve(resnet18, epochs=4, steps_per_epoch=2)
    assert any(d.code == "LR404" for d in advice(plan)) is told
