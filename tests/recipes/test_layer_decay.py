"""The recipes with layer-wise decay, parameter by parameter, against the code of the papers that they name.

timm's own function is the oracle where there is one; BEiT's, MAE's and ELECTRA's rules, which are
published as code for models that are not at hand, are restated here in a few lines each.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from shelf import close, recipe, started
from shipped import on_meta
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.specs import inventory_of_spec
from layerlr_dsl.model.torchvision_compat import with_torchvision


@cache
def from_timm(name: str) -> nn.Module:
    def build() -> nn.Module:
        import timm

        return timm.create_model(name, num_classes=10)

    return on_meta(build)


def timm_groups(model: nn.Module, base: float, **arguments: Any) -> tuple[dict[str, float], dict[str, float]]:
    """The rate and the weight decay that timm gives each parameter."""

    def ask() -> list[dict[str, Any]]:
        from timm.optim import param_groups_layer_decay

        skipped = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()
        return param_groups_layer_decay(model, no_weight_decay_list=skipped, **arguments)

    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = with_torchvision(ask)
    rates = {names[id(p)]: base * group["lr_scale"] for group in groups for p in group["params"]}
    return rates, {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}


VITS = (
    "vit_tiny_patch16_224",
    "vit_small_patch32_384",
    "vit_base_patch16_clip_224",
    "vit_large_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "deit3_small_patch16_224",
    "beit_base_patch16_224",
    "beitv2_large_patch16_224",
    "eva02_tiny_patch14_224",
    "vit_small_patch14_reg4_dinov2",
)
STAGED = {
    "swin_tiny_patch4_window7_224": "swin_layer_decay",
    "swin_small_patch4_window7_224": "swin_layer_decay",
    "swin_base_patch4_window7_224": "swin_layer_decay",
    "convnext_tiny": "convnext_layer_decay",
    "convnext_small": "convnext_layer_decay",
    "convnext_atto": "convnext_layer_decay",
}


@pytest.mark.parametrize("decay", [0.75, 0.9])
@pytest.mark.parametrize("name", VITS)
def test_the_vit_recipe_gives_every_parameter_the_rate_and_the_decay_that_timm_gives_it(
    name: str, decay: float
) -> None:
    """ViTs with class, distillation and register tokens, with a norm before the blocks, and BEiTs."""
    model = from_timm(name)
    rates, decays = timm_groups(model, 1e-3, layer_decay=decay, weight_decay=0.05)
    plan = recipe("vit_layer_decay", decay=decay).resolve(model)
    close(started(plan, "lr"), rates)
    close(started(plan, "weight_decay"), decays)


@pytest.mark.parametrize("name", STAGED)
def test_the_recipes_for_staged_models_count_blocks_through_all_stages_as_timm_does(name: str) -> None:
    """What halves the resolution belongs to the block that follows it; depths are those of the model at hand."""
    model = from_timm(name)
    rates, decays = timm_groups(model, 1e-3, layer_decay=0.9, weight_decay=0.05)
    plan = recipe(STAGED[name]).resolve(model)
    close(started(plan, "lr"), rates)
    close(started(plan, "weight_decay"), decays)


def test_the_recipe_says_real_rates_which_torch_schedulers_heed() -> None:
    """timm's groups hold `lr_scale` beside one lr; ours hold lr, and initial rates follow from it."""
    import torch

    model = from_timm("vit_tiny_patch16_224")
    plan = recipe("vit_layer_decay").resolve(model)
    optimizer = torch.optim.AdamW(plan.param_groups(model), lr=1e-3)
    torch.optim.lr_scheduler.StepLR(optimizer, 30)
    assert len({group["initial_lr"] for group in optimizer.param_groups}) == 14
    assert all("lr_scale" not in group for group in optimizer.param_groups)


def beit_layer(name: str, layers: int) -> int:
    """BEiT (and MAE, which follows it): which of `layers` + 2 layers a parameter is in."""
    if name in ("cls_token", "mask_token", "pos_embed") or name.startswith("patch_embed"):
        return 0
    if name.startswith("blocks"):
        return int(name.split(".")[1]) + 1
    return layers + 1


