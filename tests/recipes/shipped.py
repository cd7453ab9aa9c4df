"""The models whose inventories are shipped beside the recipes.

`python tests/recipes/shipped.py` writes them anew; a test holds the files to what this makes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.torchvision_compat import with_torchvision

FOLDER = Path(__file__).parents[2] / "rules" / "inventories"


def bert(layers: int = 12, hidden: int = 768) -> nn.Module:
    """BERT-base with a classification head, under the names of transformers."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        num_hidden_layers=layers,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_attention_heads=hidden // 64,
    )
    return BertForSequenceClassification(config)


def bert_lora(layers: int = 12, hidden: int = 768) -> nn.Module:
    """The same with LoRA adapters on queries and values, under the names of peft."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=["query", "value"])
    return get_peft_model(bert(layers, hidden), config)


def llama(layers: int = 16) -> nn.Module:
    """Llama-3.2-1B, whose output layer is tied to its embedding, under the names of transformers."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=layers,
        num_attention_heads=32,
        num_key_value_heads=8,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


class WeightDropout(nn.Module):
    """An LSTM whose recurrent weights moved to the wrapper, where dropout is applied to them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.module = nn.LSTM(inputs, outputs)
        raw = self.module.weight_hh_l0
        del self.module.weight_hh_l0
        self.register_parameter("weight_hh_l0_raw", raw)


class EmbeddingDropout(nn.Module):
    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.emb = embedding


class AwdLstm(nn.Module):
    """The encoder of Merity et al. 2017 (arXiv:1708.02182) in the sizes and under the names of fastai."""

    def __init__(self, words: int = 60_000, width: int = 400, hidden: int = 1152) -> None:
        super().__init__()
        self.encoder = nn.Embedding(words, width, padding_idx=1)
        self.encoder_dp = EmbeddingDropout(self.encoder)
        sizes = (width, hidden, hidden, width)
        self.rnns = nn.ModuleList(WeightDropout(a, b) for a, b in itertools.pairwise(sizes))


class SentenceEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.module = AwdLstm()


class PoolingClassifier(nn.Module):
    def __init__(self, inputs: int = 1200, hidden: int = 50, classes: int = 2) -> None:
        super().__init__()
        self.layers = nn.Sequential(_block(inputs, hidden, nn.ReLU()), _block(hidden, classes))


def _block(inputs: int, outputs: int, *after: nn.Module) -> nn.Module:
    linear = nn.Linear(inputs, outputs, bias=False)
    return nn.Sequential(nn.BatchNorm1d(inputs), nn.Dropout(0.4), linear, *after)


class UlmfitClassifier(nn.Sequential):
    """fastai's text classifier: an AWD-LSTM encoder, and a pooling classifier on top."""

    def __init__(self) -> None:
        super().__init__(SentenceEncoder(), PoolingClassifier())


MODELS: dict[str, Callable[[], nn.Module]] = {
    "awd_lstm_classifier": UlmfitClassifier,
    "bert_base": bert,
    "bert_base_lora": bert_lora,
    "llama_1b": llama,
}


def on_meta(make: Callable[..., nn.Module], *arguments: Any) -> nn.Module:
    """A model without memory; everything here builds on the meta device."""

    def build() -> nn.Module:
        with torch.device("meta"):
            return make(*arguments)

    return with_torchvision(build)


def main() -> None:
    for name, make in MODELS.items():
        layerlr.Inventory.of(on_meta(make)).save(FOLDER / f"{name}.json")


if __name__ == "__main__":
    main()
