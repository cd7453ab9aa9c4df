"""The order in which a model runs, which is not that of registration."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import transformers
from harness import layerlr
from torch import nn

from layerlr_dsl.model.forward_order import forward_order
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.spec_syntax import Spec
from layerlr_dsl.model.specs import inventory_of_spec


class Backwards(nn.Module):
    """A head that is registered in front of the body that feeds it."""

    pretrained_cfg: ClassVar = {"input_size": (4,)}

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.body = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x * self.scale))


class WithSpare(Backwards):
    """It holds a module that a forward pass never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Sequential(nn.Linear(4, 4))


class Branching(Backwards):
    """It reads values, which tensors without memory do not have."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) if x.sum() > 0 else x


def order_of(model: nn.Module) -> list[int] | None:
    return forward_order(model.to("meta"), Spec("timm", "net"))


def test_modules_stand_in_the_order_in_which_they_run() -> None:
    """Containers count from where they are run, and the model goes on in the mode that it was in."""
    model = Backwards().train()
    order = order_of(model)
    assert order == [0, 2, 3, 4, 1]  # all of it, body, its two modules, head
    assert model.training
    assert not model.head._forward_pre_hooks
    inventory = Inventory.of(model)
    object.__setattr__(inventory, "order", order)
    rows = inventory.running_rows
    assert rows is not None
    assert [inventory.names[row] for row in rows] == [
        "scale",
        "body.0.weight",
        "body.0.bias",
        "head.weight",
        "head.bias",
    ]


@pytest.mark.parametrize("model", [WithSpare, Branching])
def test_where_a_model_does_not_run_as_a_whole_no_order_is_claimed(model: type[nn.Module]) -> None:
    """What never ran has no place, and what cannot run on meta has none either."""
    assert order_of(model()) is None


@pytest.mark.parametrize(
    "spec",
    ["torchvision:resnet18", "torchvision:vit_b_16", "timm:vit_tiny_patch16_224", "timm:convnext_atto"],
)
def test_the_usual_networks_run(spec: str) -> None:
    """Torchvision's and timm's, attention that uses its projections without running them included."""
    inventory = inventory_of_spec(spec)
    rows = inventory.running_rows
    assert rows is not None
    assert rows[-1] == len(inventory) - 1
    assert Inventory.from_json(inventory.to_json()).running_rows == rows


def test_a_norm_that_swin_registers_behind_its_reduction_runs_before_it() -> None:
    """Torchvision's Swin merges patches by norm and then reduction, and registers them the other way."""
    inventory = inventory_of_spec("torchvision:swin_t")
    rows = inventory.running_rows
    assert rows is not None
    names = [inventory.names[row] for row in rows]
    assert names.index("features.2.norm.weight") < names.index("features.2.reduction.weight")


def _saved(folder: Path, config: Any, architecture: str) -> str:
    config.architectures = [architecture]
    config.save_pretrained(folder)
    return f"hf:{folder}"


SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def test_of_a_model_of_which_the_input_runs_a_part_nothing_is_claimed(tmp_path: Path) -> None:
    """LLaVA's own dummy input is text alone: plan does not say where its backward pass stops."""
    vision = transformers.CLIPVisionConfig(**SMALL, image_size=28, patch_size=14)
    text = transformers.LlamaConfig(**SMALL, vocab_size=32)
    config = transformers.LlavaConfig(vision_config=vision, text_config=text)
    spec = _saved(tmp_path / "llava", config, "LlavaForConditionalGeneration")
    bert = _saved(tmp_path / "bert", transformers.BertConfig(**SMALL, vocab_size=32), "BertForMaskedLM")
    assert inventory_of_spec(bert, allow_python=True).order is not None
    assert inventory_of_spec(spec, allow_python=True).order is None
    rules = tmp_path / "rules.lr"
    rules.write_text("epochs 2\n** -> lr 1e-3\nfreeze ** except **.multi_modal_projector\n")
    shown = layerlr("plan", rules, "--model", spec)
    assert shown.status == 0, shown.err
    assert "backward pass" not in shown.out
    assert "LR306" not in layerlr("validate", rules, "--model", spec, "--info").together
