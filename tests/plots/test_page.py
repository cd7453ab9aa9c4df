"""The page of a network: what its data says, and that it needs nothing but itself."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from pages import Net, data_of, plan_of, tensors, value
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.plots import html
from layerlr_dsl.plots.network import drawing


def test_every_parameter_stands_in_the_page_under_its_name() -> None:
    """However much is shared between blocks that are alike, the tree unfolds to the model."""
    model = Net()
    found = tensors(data_of(html.draw(drawing(plan_of(model=model), "t"))))
    assert {name: numel for name, (numel, _) in found.items()} == {
        name: parameter.numel() for name, parameter in model.named_parameters()
    }


@pytest.mark.parametrize("at", [0, 1, 3, 4, 7, 9])
def test_rates_and_freezing_are_those_of_the_plan(at: int) -> None:
    """What colours a block is what `plan.at` reports for its parameters."""
    plan = plan_of()
    data = data_of(html.draw(drawing(plan, "t")))
    told = plan.at(epoch=at)
    for name, (_, kind) in tensors(data).items():
        group = data["kinds"][kind][0]
        frozen = any(start <= at < end for start, end in data["groups"][group]["frozen"])
        assert frozen is told[name]["frozen"]
        if data["groups"][group]["trains"]:
            assert value(data, "lr", group, at) == pytest.approx(told[name]["lr"], rel=1e-4)
            assert value(data, "weight_decay", group, at) == pytest.approx(told[name]["weight_decay"])


def test_what_the_page_says_of_a_parameter_is_what_explain_says() -> None:
    """Each statement that touches an option, with its formula, in the order of the file."""
    plan = plan_of()
    data = data_of(html.draw(drawing(plan, "t")))
    _, kind = tensors(data)["blocks.3.linear.bias"]
    said = [data["said"][number] for number in data["kinds"][kind][3]]
    steps = plan.explain("blocks.3.linear.bias", epoch=7).options
    for option in ("lr", "weight_decay"):
        shown = [(data["rules"][one[0]][0], one[4] or None) for one in said if one[1] == option]
        assert shown == [(step.text, step.filled) for step in steps[option].steps]
    window = next(one[5] for one in said if one[2])
    assert window == [6.0, None]


def test_a_tied_tensor_is_counted_once() -> None:
    """In the headline and in every block: it stands at both places, and is one."""
    model = nn.ModuleDict({"embed": nn.Embedding(5, 4), "head": nn.Linear(4, 5, bias=False)})
    model["head"].weight = model["embed"].weight
    data = data_of(html.draw(drawing(plan_of("** -> lr 1e-3\n", model), "t")))
    root = data["structures"][data["blocks"][data["root"]][0]]
    assert root[3:] == [20, 1]
    assert len(tensors(data)) == 2


def test_a_rule_tells_how_much_it_covers() -> None:
    """Tensors and elements, of the whole model, hidden by later rules or not."""
    data = data_of(html.draw(drawing(plan_of(), "t")))
    covers = {rule[0]: rule[4:] for rule in data["rules"]}
    assert covers["** -> lr 1e-3"] == [21, 4 * 28 + 20 + 10 + 4]
    assert covers["freeze blocks.0"] == [4, 28]


def test_blocks_under_the_same_rules_are_stored_once() -> None:
    """A thousand experts cost what one does: the page must not grow with the tensors of a model."""

    def length(blocks: int) -> int:
        plan = plan_of("** -> lr 1e-3\n**.bias -> lr 1e-4\n", Net(blocks))
        return len(html.as_script(html.data(drawing(plan, "t"))))

    assert length(400) < length(4) + 400 * 12


def test_captures_that_come_to_the_same_do_not_multiply_the_page() -> None:
    """`<i>` tells a hundred blocks apart, but here they end with two rates."""
    text = "blocks.<i>.** -> lr 1e-3 * floor(i / 50 + 1)\n"
    data = html.data(drawing(plan_of(text, Net(100)), "t"))
    formulas = {one[4] for one in data["said"]}
    assert len(data["said"]) == len(formulas) == 100  # a formula of each block is kept
    assert len(data["groups"]) == 3


def test_where_the_backward_pass_stops_is_not_guessed() -> None:
    """Without the order of a forward pass, the order of registration proves nothing."""
    data = html.data(drawing(plan_of("** -> lr 1\nfreeze stem\n"), "t"))
    assert data["ordered"] is False
    assert {stretch[3] for stretch in data["stretches"]} == {None}


def test_with_the_order_of_a_forward_pass_blocks_stand_in_it() -> None:
    """Children are sorted by when they first run; the pass stops before the first module that trains."""
    found = layerlr.Inventory.of(Net())
    named = {found.module_name(row): row for row in range(len(found.module_parents))}
    order = [named[""], named["head"], *(named[f"blocks.{i}.linear"] for i in range(4)), named["stem"]]
    plan = layerlr.parse("** -> lr 1\nfreeze head until epoch 5\n").resolve(
        replace(found, order=order), epochs=10
    )
    data = html.data(drawing(plan, "t"))
    structure = data["structures"][data["blocks"][data["root"]][0]]
    assert structure[2] == ("head", "blocks", "stem")
    # A parameter of the root itself is used as soon as the root runs, as far as anybody can know.
    assert [stretch[3] for stretch in data["stretches"]] == [None, None]


def test_the_page_needs_nothing_but_itself() -> None:
    """No address is loaded, and a policy in the page forbids it."""
    page = html.draw(drawing(plan_of(), "t"))
    assert not re.search(r"(src|href)\s*=|@import|url\((?!#)", page)
    assert set(re.findall(r"https?://[^\"']+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'; style-src" in page


def test_a_name_cannot_break_out_of_the_page() -> None:
    """Names come from models, and titles from file names."""
    model = nn.ModuleDict({"</script><script>alert(1)</script>": nn.Linear(2, 2)})
    page = html.draw(drawing(plan_of("** -> lr 1\n", model), "</title><script>alert(1)</script>"))
    assert page.count("<script") == 1
    assert page.count("</script") == 1
    assert page.count("</title") == 1


def test_a_long_page_is_packed() -> None:
    """32,000 groups of their own are still one page that can be sent by mail."""
    plan = plan_of("blocks.<i>.** -> lr 1e-6 * (i + 1)\n", Net(3000))
    page = html.draw(drawing(plan, "t"))
    assert len(page) < 400_000
    assert len(tensors(data_of(page))) == 4 * 3000 + 5


def test_the_option_asked_for_comes_first() -> None:
    """`plot --option weight_decay` colours by it."""
    data = html.data(drawing(plan_of(), "t", option="weight_decay"))
    assert [one["option"] for one in data["measures"]] == ["weight_decay", "lr"]


def test_every_number_that_moves_or_differs_can_be_looked_at() -> None:
    """Both betas where one of them moves, each with curves of its own; what is the same for all is left out."""
    text = "optimizer adamw(eps=1e-7)\n** -> lr 1e-3, weight_decay 0.1\nblocks.<i> -> weight_decay *= i + 1\nhead -> betas (0.8 + 0.1 * progress, 0.999)\n"
    measures = {one.option: one for one in drawing(plan_of(text), "t").measures}
    assert list(measures) == ["lr", "weight_decay", "betas[0]", "betas[1]"]
    assert [curve.label.name for curve in measures["betas[0]"].curves] == ["token, stem, blocks", "head"]
    assert len(measures["lr"].curves) == 1
    assert len(measures["weight_decay"].curves) == 4


def test_a_further_optimizer_is_called_by_its_name() -> None:
    """What kind it is would not tell it from another of that kind."""
    text = "optimizer critic = adamw(lr=1e-4)\n** -> lr 1e-3\nhead -> optimizer critic\n"
    data = html.data(drawing(plan_of(text), "t"))
    assert {one["optimizer"] for one in data["groups"]} == {"adamw", "critic"}
