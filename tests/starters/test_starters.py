"""Starting files validate clean on real architectures, in every style, and say what they promise."""

from __future__ import annotations

import importlib
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import layerlr_dsl as layerlr
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.language.source import Source
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.specs import inventory_of_spec
from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plan.resolve import resolve
from layerlr_dsl.starters import STYLES, starter

TORCHVISION = [
    "alexnet",
    "vgg11_bn",
    "resnet18",
    "resnet50",
    "wide_resnet50_2",
    "resnext50_32x4d",
    "densenet121",
    "googlenet",
    "inception_v3",
    "squeezenet1_1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "mnasnet0_5",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "convnext_tiny",
    "vit_b_16",
    "swin_t",
    "maxvit_t",
    "regnet_y_400mf",
    "fcn_resnet50",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "r3d_18",
]
TIMM = [
    "vit_tiny_patch16_224",
    "deit3_small_patch16_224",
    "beit_base_patch16_224",
    "eva02_tiny_patch14_224",
    "cait_xxs24_224",
    "swinv2_tiny_window8_256",
    "convnextv2_tiny",
    "coat_tiny",
    "coatnet_0_rw_224",
    "levit_128",
    "mixer_b16_224",
    "poolformer_s12",
    "mobilevit_s",
    "efficientformer_l1",
    "tf_efficientnet_lite0",
    "regnety_002",
    "hrnet_w18_small",
    "resnetv2_50",
    "xcit_tiny_12_p16_224",
    "hiera_tiny_224",
]
TRANSFORMERS = {
    "bert": ("BertForSequenceClassification", "BertConfig", {}),
    "roberta": ("RobertaForMaskedLM", "RobertaConfig", {}),
    "distilbert": ("DistilBertForSequenceClassification", "DistilBertConfig", {}),
    "albert": ("AlbertForSequenceClassification", "AlbertConfig", {}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {}),
    "llama": ("LlamaForCausalLM", "LlamaConfig", {"num_hidden_layers": 4}),
    "bloom": ("BloomForCausalLM", "BloomConfig", {}),
    "t5": ("T5ForConditionalGeneration", "T5Config", {}),
    "whisper": ("WhisperForConditionalGeneration", "WhisperConfig", {}),
    "clip": ("CLIPModel", "CLIPConfig", {}),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", {"num_hidden_layers": 2, "num_local_experts": 4}),
    "segformer": ("SegformerForSemanticSegmentation", "SegformerConfig", {}),
}


def _transformer(name: str) -> Inventory:
    torch = importlib.import_module("torch")
    transformers = with_torchvision(lambda: importlib.import_module("transformers"))
    model, config, settings = TRANSFORMERS[name]
    made = with_torchvision(lambda: getattr(transformers, config)(**settings))
    build = with_torchvision(lambda: getattr(transformers, model))
    with torch.device("meta"):
        return Inventory.of(build(made))


def _findings(text: str, inventory: Inventory) -> tuple[Plan, list[Diagnostic]]:
    rules = check(Source("starter.lr", text))
    plan = resolve(rules, inventory, Clock(rules.epochs, None))
    return plan, [d for d in (*rules.diagnostics, *plan.diagnostics) if d.severity != "info"]


