"""The other recipes against the papers and the code that they name."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from shelf import close, frozen, recipe, started
from shipped import bert, bert_lora, llama, on_meta
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.specs import inventory_of_spec
from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.plan.plan import Plan


def resolved(name: str, steps_per_epoch: int | None = None, **lets: float) -> Plan:
    rules = recipe(name, **lets)
    assert rules.model is not None
    from shelf import RULES

    return rules.resolve(inventory_of_spec(rules.model, root=RULES), steps_per_epoch=steps_per_epoch)


# ---------------------------------------------------------------- ULMFiT


def test_ulmfit_rates_fall_by_2_6_from_layer_to_layer() -> None:
    """Howard and Ruder 2018, section 3.2: the rate of layer l - 1 is that of layer l over 2.6."""
    rates = started(resolved("ulmfit"), "lr")
    layers = ["0.module.encoder.weight", *(f"0.module.rnns.{i}.weight_hh_l0_raw" for i in range(3))]
    ladder = [rates[name] for name in layers] + [rates["1.layers.1.2.weight"]]
    assert ladder[-1] == 0.01
    for low, high in itertools.pairwise(ladder):
        assert high / low == pytest.approx(2.6, rel=1e-12)


def test_ulmfit_thaws_one_layer_more_each_epoch_from_the_last_down() -> None:
    """Section 3.3; the embedding, which is one tensor under two names, comes last."""
    plan = resolved("ulmfit")
    tops = ["1.", "0.module.rnns.2.", "0.module.rnns.1.", "0.module.rnns.0.", "0.module.encoder"]
    for epoch in range(6):
        held = frozen(plan, epoch)
        thawed = [top for top in tops if not any(name.startswith(top) for name in held)]
        assert thawed == tops[: epoch + 1]


def test_ulmfit_rates_go_over_time_as_its_slanted_triangle() -> None:
    """Section 3.2's formula for p, t being the step of T, with cut_frac 0.1 and ratio 32."""
    plan = resolved("ulmfit", steps_per_epoch=20)
    total, cut = 200, 20
    for t in range(total):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / 0.1 - 1))
        wanted = 0.01 * (1 + p * (32 - 1)) / 32
        assert plan.at(step=t)["1.layers.1.2.weight"]["lr"] == pytest.approx(wanted, rel=1e-12)


# ---------------------------------------------------------------- which parameters train, and when


def test_bitfit_trains_what_its_code_trains() -> None:
    """Every name with `bias` in it, and the classifier: `_deactivate_relevant_gradients`."""
    plan = resolved("bitfit")
    names = set(plan.inventory.names)
    trains = {name for name in names if "bias" in name or "classifier" in name}
    assert names - frozen(plan, 0) == trains
    assert names - frozen(plan, 15) == trains


