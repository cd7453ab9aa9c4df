"""Live optimizers as rules: the same groups, in about as few rules as made them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.importers import SourceFault, import_optimizer
from layerlr_dsl.importers.importing import findings
from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source
from layerlr_dsl.language.syntax import FreezeStatement, RuleStatement
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.torchvision_compat import with_torchvision


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.attn = nn.Linear(4, 4)
        self.mlp = nn.Linear(4, 4)


class Net(nn.Module):
    def __init__(self, depth: int = 6) -> None:
        super().__init__()
        self.embed = nn.Embedding(8, 4)
        self.blocks = nn.ModuleList(Block() for _ in range(depth))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 3)


def optimizer_of(
    model: nn.Module, options: Callable[[str, nn.Parameter], dict[str, Any]], make: Any = torch.optim.AdamW
) -> torch.optim.Optimizer:
    """One group for each parameter, so that nothing is told by the groups themselves."""
    groups = [{"params": [p], **options(name, p)} for name, p in model.named_parameters()]
    return make(groups, lr=1e-3)


def rules_of(text: str) -> list[str]:
    """The selectors of rules and freezes."""
    file, found = parse(Source("x.lr", text))
    assert found == ()
    kept = [s for s in file.statements if isinstance(s, RuleStatement | FreezeStatement)]
    return [text[s.span.start : s.span.end] for s in kept]


def same_groups(text: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """The rules, read afresh, give each parameter that trains what its group has; by a way of its own."""
    plan = layerlr.parse(text).resolve(model, epochs=1)
    at = plan.at(epoch=0)
    names = {id(p): name for name, p in model.named_parameters()}
    seen = set()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            found = at[names[id(parameter)]]
            seen.add(names[id(parameter)])
            assert found["frozen"] is not parameter.requires_grad
            if parameter.requires_grad:
                for option in ("lr", "weight_decay", "betas", "eps"):
                    assert found[option] == pytest.approx(group[option], rel=1e-14, abs=0)
    assert all(at[name]["frozen"] for name in names.values() if name not in seen)


def test_decay_by_shape_is_one_condition() -> None:
    """Not a list of norms and biases."""
    model = Net()
    optimizer = optimizer_of(model, lambda _, p: {"weight_decay": 0.05 if p.ndim > 1 else 0})
    made = import_optimizer(optimizer, model)
    assert made.differences == ()
    assert len(rules_of(made.text)) == 2
    assert "ndim" in made.text
    same_groups(made.text, model, optimizer)


def test_rates_that_fall_layer_by_layer_are_a_formula() -> None:
    """With the number of the block in it, and the head as its base."""
    model = Net()

    def options(name: str, _: nn.Parameter) -> dict[str, Any]:
        layer = int(name.split(".")[1]) + 1 if name.startswith("blocks") else 0 if "embed" in name else 7
        return {"lr": 2e-3 * 0.8 ** (7 - layer)}

    optimizer = optimizer_of(model, options)
    made = import_optimizer(optimizer, model)
    assert "blocks.<i> -> lr 2e-3 * 0.8 ^ (last(i) - i + 1)" in " ".join(made.text.split())
    assert len(rules_of(made.text)) == 3
    same_groups(made.text, model, optimizer)


def test_runs_of_blocks_are_ranges() -> None:
    """`blocks.{0..2}` and not three names."""
    model = Net()
    early = ("blocks.0.", "blocks.1.", "blocks.2.")
    optimizer = optimizer_of(model, lambda name, _: {"lr": 1e-5 if name.startswith(early) else 1e-3})
    made = import_optimizer(optimizer, model)
    assert "blocks.{0..2}" in made.text
    assert len(rules_of(made.text)) == 2
    same_groups(made.text, model, optimizer)


def test_what_takes_no_gradient_is_frozen_and_costs_no_rule() -> None:
    """Its own rate would never be used; what the optimizer does not have is frozen too, and told of."""
    model = Net()
    model.embed.requires_grad_(False)
    trained = [p for name, p in model.named_parameters() if not name.startswith("head")]
    optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9)
    made = import_optimizer(optimizer, model)
    plan = layerlr.parse(made.text).resolve(model, epochs=1)
    frozen = {name for name, options in plan.at(epoch=0).items() if options["frozen"]}
    assert frozen == {"embed.weight", "head.weight", "head.bias"}
    assert "head.weight" in "".join(map(str, made.left_out))
    assert len(rules_of(made.text)) == 2


def test_tied_parameters_get_one_answer_under_each_name() -> None:
    """The rules name both places of a shared tensor, or the resolution would find a conflict."""
    model = Net()
    model.head = nn.Linear(4, 8, bias=False)
    model.head.weight = model.embed.weight
    optimizer = optimizer_of(model, lambda name, _: {"lr": 1e-4 if name == "embed.weight" else 1e-3})
    made = import_optimizer(optimizer, model)
    assert made.differences == ()
    same_groups(made.text, model, optimizer)


def test_a_rate_that_a_scheduler_has_moved_is_taken_from_before() -> None:
    """`initial_lr` is the rate of the group; what it has now is the scheduler's doing."""
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    torch.optim.lr_scheduler.LinearLR(optimizer, 0.01)
    assert optimizer.param_groups[0]["lr"] == 0.005
    assert "** -> lr 0.5" in import_optimizer(optimizer, model).text