def _clean_in_every_style(inventory: Inventory, spec: str) -> None:
    for style in STYLES:
        text = starter(inventory, style, spec, nameable=not spec.startswith("python:"))
        _, found = _findings(text, inventory)
        assert found == [], (style, text)
        assert format_text(Source("starter.lr", text)) == text


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_models(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No error, no warning, formatted."""
    monkeypatch.setenv("LAYERLR_CACHE_DIR", str(tmp_path))
    _clean_in_every_style(inventory_of_spec(f"torchvision:{name}"), f"torchvision:{name}")


@pytest.mark.parametrize("name", TIMM)
def test_timm_models(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No error, no warning, formatted."""
    monkeypatch.setenv("LAYERLR_CACHE_DIR", str(tmp_path))
    _clean_in_every_style(inventory_of_spec(f"timm:{name}"), f"timm:{name}")


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_models(name: str) -> None:
    """No error, no warning, formatted; tied embeddings and mixtures of experts too."""
    _clean_in_every_style(_transformer(name), f"hf:{name}")


def test_models_with_names_that_no_file_can_spell() -> None:
    """Control characters and the like are matched by `?`; no style fails on them."""
    nn = importlib.import_module("torch").nn
    model = nn.Module()
    for name in ("new\nline", "\x1b[31m", "\u202ertl", 'a"b\\', "{x}*[y]?", "where", "fc 2"):
        model.add_module(name, nn.Linear(2, 2))
    _clean_in_every_style(Inventory.of(model), "python:odd:model")


def test_a_part_of_the_last_block_is_no_head() -> None:
    """`blocks.3.fc2` stands in each block, whatever heads are called; without a head, all is stem and blocks."""
    nn = importlib.import_module("torch").nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(8, 8), nn.Linear(8, 8)

    model = nn.Module()
    model.patch_embed = nn.Linear(4, 8)
    model.blocks = nn.ModuleList(Block() for _ in range(4))
    inventory = Inventory.of(model)
    _clean_in_every_style(inventory, "python:bare:model")
    assert "fc2" not in starter(inventory, "gradual", "python:bare:model", nameable=False)


# ---------------------------------------------------------------- what a style promises


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERLR_CACHE_DIR", str(tmp_path_factory.mktemp("models")))
        return inventory_of_spec("torchvision:vit_b_16")


def _rates(plan: Plan) -> dict[str, Any]:
    return {name: options["lr"] for name, options in plan.at(epoch=10).items()}


@pytest.mark.parametrize("style", ["layered", "decay"])
def test_rates_never_fall_from_the_input_to_the_head(vit: Inventory, style: str) -> None:
    """Every block trains at least as fast as the one below it, the head fastest."""
    plan, _ = _findings(starter(vit, style, "torchvision:vit_b_16", nameable=True), vit)
    rates = _rates(plan)
    blocks = [rates[f"encoder.layers.encoder_layer_{k}.mlp.0.weight"] for k in range(12)]
    ladder = [rates["conv_proj.weight"], *blocks, rates["heads.head.weight"]]
    assert ladder == sorted(ladder)
    assert ladder[0] < ladder[-1]


def test_gradual_thaws_from_the_head_down_and_ends_with_everything(vit: Inventory) -> None:
    """The share that trains grows with each phase, from the head alone to all."""
    plan, _ = _findings(starter(vit, "gradual", "torchvision:vit_b_16", nameable=True), vit)
    shares = [phase.trainable_share for phase in plan.phases]
    assert shares == sorted(shares)
    assert shares[0] < 0.02
    assert shares[-1] == 1
    assert len(shares) == 7


def test_muon_gets_the_matrices_of_the_blocks_and_nothing_else(vit: Inventory) -> None:
    """Head, embeddings, norms and biases stay with AdamW."""
    plan, _ = _findings(starter(vit, "muon", "torchvision:vit_b_16", nameable=True), vit)
    muon = {
        name
        for group in plan.groups
        if plan.optimizers[group.optimizer].info.name == "muon"
        for name in group.parameters
    }
    blocks = [name for name in vit.names if name.startswith("encoder.layers.")]
    assert muon == {name for name in blocks if len(vit.shapes[vit.index_of[name]]) == 2}


def test_every_style_but_the_plain_one_says_what_tells_whether_it_pays(vit: Inventory) -> None:
    """None is sure to beat one rate, and a file that is kept should say so."""
    texts = {style: starter(vit, style, "timm:vit", True).replace("\n# ", " ") for style in STYLES}
    said = {style for style, text in texts.items() if "`layerlr tune` tells" in text}
    assert said == set(STYLES) - {"plain"}


def test_a_model_that_a_file_may_not_name_is_asked_for_on_the_command_line(vit: Inventory) -> None:
    """`python:` would run code, so the file only says how it was made."""
    text = starter(vit, "layered", "python:mine.models:build", nameable=False)
    assert "\nmodel " not in text
    assert "--model 'python:mine.models:build'" in text


def test_names_with_odd_characters_are_quoted() -> None:
    """A layer called `a*b` or `where` does not turn into a pattern or a keyword."""
    from torch import nn

    model = nn.ModuleDict(
        {"a*b": nn.Linear(2, 2), "where": nn.Linear(2, 2), 'q"[x]': nn.Linear(2, 2), "fc": nn.Linear(2, 2)}
    )
    _clean_in_every_style(Inventory.of(model), "python:odd:model")


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_smallest_models_get_a_file_too(layers: int) -> None:
    """One layer, or a few without names that tell anything."""
    from torch import nn

    _clean_in_every_style(
        Inventory.of(nn.Sequential(*(nn.Linear(2, 2) for _ in range(layers)))), "python:small:model"
    )


def test_a_lazy_model_gets_a_file_too() -> None:
    """Shapes are not asked for where there are none."""
    from torch import nn

    _clean_in_every_style(
        Inventory.of(nn.Sequential(nn.LazyLinear(2), nn.ReLU(), nn.LazyLinear(2))), "python:lazy:model"
    )


@pytest.mark.parametrize("name", ["vit_small_patch14_reg4_dinov2", "deit_tiny_distilled_patch16_224"])
def test_tokens_and_positions_are_not_decayed_and_move_with_the_stem(name: str) -> None:
    """timm's own models say which of their parameters take no weight decay; a starter must not forget any."""
    timm = with_torchvision(lambda: pytest.importorskip("timm"))
    with torch.device("meta"):
        model = timm.create_model(name)
    inventory = layerlr.Inventory.of(model)
    text = starter(inventory, "decay", f"timm:{name}", True)
    at = layerlr.parse(text).resolve(inventory, steps_per_epoch=10).at(epoch=2)
    undecayed = model.no_weight_decay()
    for parameter, value in model.named_parameters():
        assert (at[parameter]["weight_decay"] == 0) is (value.ndim <= 1 or parameter in undecayed)
    stem = {"cls_token", "pos_embed", "reg_token", "dist_token", "patch_embed.proj.weight"} & at.keys()
    assert len({at[parameter]["lr"] for parameter in stem}) == 1


def test_a_style_says_what_was_seen_of_it_and_the_plain_one_that_it_comes_first() -> None:
    """The study's numbers stand in the comments, so that nobody takes a style for proven."""
    inventory = Inventory.of(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)))
    assert "Against one tuned rate in this project's study" in starter(inventory, "decay", "python:a:b", True)
    assert "One rate for everything comes first" in starter(inventory, "plain", "python:a:b", True)


def test_a_style_that_says_nothing_of_a_model_shows_no_numbers(vit: Inventory) -> None:
    """What was seen of norms held tells nothing of a network that has none to hold; the file says so instead."""
    text = starter(vit, "held", "torchvision:vit_b_16", True)
    assert "study" not in text
    assert "freeze" not in text
    assert "# this model has no norms that keep running statistics" in text


def test_the_lower_half_is_frozen_from_the_input_on(vit: Inventory) -> None:
    """Tokens and positions too, or the backward pass would go down to them and the freeze save nothing."""
    text = starter(vit, "lower-half", "timm:vit", True)
    frozen = "class_token, conv_proj, encoder.pos_embedding, encoder.layers.encoder_layer_{0..5}"
    assert text.splitlines()[-1] == f"freeze {frozen}"
    (phase,) = _findings(text, vit)[0].phases
    sizes = {name: math.prod(vit.shapes[row]) for row, name in enumerate(vit.names)}
    upper = sum(size for name, size in sizes.items() if re.search(r"layer_([6-9]|1.)\.|ln|heads", name))
    lower = sum(size for name, size in sizes.items() if re.search(r"layer_[0-5]\.ln", name))
    assert phase.trainable_share == pytest.approx((upper - lower) / sum(sizes.values()))