@pytest.mark.parametrize("name", ["beit_base_patch16_224", "beitv2_base_patch16_224"])
def test_on_beit_the_recipe_gives_the_rates_of_beits_own_code(name: str) -> None:
    """timm, which is "based on BEiT", and BEiT differ on the last norm of a ViT only; a BEiT has none."""
    model = from_timm(name)
    rates = {n: 1e-3 * 0.75 ** (13 - beit_layer(n, 12)) for n, _ in model.named_parameters()}
    close(started(recipe("vit_layer_decay").resolve(model), "lr"), rates)


def test_the_recipe_for_torchvisions_vit_gives_the_rates_of_mae() -> None:
    """torchvision's names, put into those for which MAE's rule is written."""

    def as_in_mae(name: str) -> str:
        if name.startswith("encoder.layers.encoder_layer_"):
            return "blocks." + name.removeprefix("encoder.layers.encoder_layer_")
        return {"class_token": "cls_token", "encoder.pos_embedding": "pos_embed"}.get(
            name, name.replace("conv_proj", "patch_embed")
        )

    inventory = inventory_of_spec("torchvision:vit_b_16")
    plan = recipe("vit_b_16").resolve(inventory)
    rates = {n: 5e-4 * 0.65 ** (13 - beit_layer(as_in_mae(n), 12)) for n in inventory.names}
    close(started(plan, "lr"), rates)
    small = {n for n, shape in zip(inventory.names, inventory.shapes, strict=True) if len(shape) <= 1}
    undecayed = {n for n, value in started(plan, "weight_decay").items() if value == 0}
    assert undecayed == small | {"class_token", "encoder.pos_embedding"}


def electra_depth(name: str, layers: int) -> int:
    """`_get_layer_lrs` of ELECTRA's code: the depth of a parameter, the task's own layers highest."""
    if ".embeddings" in name:
        return 0
    for layer in range(layers):
        if f".encoder.layer.{layer}." in name:
            return layer + 1
    return layers + 2


def electra(layers: int) -> nn.Module:
    from transformers import ElectraConfig, ElectraForSequenceClassification

    return ElectraForSequenceClassification(
        ElectraConfig(num_hidden_layers=layers, hidden_size=64, intermediate_size=128, embedding_size=32)
    )


def roberta(layers: int) -> nn.Module:
    from transformers import RobertaConfig, RobertaForSequenceClassification

    return RobertaForSequenceClassification(
        RobertaConfig(num_hidden_layers=layers, hidden_size=48, intermediate_size=96)
    )


def bert_large(layers: int) -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(
        BertConfig(num_hidden_layers=layers, hidden_size=1024, intermediate_size=4096, num_attention_heads=16)
    )


@pytest.mark.parametrize(("make", "layers"), [(electra, 12), (electra, 24), (roberta, 12), (bert_large, 24)])
def test_the_bert_recipe_gives_the_rates_of_electras_code_as_it_stands(make: Any, layers: int) -> None:
    """Its own model, with projected embeddings, in two sizes, and others of the family; nothing is edited."""
    inventory = Inventory.of(on_meta(make, layers))
    rules = recipe("bert_layer_decay")
    assert [d.message for d in rules.check(inventory) if d.severity != "info"] == []
    plan = rules.resolve(inventory)
    rates = {n: 1e-4 * 0.8 ** (layers + 2 - electra_depth(n, layers)) for n in inventory.names}
    close(started(plan, "lr"), rates)
    undecayed = {n for n, value in started(plan, "weight_decay").items() if value == 0}
    assert undecayed == {n for n in inventory.names if "LayerNorm" in n or "bias" in n}


def test_rates_keep_their_ratios_all_through_the_schedule() -> None:
    """A floor given as a rate would lift the lowest layers; one that is a share cannot."""
    plan: layerlr.Plan = recipe("vit_layer_decay").resolve(
        inventory_of_spec("timm:vit_tiny_patch16_224(num_classes=10)"), steps_per_epoch=10
    )
    for epoch in (0.5, 3, 50, 99.9):
        now = plan.at(epoch=epoch)
        ratio = now["patch_embed.proj.weight"]["lr"] / now["head.weight"]["lr"]
        assert ratio == pytest.approx(0.75**13, rel=1e-12)