def test_bitfit_keeps_every_weight_of_a_real_model_to_the_bit() -> None:
    """A step on a small BERT moves biases and the classifier, and nothing else."""
    model = with_torchvision(lambda: bert(layers=1, hidden=64))
    plan = recipe("bitfit").resolve(model, steps_per_epoch=2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    for _ in range(2):
        out = model(input_ids=torch.tensor([[5, 6, 7]]), labels=torch.tensor([1]))
        out.loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved
    assert all(name.endswith(".bias") or name.startswith("classifier") for name in moved)


def test_surgical_fine_tuning_trains_what_its_code_trains() -> None:
    """`first_two_block` of Lee et al. for ImageNet-C: the first convolution and the first stage."""
    plan = resolved("surgical")
    trains = set(plan.inventory.names) - frozen(plan, 0)
    assert trains == {n for n in plan.inventory.names if n.startswith(("conv1.", "layer1."))}
    assert plan.optimizers[0].info.name == "adam"
    assert set(started(plan, "weight_decay").values()) == {1e-4}


def test_lp_ft_trains_the_head_alone_and_then_all_of_it_at_one_rate() -> None:
    """Kumar et al. 2022: linear probing, then fine-tuning."""
    plan = resolved("lp_ft")
    assert set(plan.inventory.names) - frozen(plan, 9) == {"fc.weight", "fc.bias"}
    assert frozen(plan, 10) == set()
    rates = {options["lr"] for options in plan.at(epoch=11).values()}
    assert len(rates) == 1


def test_gradual_unfreezing_thaws_stage_by_stage_and_warms_each_up() -> None:
    """Every two epochs one stage; its rate starts at 0 and is at its own within an epoch."""
    plan = resolved("gradual_unfreezing", steps_per_epoch=10)
    for turn, stage in enumerate(["layer4", "layer3", "layer2", "layer1", "conv1"]):
        start = 2 + 2 * turn
        name = next(n for n in plan.inventory.names if n.startswith(stage))
        assert name in frozen(plan, start - 0.1)
        assert name not in frozen(plan, start)
        assert plan.at(epoch=start)[name]["lr"] == 0
        whole = plan.at(epoch=start + 1)
        assert whole[name]["lr"] == pytest.approx(whole["fc.weight"]["lr"] / 10, rel=1e-12)


def small_resnet() -> nn.Module:
    """The modules of a ResNet-50, one block in each stage."""
    from torchvision.models.resnet import Bottleneck, ResNet

    return ResNet(Bottleneck, [1, 1, 1, 1], num_classes=10)


@pytest.mark.parametrize("name", ["lp_ft", "gradual_unfreezing"])
def test_a_head_that_was_fitted_keeps_the_statistics_that_it_was_fitted_on(name: str) -> None:
    """Batch norms normalise by the same running statistics before and behind the thaw, though they train."""
    torch.manual_seed(0)
    model = with_torchvision(small_resnet)
    plan = recipe(name).resolve(model, steps_per_epoch=1)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    statistics = {n: b.clone() for n, b in model.named_buffers() if "running" in n}
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    for _ in range(13):
        model.train()
        nn.functional.cross_entropy(model(torch.randn(2, 3, 32, 32)), torch.tensor([1, 2])).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    assert all(torch.equal(b, statistics[n]) for n, b in model.named_buffers() if n in statistics)
    assert not torch.equal(model.bn1.weight, before["bn1.weight"])


# ---------------------------------------------------------------- LoRA+ and Muon


def test_lora_plus_gives_every_parameter_the_rate_that_peft_gives_it() -> None:
    """peft's own `create_loraplus_optimizer` is the oracle."""
    model: Any = on_meta(bert_lora, 3, 128)

    def create() -> torch.optim.Optimizer:
        from peft.optimizers import create_loraplus_optimizer

        return create_loraplus_optimizer(
            model=model, optimizer_cls=torch.optim.AdamW, lr=2e-4, loraplus_lr_ratio=16
        )

    names = {id(p): name.removeprefix("base_model.model.") for name, p in model.named_parameters()}
    groups = with_torchvision(create).param_groups
    rates = {names[id(p)]: group["lr"] for group in groups for p in group["params"]}
    decays = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    plan = recipe("lora_plus").resolve(model)
    held = frozen(plan, 0)
    trained = {group.name for group in plan.groups if group.kind == "trains"}
    assert len(trained) == 2
    close({n: v for n, v in started(plan, "lr").items() if n not in held}, rates)
    close({n: v for n, v in started(plan, "weight_decay").items() if n not in held}, decays)


def test_muon_takes_what_its_authors_give_it() -> None:
    """The loop of Muon's README: all matrices but the embedding and the output layer."""
    inventory = Inventory.of(on_meta(llama, 2))
    plan = recipe("muon_adamw").resolve(inventory)
    hidden = {
        name
        for name, shape in zip(inventory.names, inventory.shapes, strict=True)
        if name not in ("model.embed_tokens.weight", "lm_head.weight") and len(shape) >= 2
    }
    chosen = {name: plan.optimizers[g.optimizer].info.name for g in plan.groups for name in g.parameters}
    assert {name for name, optimizer in chosen.items() if optimizer == "muon"} == hidden
    settings = {plan.optimizers[g.optimizer].info.name: g.options for g in plan.groups}
    assert {k: settings["muon"][k] for k in ("lr", "momentum", "weight_decay", "nesterov", "ns_steps")} == {
        "lr": 0.02,
        "momentum": 0.95,
        "weight_decay": 0.01,
        "nesterov": True,
        "ns_steps": 5,
    }
    assert settings["adamw"]["lr"] == 3e-4
    assert tuple(settings["adamw"]["betas"]) == (0.9, 0.95)


class Tied(nn.Module):
    """The smallest model with Llama's names and its tied output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(11, 8)
        self.model.layers = nn.ModuleList([nn.ModuleDict({"self_attn": nn.Linear(8, 8, bias=False)})])
        self.model.layers[0]["mlp"] = nn.ModuleDict({"up_proj": nn.Linear(8, 8, bias=False)})
        self.model.layers[0]["input_layernorm"] = nn.LayerNorm(8)
        self.model.norm = nn.LayerNorm(8)
        self.lm_head = nn.Linear(8, 11, bias=False)
        self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        layer = self.model.layers[0]
        x = self.model.embed_tokens(words)
        x = layer["mlp"]["up_proj"](layer["self_attn"](layer["input_layernorm"](x)))
        return self.lm_head(self.model.norm(x))


def test_muon_and_adamw_train_a_tied_model_together() -> None:
    """One optimizer object for both; the tied matrix moves as AdamW moves it, and stays tied."""
    torch.manual_seed(0)
    model = Tied()
    plan = recipe("muon_adamw").resolve(model, steps_per_epoch=10)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for _ in range(3):
        nn.functional.cross_entropy(model(torch.arange(11)), torch.arange(11)).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert all(not torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_the_card_of_three_rules_does_what_it_says() -> None:
    """`layer4.* -> lr 1e-4; fc -> lr 1e-3; freeze layer1 until epoch 5`, as the ResNet-18 recipe grew from it."""
    text = "layer4.* -> lr 1e-4; fc -> lr 1e-3; freeze layer1 until epoch 5"
    inventory = inventory_of_spec("torchvision:resnet18")
    for plan in (layerlr.parse(text).resolve(inventory, epochs=10), resolved("resnet18")):
        rates = started(plan, "lr")
        assert {rates[n] for n in rates if n.startswith("layer4.")} == {1e-4}
        assert {rates[n] for n in rates if n.startswith("fc.")} == {1e-3}
        first = {n for n in plan.inventory.names if n.startswith("layer1.")}
        assert first <= frozen(plan, 4)
        assert not first & frozen(plan, 5)