def test_muon_on_the_matrices_alone_becomes_rules() -> None:
    """The rest is frozen, and gets another optimizer, since Muon takes no vectors."""
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Linear(2, 2))
    optimizer = torch.optim.Muon([model[0].weight, model[2].weight], lr=0.02, momentum=0.9)
    made = import_optimizer(optimizer, model)
    assert made.differences == ()
    plan = layerlr.parse(made.text).resolve(model, epochs=1)
    trains = {name: options for name, options in plan.at(epoch=0).items() if not options["frozen"]}
    assert {name: (o["lr"], o["momentum"]) for name, o in trains.items()} == {
        "0.weight": (0.02, 0.9),
        "2.weight": (0.02, 0.9),
    }


def test_a_rate_that_no_rule_can_say_is_refused() -> None:
    """Said in a sentence."""
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["lr"] = float("nan")
    with pytest.raises(SourceFault, match="says nan, which no rule can"):
        import_optimizer(optimizer, model)


def test_an_optimizer_of_another_model_is_refused() -> None:
    """With the group and the shape of what is not the model's."""
    with pytest.raises(SourceFault, match=r"group 0.*\(8, 4\).*not one of the model's"):
        import_optimizer(torch.optim.SGD(Net().parameters(), lr=1), Net())


def test_an_unknown_optimizer_is_refused() -> None:
    """Rules cannot name a class that nobody registered."""

    class Mine(torch.optim.Optimizer):
        pass

    with pytest.raises(SourceFault, match="no optimizer is called `Mine`"):
        import_optimizer(Mine(Net().parameters(), {"lr": 1}), Net())


TIMM = ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "convnext_tiny", "resnet50", "mobilevit_s")


@pytest.mark.parametrize("name", TIMM)
def test_timms_layer_decay(name: str) -> None:
    """timm's own groups, `lr_scale` multiplied in; fewer rules than groups; and `validate` has nothing to say."""
    timm = with_torchvision(lambda: import_module("timm"))
    optim = import_module("timm.optim")
    model = timm.create_model(name)
    optimizer = optim.create_optimizer_v2(model, "adamw", lr=1e-3, weight_decay=0.05, layer_decay=0.75)
    made = import_optimizer(optimizer, model)
    assert made.differences == ()
    assert len(rules_of(made.text)) < len(optimizer.param_groups)
    assert findings(made.text, Inventory.of(model)) == ()
    assert format_text(Source("x.lr", made.text)) == made.text


