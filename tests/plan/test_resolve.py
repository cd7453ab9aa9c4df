"""What a plan says of each parameter, group and phase."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory

CARD = "layer4.* -> lr 1e-4; fc -> lr 1e-3; freeze layer1 until epoch 5"


def codes(plan: layerlr.Plan) -> list[str]:
    return [d.code for d in plan.diagnostics]


def errors(text: str, model: Inventory | nn.Module, **run: float) -> list[str]:
    with pytest.raises(layerlr.RuleError) as raised:
        layerlr.parse(text).resolve(model, **run)  # type: ignore[arg-type]
    return [d.code for d in raised.value.diagnostics if d.severity == "error"]


def test_the_card_does_what_it_says(resnet18: Inventory) -> None:
    """The three rules of the first example: two rates, and a stage frozen for five epochs."""
    plan = layerlr.parse(CARD).resolve(resnet18, epochs=30, steps_per_epoch=10)
    before, after = plan.at(step=49), plan.at(step=50)
    assert before["layer4.0.conv1.weight"]["lr"] == 1e-4
    assert before["fc.bias"]["lr"] == 1e-3
    assert before["layer1.0.conv1.weight"]["frozen"] is True
    assert after["layer1.0.conv1.weight"]["frozen"] is False
    assert {g.name for g in plan.groups if "layer1.0.conv1.weight" in g.parameters} == {"layer1"}


def test_a_rule_that_says_what_the_optimizer_says_makes_no_group_of_its_own() -> None:
    """Only what differs tells groups apart: the same number, given by a rule, is the same option."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    text = "optimizer adamw(weight_decay=0.1); ** -> lr 1e-3; 1 -> weight_decay {}"
    groups = [
        [group.name for group in layerlr.parse(text.format(decay)).resolve(model, epochs=1).groups]
        for decay in (0.1, 0.2)
    ]
    assert groups == [["0-1"], ["0", "1"]]


def test_a_dot_is_always_a_boundary() -> None:
    """`layer1` never covers `layer10`."""
    model = nn.ModuleDict({"layer1": nn.Linear(2, 2), "layer10": nn.Linear(2, 2)})
    plan = layerlr.parse("** -> lr 1; layer1 -> lr 2").resolve(model)
    assert plan.at(epoch=0)["layer1.weight"]["lr"] == 2
    assert plan.at(epoch=0)["layer10.weight"]["lr"] == 1


def test_steps_lie_before_an_epoch_in_exact_decimals(resnet18: Inventory) -> None:
    """0.1 epochs of 30 steps is step 3, though 0.1 * 30 is more than 3 in floating point."""
    plan = layerlr.parse("** -> lr 1; fc -> lr 2 until epoch 0.1").resolve(
        resnet18, epochs=1, steps_per_epoch=30
    )
    assert [plan.at(step=k)["fc.bias"]["lr"] for k in (2, 3)] == [2, 1]


def test_groups_merge_by_behaviour_and_not_by_rule(resnet18: Inventory) -> None:
    """Rules that say the same in other words share a group."""
    text = "** -> lr 1e-4\nlayer1 -> lr 2e-4\nlayer1 -> lr *= 0.5\nlayer2 -> lr 1e-4 until epoch 3"
    plan = layerlr.parse(text).resolve(resnet18, epochs=5)
    assert len(plan.groups) == 1


def test_what_waits_for_the_same_metric_shares_a_group(resnet18: Inventory) -> None:
    """Two statements that read alike come true together; other patience is another behaviour."""
    text = "** -> lr 1\nfreeze fc until m stops falling for 3 epochs\nfreeze layer4 until m stops falling for {} epochs"
    groups = [layerlr.parse(text.format(patience)).resolve(resnet18, epochs=9).groups for patience in (3, 4)]
    assert list(map(len, groups)) == [2, 3]


def test_a_missing_rate_is_that_of_each_parameters_own_optimizer(resnet18: Inventory) -> None:
    """RMSprop comes with 0.01, AdamW with 1e-3, and no rate is told of parameters that do not train with it."""
    text = "optimizer adamw\nlayer1 -> optimizer rmsprop\nlayer2, layer3, layer4 -> lr 1"
    alone, both = (
        next(d.message for d in layerlr.parse(text + more).resolve(resnet18).diagnostics if d.code == "LR204")
        for more in ("\nfreeze conv1, bn1, fc", "")
    )
    assert alone == "12 parameters have no lr and train with the optimizer's own (0.01): `layer1`"
    assert both.endswith("own: adamw's 1e-3 for `conv1`, `bn1`, `fc`; rmsprop's 0.01 for `layer1`")


