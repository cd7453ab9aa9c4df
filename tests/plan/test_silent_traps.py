"""Files that are allowed, do something, and hardly ever do what was meant: they are not let pass in silence."""

from __future__ import annotations

import pytest
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.api import Rules
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.source import Source
from layerlr_dsl.model.inventory import Inventory


def _said(text: str, model: Inventory | None, code: str) -> list[layerlr.Diagnostic]:
    return [found for found in layerlr.parse(text).check(model) if found.code == code]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("** -> lr 1e3", "1e3"),
        ("let base = 30\n** -> lr base", "base"),
        ("optimizer lion(lr=1e2)\n** -> weight_decay 0", "1e2"),
        ("** -> lr 1e-3\nfc -> optimizer adam(lr=11)", "11"),
    ],
)
@pytest.mark.parametrize("modelled", [True, False])
def test_a_rate_that_nobody_means_is_warned_of_on_its_value(
    resnet18: Inventory, text: str, place: str, modelled: bool
) -> None:
    """Once, with a model and without."""
    [found] = _said(text, resnet18 if modelled else None, "LR129")
    assert found.severity == "warning"
    assert found.span is not None
    assert found.span.text == place


@pytest.mark.parametrize(
    "text",
    [
        "optimizer sgd\n** -> lr 1e3",
        "optimizer lars(lr=30)\n** -> weight_decay 0",
        "** -> lr 10",
        "** -> lr 1e-3\nfc -> optimizer sgd(lr=100)",
    ],
)
def test_a_rate_that_may_be_meant_is_left_alone(resnet18: Inventory, text: str) -> None:
    """SGD and LARS have steps of any length, and 10 is the edge."""
    assert not _said(text, resnet18, "LR129")


@pytest.mark.parametrize("text", ["layer<i> -> lr 8 * i\nfc -> lr 1", "** -> lr 5\nlayer4 -> lr *= 3"])
def test_a_rate_that_only_the_model_makes_implausible_is_found(resnet18: Inventory, text: str) -> None:
    """By a capture, and by a factor: neither is too great where it stands."""
    assert not _said(text, None, "LR129")
    assert "for `layer" in _said(text, resnet18, "LR129")[0].message


@pytest.mark.parametrize(
    "text",
    [
        "**.bias, ** where module is norm -> weight_decay 0",
        "group small = **, fc where ndim == 1\n@small -> weight_decay 0",
        "freeze layer1, ** except fc where ndim == 4",
    ],
)
def test_an_item_beside_all_does_not_escape_the_condition(resnet18: Inventory, text: str) -> None:
    """`where` filters the whole list: the biases that are no norm's keep their decay, which is said."""
    [found] = _said("** -> lr 1e-3, weight_decay 0.1\n" + text, resnet18, "LR132")
    assert found.severity == "warning"
    assert found.span is not None
    assert found.span.text in ("**.bias", "fc", "layer1")
    assert "one with `** where" in str(found.help)


@pytest.mark.parametrize(
    "text", ["** where module is norm -> lr 1", "**.bias, fc where ndim == 1 -> lr 1", "**, fc -> lr 1"]
)
def test_a_list_that_its_condition_suits_is_let_pass(text: str) -> None:
    """One item, items of which none covers all, and a list without a condition."""
    assert not _said(text, None, "LR132")


def test_a_rate_of_0_is_told_from_a_freeze() -> None:
    """Set or multiplied; a small rate is a rate."""
    assert _said("** -> lr 1\nfc -> lr 0", None, "LR130")
    assert _said("** -> lr 1\nfc -> lr *= 0", None, "LR130")
    assert not _said("** -> lr 1e-9, weight_decay 0", None, "LR130")


def test_a_star_that_covers_less_than_two_says_how_much_less(resnet18: Inventory) -> None:
    """Both counts, against the names themselves."""
    [found] = _said("** -> lr 1\n*.bias -> weight_decay 0", resnet18, "LR215")
    biases = [name for name in resnet18.names if name.endswith("bias")]
    narrow = [name for name in biases if name.count(".") == 1]
    assert f"covers {len(narrow)} of the {len(biases)} parameters" in found.message
    assert not _said("** -> lr 1\n**.bias, layer1.*.bn1 -> weight_decay 0", resnet18, "LR215")


def test_a_star_behind_except_is_looked_at_too(resnet18: Inventory) -> None:
    """What is left out is as narrow as what is covered."""
    [found] = _said("** -> lr 1\n** except *.bias -> weight_decay 0.1", resnet18, "LR215")
    assert "covers 2 of the 21" in found.message


def test_a_rate_that_grows_beyond_belief_is_found(resnet18: Inventory) -> None:
    """At its greatest, which a plausible start does not show; SGD may have any."""
    text = "epochs 9\n** -> lr 1e-3\nfc -> lr ramp((0%, 0), (50%, {}), (100%, 0))"
    [found] = _said(text.format("1e2"), resnet18, "LR129")
    assert "100 at its greatest for `fc.weight`" in found.message
    assert not _said(text.format("1"), resnet18, "LR129")
    assert not _said("optimizer sgd\n" + text.format("1e2"), resnet18, "LR129")