def test_a_large_model_takes_seconds() -> None:
    """2,000 tensors with rates by layer and decay by shape."""
    model = Net(depth=330)

    def options(name: str, p: nn.Parameter) -> dict[str, Any]:
        layer = int(name.split(".")[1]) if name.startswith("blocks") else 330
        return {"lr": 1e-3 * 0.99 ** (330 - layer), "weight_decay": 0.1 if p.ndim > 1 else 0.0}

    optimizer = optimizer_of(model, options)
    begin = time.process_time()
    made = import_optimizer(optimizer, model)
    assert time.process_time() - begin < 10
    assert made.differences == ()
    assert len(rules_of(made.text)) <= 4


# ---------------------------------------------------------------- any groups at all

SELECTORS = (
    "blocks",
    "blocks.0",
    "blocks.{2..4}",
    "blocks.*.attn",
    "**.bias",
    "head",
    "embed",
    "** where ndim <= 1",
    "** where module is norm",
    "blocks where ndim > 1",
    "blocks.3.mlp.weight",
    "**.norm",
)
RATES = st.sampled_from((1e-4, 3e-4, 1e-3, 1e-2))
RULES = st.lists(
    st.tuples(st.sampled_from(SELECTORS), st.sampled_from(("lr", "weight_decay")), RATES), max_size=5
)


@settings(max_examples=60, deadline=None)
@given(RULES, st.sets(st.sampled_from(SELECTORS), max_size=2))
def test_rules_that_became_groups_become_rules_again(
    rules: list[tuple[str, str, float]], frozen: set[str]
) -> None:
    """The same groups, exactly, and not many more rules than there were."""
    lines = ["** -> lr 1e-3, weight_decay 0.01", *(f"{s} -> {o} {v}" for s, o, v in rules)]
    model = Net()
    plan = layerlr.parse("\n".join(lines)).resolve(model, epochs=1)
    at = plan.at(epoch=0)
    held = layerlr.parse("** -> lr 1\n" + "\n".join(f"freeze {s}" for s in sorted(frozen)))
    for name, flag in held.resolve(model, epochs=1).at(epoch=0).items():
        model.get_parameter(name).requires_grad_(not flag["frozen"])
    optimizer = optimizer_of(model, lambda n, _: {k: at[n][k] for k in ("lr", "weight_decay")})
    made = import_optimizer(optimizer, model)
    assert made.differences == ()
    same_groups(made.text, model, optimizer)
    assert len(rules_of(made.text)) <= len(lines) + 2 * len(frozen) + 4


@settings(max_examples=30, deadline=None)
@given(st.lists(RATES, min_size=41, max_size=41))
def test_groups_without_any_pattern_are_given_all_the_same(rates: list[float]) -> None:
    """Names where nothing else fits; exactly, however wild the groups."""
    model = Net()
    wild: Iterator[float] = iter(rates)
    optimizer = optimizer_of(model, lambda *_: {"lr": next(wild)})
    made = import_optimizer(optimizer, model)
    assert made.differences == ()
    same_groups(made.text, model, optimizer)


def test_lora_plus_becomes_rules() -> None:
    """Both halves of the adapters at rates of their own, a head that is trained whole, and a base that came frozen."""
    with_torchvision(lambda: pytest.importorskip("transformers").BertForSequenceClassification)
    peft = with_torchvision(lambda: pytest.importorskip("peft"))
    base = nn.Sequential()
    for place in range(3):
        base.add_module(f"block{place}", nn.ModuleDict({"query": nn.Linear(8, 8), "key": nn.Linear(8, 8)}))
    base.add_module("head", nn.Linear(8, 2))
    model = peft.get_peft_model(
        base, peft.LoraConfig(r=2, target_modules=["query"], modules_to_save=["head"])
    )
    parts = {"lora_A": 1e-4, "lora_B": 1.6e-3, "modules_to_save": 5e-4}
    optimizer = torch.optim.AdamW(
        {"params": [p for name, p in model.named_parameters() if part in name], "lr": lr}
        for part, lr in parts.items()
    )
    told = import_optimizer(optimizer, model)
    same_groups(told.text, model.base_model.model, optimizer)  # names are those behind the wrapper
    assert len(rules_of(told.text)) <= 4