def test_an_optimizer_that_a_rule_chose_by_name_has_the_rate_of_its_definition(resnet18: Inventory) -> None:
    """No rate is missing there, unless the definition leaves it out as well."""
    text = "optimizer second = adam({})\n** except fc -> lr 1e-3\nfc -> optimizer second"
    codes = [
        [d.code for d in layerlr.parse(text.format(given)).resolve(resnet18).diagnostics]
        for given in ("lr=1e-2", "eps=1e-5")
    ]
    assert codes == [[], ["LR204"]]


def test_parameters_frozen_for_ever_share_a_group(resnet18: Inventory) -> None:
    """Their options no longer matter, but each reports the rate that it would have."""
    text = "** -> lr 1e-4; layer1 -> lr 2e-4; freeze conv1, bn1, layer1"
    plan = layerlr.parse(text).resolve(resnet18)
    assert [g.kind for g in plan.groups].count("frozen") == 1
    now = plan.at(epoch=0)
    assert (now["conv1.weight"]["lr"], now["layer1.0.bn1.bias"]["lr"]) == (1e-4, 2e-4)
    assert now["conv1.weight"]["frozen"] is True


def test_group_names_are_unique_and_stable(resnet18: Inventory) -> None:
    """The same file gives the same names, none of them twice."""
    text = "** -> lr 1e-4\n** where ndim <= 1 -> weight_decay 0\nfreeze layer1 until epoch 2; freeze layer2 until epoch 3"
    names = [[g.name for g in layerlr.parse(text).resolve(resnet18, epochs=5).groups] for _ in range(2)]
    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0])


def test_phases_carry_the_share_that_trains(resnet18: Inventory) -> None:
    """A phase ends where something thaws, and the last at the end of the run."""
    plan = layerlr.parse("** -> lr 1e-4\nfreeze conv1, bn1, layer1 until epoch 2").resolve(resnet18, epochs=5)
    assert [(p.start, p.end) for p in plan.phases] == [(0, 2), (2, 5)]
    assert plan.phases[1].trainable_share == 1
    assert plan.phases[0].trainable_numel == sum(
        resnet18.numel(k)
        for k, n in enumerate(resnet18.names)
        if n.split(".")[0] not in ("conv1", "bn1", "layer1")
    )


def test_a_metric_condition_is_a_phase_of_its_own(resnet18: Inventory) -> None:
    """Without the event it has not fired; with it, everything after changes."""
    text = "** -> lr 1e-4\nfreeze layer1 until val_loss stops falling for 3 epochs"
    plan = layerlr.parse(text).resolve(resnet18, epochs=10, steps_per_epoch=2)
    assert plan.phases[-1].when == "val_loss stops falling for 3 epochs"
    assert plan.at(epoch=9)["layer1.0.bn1.bias"]["frozen"] is True
    assert plan.at(epoch=9, events={"val_loss": 4})["layer1.0.bn1.bias"]["frozen"] is False
    assert plan.at(epoch=3, events={"val_loss": 4})["layer1.0.bn1.bias"]["frozen"] is True


def test_a_thaw_warms_up_from_zero(resnet18: Inventory) -> None:
    """`warmup 2 epochs` ramps what thaws, and leaves what trained all along."""
    text = "** -> lr 1\nfreeze layer1 until epoch 2 warmup 2 epochs"
    plan = layerlr.parse(text).resolve(resnet18, epochs=10, steps_per_epoch=2)
    assert [plan.at(step=k)["layer1.0.bn1.bias"]["lr"] for k in range(4, 9)] == [0, 0.25, 0.5, 0.75, 1]
    assert plan.at(step=4)["fc.bias"]["lr"] == 1


def test_a_sequence_freezes_each_until_its_turn(resnet18: Inventory) -> None:
    """A's turn is the start, B's N epochs later; after its turn each says `not frozen`."""
    text = "** -> lr 1\nfreeze **\nunfreeze fc then layer4 then layer3 every 2 epochs starting at epoch 1"
    plan = layerlr.parse(text + "\nunfreeze layer2.1.bn2 at epoch 0").resolve(resnet18, epochs=10)
    found = {
        name: [e for e in range(8) if not plan.at(epoch=e)[f"{name}"]["frozen"]][:1]
        for name in ("fc.bias", "layer4.0.bn1.bias", "layer3.0.bn1.bias", "layer1.0.bn1.bias")
    }
    assert found == {
        "fc.bias": [1],
        "layer4.0.bn1.bias": [3],
        "layer3.0.bn1.bias": [5],
        "layer1.0.bn1.bias": [],
    }