def test_what_lies_beyond_the_run_is_one_finding_of_each_kind(resnet18: Inventory) -> None:
    """A shorter run has one cause: the first place is named, the others are shown beside it."""
    windows = "".join(f"fc -> lr 1e-3 from epoch {k}\n" for k in (7, 8, 9))
    freezes = "".join(f"freeze layer{k} until epoch {10 + k}\n" for k in (1, 2, 3, 4))
    text = f"epochs 5\n** -> lr 1e-3\n{windows}{freezes}"
    [opens], [closes] = _said(text, resnet18, "LR302"), _said(text, resnet18, "LR304")
    assert "`epoch 7` is never reached: the run ends at epoch 5; 2 other places likewise" in opens.message
    assert "3 other places likewise" in closes.message
    assert [one.span.text for one in closes.related] == ["epoch 12", "epoch 13", "epoch 14"]
    assert not _said(text.replace("epochs 5", "epochs 99"), resnet18, "LR302")


@pytest.mark.parametrize(
    ("sequence", "masked"),
    [
        ("fc then **", "fc"),
        ("layer4 then layer3 then layer4", "layer4"),
        ("layer4.1 then layer4 then **", "layer4.1"),
        ("** then fc", None),
        ("fc then ** except fc", None),
        ("layer<i> by i descending then conv1", None),
        ("fc, layer4 then layer4", None),
    ],
)
def test_a_turn_that_thaws_nothing_is_named(resnet18: Inventory, sequence: str, masked: str | None) -> None:
    """A later turn covers the same, and each layer thaws once: at the last of its turns."""
    found = _said(f"epochs 9\n** -> lr 1e-3\nunfreeze {sequence} every 1 epoch", resnet18, "LR308")
    assert [one.span.text for one in found if one.span] == ([masked] if masked else [])


def test_turns_that_never_come_are_one_finding(resnet18: Inventory) -> None:
    """A run too short for a sequence has one cause: the first turn is named, the others are shown beside it."""
    text = (
        "** -> lr 1e-3\nepochs 6\nunfreeze fc then layer4 then layer3 then layer2 then layer1 every 5 epochs"
    )
    [found] = _said(text, resnet18, "LR302")
    assert found.span is not None
    assert found.span.text == "layer3"
    assert "nor do the 2 behind it" in found.message
    assert [other.span.text for other in found.related] == ["layer2", "layer1"]
    [single] = _said(text.replace("5 epochs", "2 epochs"), resnet18, "LR302")
    assert single.span is not None
    assert (single.span.text, len(single.related)) == ("layer2", 1)


@pytest.mark.parametrize(
    ("selector", "meant"),
    [
        ("fc", False),
        ("conv1, fc", False),
        ("** where ndim == 4", False),
        ("bn1.weight", True),
        ("layer1, fc", True),
    ],
)
def test_statistics_of_what_has_none_are_an_error(resnet18: Inventory, selector: str, meant: bool) -> None:
    """A layer is meant where the selector covers it or a parameter of it."""
    found = _said(f"** -> lr 1e-3\nfreeze statistics of {selector}", resnet18, "LR209")
    assert [one.severity for one in found] == ([] if meant else ["error"])


def _all_said(text: str, model: Inventory) -> list[tuple[str, str]]:
    """Every finding that is more than a note, by its code and its place."""
    found = Rules(check(Source("t.lr", text))).check(model)
    return [(one.code, one.span.text if one.span else "") for one in found if one.severity != "info"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("layer<i-1> -> lr 0.1 * i", ("LR011", "<i-1>")),
        ("layer<i>.{0 -> lr 0.1 * last(i)", ("LR011", "{0")),
        ("layer<i>.. where i > 1 -> lr 0.1", ("LR011", ".")),
        ("group g = layer<i>..\n@g -> lr 0.1 * i", ("LR011", ".")),
        ("group g = layer<i>..\nlet n = last(@g)\n** -> lr n", ("LR011", ".")),
        ("group g = layer<i>..\nunfreeze @g by i every 1 epoch", ("LR011", ".")),
        ("stage a for some epochs\nfc -> lr 1\nstage b", ("LR101", "some")),
        ("stage a for 0 epochs\nfc -> lr 1\nstage b for 1 epoch", ("LR312", "0")),
        ("stage a until loss stops falling for 0 epochs\nfc -> lr 1\nstage b", ("LR312", "0")),
        ('include "no.lr"\n@g -> lr base\nfreeze @h', ("LR113", '"no.lr"')),
        ("optimizer critic = sgd(lr=0.1)\nfc -> optimizer critik", ("LR104", "critik")),
    ],
)
def test_what_follows_from_a_fault_is_not_said(
    resnet18: Inventory, text: str, cause: tuple[str, str]
) -> None:
    """A capture of a pattern that cannot be read, a length that is none, names of a file that is not there."""
    assert _all_said(f"epochs 9\n** -> lr 1e-3\n{text}", resnet18) == [cause]


def test_a_name_that_is_not_known_is_said_beside_a_pattern_at_fault(resnet18: Inventory) -> None:
    """The pattern was to bind `i`, and no `j`."""
    said = _all_said("** -> lr 1e-3\nlayer<i>.. -> lr 0.1 * j", resnet18)
    assert said == [("LR011", "."), ("LR101", "j")]


def _codes(text: str, model: Inventory) -> set[str]:
    """The codes of everything that `validate` says of a file that may be at fault by itself."""
    return {one.code for one in Rules(check(Source("t.lr", text))).check(model)}


@pytest.mark.parametrize("selector", ["layer7", "@none"])
def test_one_cause_is_one_finding(resnet18: Inventory, selector: str) -> None:
    """Statistics of what is not there: that it is not there is said, and not besides that it has none."""
    text = f"group none = layer9\n** -> lr 1e-3\nfreeze statistics of {selector}"
    found = [one.span for one in layerlr.parse(text).check(resnet18) if one.severity == "error"]
    assert [span.text for span in found if span] == ["layer9", *["layer7"] * (selector == "layer7")]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("layers4 -> lr 1, wd 0", "LR103"),
        ("layers4 -> lr -1", "LR107"),
        ("layers4 where foo > 3 -> lr 1", "LR101"),
        ("fc, layers4 except @unknown -> lr 1", "LR110"),
        ("freeze layers4 until epoch foo", "LR101"),
        ("unfreeze layers4 every 1 epoch", "LR315"),
        ("expect layers4 lrr == 1", "LR103"),
    ],
)
def test_a_statement_at_fault_is_held_against_the_model_too(
    resnet18: Inventory, statement: str, code: str
) -> None:
    """Both faults are told in one run; a layer that is there is not complained of."""
    assert {code, "LR201"} <= _codes(f"** -> lr 1e-3\n{statement}", resnet18)
    right = statement.replace("layers4", "layer4")
    assert "LR201" not in _codes(f"** -> lr 1e-3\n{right}", resnet18)


def test_what_only_a_freeze_can_mean_is_there_where_the_freeze_is_at_fault(resnet18: Inventory) -> None:
    """`relu` holds no parameter, and freezing it is allowed."""
    text = "** -> lr 1e-3\nfreeze relu until epoch foo\n"
    assert _codes(text, resnet18) == {"LR101"}


def test_a_norm_without_parameters_has_statistics() -> None:
    """`affine=False` leaves nothing that a parameter's name could say."""
    model = Inventory.of(nn.ModuleDict({"norm": nn.BatchNorm1d(2, affine=False), "fc": nn.Linear(2, 2)}))
    assert not _said("** -> lr 1e-3\nfreeze statistics of norm", model, "LR209")
    assert _said("** -> lr 1e-3\nfreeze statistics of fc", model, "LR209")


@pytest.mark.parametrize("argument", ["warmup_start_factor=0.1", "warmup_lr=1e-6", "warmup_type=cosine"])
def test_a_warm_up_that_is_only_described_is_an_error(resnet18: Inventory, argument: str) -> None:
    """Without `warmup=` nothing would come of it."""
    with pytest.raises(layerlr.RuleError, match="there is none") as fault:
        layerlr.parse(f"epochs 9\nschedule cosine({argument})\n** -> lr 1e-3")
    assert [found.code for found in fault.value.diagnostics] == ["LR120"]
    assert not _said(
        f"epochs 9\nschedule cosine(warmup=2 epochs, {argument})\n** -> lr 1e-3", resnet18, "LR120"
    )


def test_lets_that_double_with_each_other_are_refused(resnet18: Inventory) -> None:
    """Sixty lines would be a value of 2^60 parts, worked out at every step; the first too many is named, once."""
    chain = "".join(f"let a{k + 1} = a{k} + a{k}\n" for k in range(60))
    text = f"steps 10\nlet a0 = progress\n{chain}** -> lr 1e-3 * a60"
    assert _all_said(text, resnet18) == [("LR007", "a9")]
    few = "".join(f"let a{k + 1} = a{k} + a{k}\n" for k in range(8))
    assert _all_said(f"steps 10\nlet a0 = progress\n{few}** -> lr 1e-3 * a8", resnet18) == []


def test_a_long_chain_of_lets_that_move_is_refused(resnet18: Inventory) -> None:
    """Each is laid into the next, so that a value would lie as deep as the chain is long."""
    chain = "".join(f"let a{k + 1} = a{k} * 1\n** -> lr a{k}\n" for k in range(2_000))
    assert _all_said(f"steps 10\nlet a0 = progress\n{chain}", resnet18) == [("LR007", "a75")]
    short = "".join(f"let a{k + 1} = a{k} * 1\n" for k in range(74))
    assert _all_said(f"steps 10\nlet a0 = progress\n{short}** -> lr a74", resnet18) == []