def test_captures_count_over_items_before_except_and_where(resnet18: Inventory) -> None:
    """`last(i)` is 4 even where layer4 itself is left out."""
    text = "** -> lr 1\nlayer<i> except layer4 -> lr *= 0.5 ^ (last(i) - i)"
    plan = layerlr.parse(text).resolve(resnet18)
    now = plan.at(epoch=0)
    assert [now[f"layer{i}.0.bn1.bias"]["lr"] for i in (1, 2, 3, 4)] == [0.125, 0.25, 0.5, 1]


def test_a_rule_may_choose_its_own_optimizer(resnet18: Inventory) -> None:
    """Options from above that the new optimizer lacks lapse; those below are errors."""
    text = "** -> lr 1e-3, eps 1e-6, betas (0.9, 0.95)\n** where ndim == 2 -> optimizer sgd(momentum=0.9, lr=0.1)"
    plan = layerlr.parse(text).resolve(resnet18)
    assert [o.info.name for o in plan.optimizers] == ["adamw", "sgd"]
    assert "LR213" in codes(plan)
    assert plan.at(epoch=0)["fc.weight"]["momentum"] == 0.9
    assert "betas" not in plan.at(epoch=0)["fc.weight"]
    assert errors(text + "\nfc -> betas (0.9, 0.99)", resnet18) == ["LR103"]


def test_muon_refuses_what_is_not_a_matrix(resnet18: Inventory) -> None:
    """The parameter is named."""
    with pytest.raises(layerlr.RuleError, match=r"conv1\.weight"):
        layerlr.parse("** -> optimizer muon(lr=0.02)").resolve(resnet18)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(4, 3)
        self.head = nn.Linear(3, 4, bias=False)
        self.head.weight = self.embed.weight


def test_tied_parameters_answer_to_every_name() -> None:
    """Both names are ruled, appear in `at`, and train once."""
    plan = layerlr.parse("embed, head -> lr 1e-4").resolve(Tied())
    assert set(plan.at(epoch=0)) == {"embed.weight", "head.weight"}
    assert [g.parameters for g in plan.groups] == [("embed.weight",)]


def test_tied_parameters_ruled_differently_are_an_error() -> None:
    """The help is the selector that lists them all, and both rules are shown."""
    with pytest.raises(layerlr.RuleError) as raised:
        layerlr.parse("embed -> lr 1e-4\nhead -> lr 1e-3").resolve(Tied())
    (found,) = [d for d in raised.value.diagnostics if d.severity == "error"]
    assert found.code == "LR205"
    assert found.help is not None
    assert "embed.weight, head.weight" in found.help
    assert [r.span.text for r in found.related] == ["embed -> lr 1e-4", "head -> lr 1e-3"]


def test_what_came_frozen_stays_with_the_model() -> None:
    """No freeze names it, so the plan reports it and leaves its requires_grad alone."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    plan = layerlr.parse("** -> lr 1e-4").resolve(model)
    assert {g.kind for g in plan.groups} == {"model", "trains"}
    assert "LR211" in codes(plan)
    assert plan.at(epoch=0)["0.weight"]["frozen"] is True
    ending = layerlr.parse("** -> lr 1e-4; freeze 0 until epoch 1").resolve(model)
    assert ending.at(epoch=1)["0.weight"]["frozen"] is True
    thawing = layerlr.parse("** -> lr 1e-4; freeze 0; unfreeze 0 at epoch 1").resolve(model)
    assert thawing.at(epoch=1)["0.weight"]["frozen"] is False


@pytest.mark.parametrize(
    ("text", "run", "code"),
    [
        ("** -> lr 1e-3; freeze **", {}, "LR301"),
        ("** -> lr 1e-3; freeze ** until epoch 1", {"epochs": 3}, "LR301"),
        ("** -> lr 1e-3; fc -> lr 1 until step 5", {}, "LR309"),
        ("** -> lr 1e-3; fc -> lr 1 until 50%", {}, "LR311"),
        ("** -> lr 1e-3; schedule cosine", {}, "LR311"),
        ("** -> lr 1e-3; fc -> lr 1 from epoch 5 until epoch 2", {}, "LR303"),
        ("** -> lr 1e-3; unfreeze fc at epoch 2", {}, "LR307"),
        ("layr4 -> lr 1", {}, "LR201"),
        ("** except ** -> lr 1", {}, "LR209"),
        ("** where module is LSTM -> lr 1", {}, "LR209"),
        ("**.<i> -> lr 1", {}, "LR207"),
        ("layer<i> -> lr 1 / (i - 1)", {}, "LR108"),
        ("layer<i> -> lr 2 - i", {}, "LR107"),
        ("** -> lr 1e300; ** -> lr *= 1e300", {}, "LR108"),
        ("** where ndim > 0 and shape[3] > 1 -> lr 1", {}, "LR108"),
    ],
)
def test_each_fault_against_a_model_or_time_has_its_code(
    resnet18: Inventory, text: str, run: dict[str, float], code: str
) -> None:
    """One fault, one error."""
    assert errors(text, resnet18, **run) == [code]


@pytest.mark.parametrize(
    ("text", "run", "code", "severity"),
    [
        ("fc -> lr 1", {}, "LR204", "warning"),
        ("layer1 -> lr 1; ** -> lr 2", {}, "LR202", "warning"),
        ("** -> lr 1; layer1 -> lr 2", {}, "LR203", "info"),
        ("** -> lr 1; freeze layer1; layer1 -> weight_decay 0", {}, "LR305", "warning"),
        ("** -> lr 1; freeze layer1 until epoch 9", {"epochs": 3}, "LR304", "warning"),
        ("** -> lr 1; fc -> lr 2 from epoch 9", {"epochs": 3}, "LR302", "warning"),
        ("** -> lr 1; freeze layer1; freeze layer1 until epoch 2", {"epochs": 3}, "LR308", "warning"),
        ("** -> lr 1; freeze layer4", {}, "LR306", "info"),
        ("** -> lr 1; fc -> lr 2 until epoch 1.5", {}, "LR310", "warning"),
        (
            "** -> lr 1; layer<i>.0.downsample.<j>.weight -> lr 2; layer{1,3}.<k>.conv1 -> lr 3",
            {},
            "LR203",
            "info",
        ),
    ],
)
def test_each_doubt_has_its_code_and_severity(
    resnet18: Inventory, text: str, run: dict[str, float], code: str, severity: str
) -> None:
    """A warning or a note never stops a run."""
    found = layerlr.parse(text).resolve(resnet18, **run).diagnostics  # type: ignore[arg-type]
    assert (code, severity) in [(d.code, d.severity) for d in found]


@pytest.mark.parametrize(
    ("numbers", "holes"),
    [
        ((0, 1, 4), ["`<i>` has holes: it is bound to 0 to 4 without 2, 3"]),
        ((0, 10_000), ["`<i>` has holes: it is bound to 0 to 10000 without 1, 2, 3, 4, 5, ..."]),
        ((0, 10_001), []),
        ((0, 1, 1_000_000_000), []),
    ],
)
def test_holes_are_counted_before_they_are_listed(numbers: tuple[int, ...], holes: list[str]) -> None:
    """Numbers that lie far apart cost no memory for what lies between them."""
    model = nn.ModuleDict({f"layer{number}": nn.Linear(1, 1) for number in numbers})
    found = layerlr.parse("** -> lr 1; layer<i> -> lr 1 / (i + 1)").check(model)
    assert [d.message for d in found if d.code == "LR206"] == holes


FOUR = nn.ModuleDict({"layer": nn.ModuleList([nn.Linear(1, 1) for _ in range(5)])})


@pytest.mark.parametrize(
    ("overriding", "said", "related"),
    [
        (["layer -> lr 2"], "line 3 overrides it for every parameter", 1),
        (["layer.{0..1} -> lr 2", "layer.{2..4} -> lr 3"], "lines 3 and 4 override it", 2),
        (
            ["layer.0 -> lr 2", "layer.{1..2} -> lr 3", "layer.{3..4} -> lr 4"],
            "lines 3, 4 and 5 override it",
            3,
        ),
        ([f"layer.{n} -> lr {n + 2}" for n in range(5)], "lines 3, 4, 5 and 2 more override it", 3),
        (
            ["layer.{0..1} -> lr 2; layer.{2..4} -> lr 3"],
            "line 3 overrides it for every parameter",
            2,
        ),
    ],
)
def test_all_rules_that_override_one_together_are_named(
    overriding: list[str], said: str, related: int
) -> None:
    """None of them alone does it for every parameter, and none may hide the others."""
    found = layerlr.parse("\n".join(["** -> lr 1", "layer -> lr 1", *overriding])).check(FOUR)
    (one,) = [d for d in found if d.code == "LR202" and d.span and d.span.text == "layer -> lr 1"]
    assert one.message == f"this rule never applies: {said}"
    assert len(one.related) == related


def test_validate_leaves_unchecked_what_needs_the_length_of_the_run(resnet18: Inventory) -> None:
    """`check` is silent where `resolve` refuses."""
    rules = layerlr.parse("** -> lr 1e-3; fc -> lr 1 until 50%; schedule cosine(warmup=5%)")
    assert [d.code for d in rules.check(resnet18) if d.severity != "info"] == []
    assert errors("** -> lr 1e-3; fc -> lr 1 until 50%", resnet18) == ["LR311"]


def test_a_typo_names_the_nearest_real_segment(resnet18: Inventory) -> None:
    """At the segment where the pattern leaves the tree."""
    with pytest.raises(layerlr.RuleError) as raised:
        layerlr.parse("layer4.0.cnv1 -> lr 1; bn1.wieght -> lr 1; **.bais -> lr 1").resolve(resnet18)
    helps = [d.help for d in raised.value.diagnostics if d.code == "LR201"]
    assert helps == [
        "did you mean `layer4.0.conv1`?",
        "did you mean `bn1.weight`?",
        "did you mean `**.bias`?",
    ]


def test_a_fault_names_the_parameter_and_the_values(resnet18: Inventory) -> None:
    """The span is the very sub-expression."""
    with pytest.raises(layerlr.RuleError) as raised:
        layerlr.parse("let base = 1\nlayer<i> -> lr base / (i - 1)").resolve(resnet18)
    (found,) = [d for d in raised.value.diagnostics if d.severity == "error"]
    assert found.span is not None
    assert found.span.text == "base / (i - 1)"
    assert "layer1.0.conv1.weight" in found.message
    assert "i = 1" in found.message
    assert "base = 1" in found.message


def test_the_json_form_is_plain_data_with_the_winner_last(resnet18: Inventory) -> None:
    """`rules` gives places, oldest first."""
    data = json.loads(
        json.dumps(layerlr.parse(f"** -> lr 1e-5\n{CARD}").resolve(resnet18, epochs=30).to_json())
    )
    assert data["parameters"]["fc.bias"]["rules"]["lr"] == ["<string>:1", "<string>:2"]
    assert data["phases"][0]["until"] == {"epoch": 5, "step": None}
    assert data["phases"][-1]["until"] == {"epoch": 30, "step": None}
    assert data["total_steps"] is None


def test_times_out_of_range_are_refused(resnet18: Inventory) -> None:
    """`at` and `resolve` say what they want."""
    plan = layerlr.parse("** -> lr 1").resolve(resnet18, epochs=3)
    with pytest.raises(ValueError, match="either epoch or step"):
        plan.at()
    with pytest.raises(ValueError, match="steps_per_epoch"):
        plan.at(step=3)
    with pytest.raises(ValueError, match="negative"):
        plan.at(epoch=-1)
    with pytest.raises(ValueError, match="positive"):
        layerlr.parse("** -> lr 1").resolve(resnet18, epochs=0)


def test_a_live_model_and_its_inventory_give_the_same_plan() -> None:
    """Wrapped or not, the names are those of the unwrapped model."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    text = "** -> lr 1; ** where module is norm -> weight_decay 0"
    plans = [
        layerlr.parse(text).resolve(m)
        for m in (model, Inventory.of(model), torch.optim.swa_utils.AveragedModel(model))
    ]
    assert len({json.dumps(p.to_json()["parameters"], sort_keys=True) for p in plans}) == 1


def test_errors_survive_pickling(resnet18: Inventory) -> None:
    """A RuleError crosses process boundaries with its findings."""
    with pytest.raises(layerlr.RuleError) as raised:
        layerlr.parse("nothing -> lr 1").resolve(resnet18)
    again = pickle.loads(pickle.dumps(raised.value))
    assert str(again) == str(raised.value)
    assert [d.code for d in again.diagnostics] == [d.code for d in raised.value.diagnostics]


def test_an_optimizer_of_one_group_refuses_two() -> None:
    """LBFGS would only say so when it is built."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert errors("optimizer lbfgs\n** -> lr 1\n1 -> lr 2", model) == ["LR208"]
    assert len(layerlr.parse("optimizer lbfgs\n** -> lr 1").resolve(model).groups) == 1


def test_what_groups_have_in_common_is_one_object(resnet18: Inventory) -> None:
    """A course of an option, and what freezes, are worked out once for all of which the same is said."""
    text = "** -> lr 1e-3\n**.bias -> weight_decay 0\nlayer<i> -> lr *= 0.5 ^ i\nfreeze layer1, conv1 until epoch 2\n"
    plan = layerlr.parse(text).resolve(resnet18, epochs=10)
    assert len(plan.behaviours) > 5
    rates = {behaviour.driven for behaviour in plan.behaviours}
    assert len(rates) == 5  # what lies in no layer, and each of the four
    assert len({behaviour.freezing for behaviour in plan.behaviours}) == 2
