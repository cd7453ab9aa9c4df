"""Families and names of module classes."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn

from layerlr_dsl.model import Inventory
from layerlr_dsl.model.classes import FAMILIES, describe, kind_of
from layerlr_dsl.model.libraries import import_library


def named(name: str, *bases: type) -> type:
    return type(name, bases or (nn.Module,), {})


@pytest.mark.parametrize(
    "cls",
    [
        nn.BatchNorm2d,
        nn.SyncBatchNorm,
        nn.LayerNorm,
        nn.GroupNorm,
        nn.InstanceNorm1d,
        nn.RMSNorm,
        nn.LocalResponseNorm,
    ],
)
def test_torchs_norms_are_norms(cls):
    """Every normalisation of torch is of the family norm and of no other."""
    assert describe(cls).families == {"norm"}


@pytest.mark.parametrize(
    ("cls", "family"),
    [
        (nn.Conv2d, "conv"),
        (nn.ConvTranspose1d, "conv"),
        (nn.LazyConv3d, "conv"),
        (nn.Linear, "linear"),
        (nn.Bilinear, "linear"),
        (nn.modules.linear.NonDynamicallyQuantizableLinear, "linear"),
        (nn.Embedding, "embedding"),
        (nn.EmbeddingBag, "embedding"),
        (nn.MultiheadAttention, "attention"),
    ],
)
def test_torchs_layers_have_their_family(cls, family):
    """torch's own layers belong to one family each."""
    assert describe(cls).families == {family}


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("LlamaRMSNorm", "norm"),
        ("T5LayerNorm", "norm"),
        ("FrozenBatchNorm2d", "norm"),
        ("LayerNorm2d", "norm"),
        ("BatchNormAct2d", "norm"),
        ("MambaRMSNormGated", "norm"),
        ("EvoNorm2dB0", "norm"),
        ("LayerNormFp32", "norm"),
        ("ScaledStdConv2dSame", "conv"),
        ("DeformConv2d", "conv"),
        ("ColumnParallelLinear", "linear"),
        ("Linear4bit", "linear"),
        ("Linear8bitLt", "linear"),
        ("VocabParallelEmbedding", "embedding"),
        ("BertEmbeddings", "embedding"),
        ("BertSdpaSelfAttention", "attention"),
        ("WindowAttention", "attention"),
        ("LlamaFlashAttention2", "attention"),
        ("AttentionPool2d", "attention"),
        ("MultiQueryAttention2d", "attention"),
        ("CrossAttn", "attention"),
    ],
)
def test_a_class_that_derives_from_module_only_is_known_by_its_name(name, family):
    """Libraries write layers of their own; their names say what they are."""
    assert describe(named(name)).families == {family}


@pytest.mark.parametrize(
    "name",
    [
        "ConvNormAct",
        "Conv2dNormActivation",
        "NormMlpClassifierHead",
        "ConvNeXtBlock",
        "PatchEmbed",
        "NonLinear",
        "Normalizer",
        "ResidualAttentionBlock",
        "ModelWithAttention",
        "Convolutional",
        "Net",
        "Attnum",
    ],
)
def test_a_name_that_only_contains_the_word_is_of_no_family(name):
    """A block that has a norm inside is no norm."""
    assert describe(named(name)).families == set()


def test_a_subclass_inherits_the_family_of_its_base():
    """A user's Stem(nn.Conv2d) is a conv whatever it is called."""
    described = describe(named("Stem", nn.Conv2d))
    assert described.families == {"conv"}
    assert described.bases[:2] == ("Conv2d", "_ConvNd")
    assert "object" not in described.bases


def test_transformers_conv1d_is_a_linear_layer():
    """GPT-2's Conv1D multiplies by a matrix; torch's Conv1d does not."""
    from transformers.pytorch_utils import Conv1D

    assert describe(Conv1D).families == {"linear"}
    assert describe(nn.Conv1d).families == {"conv"}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("timm.layers", "BatchNormAct2d"),
        ("timm.layers", "LayerNorm2d"),
        ("torchvision.ops", "FrozenBatchNorm2d"),
        ("transformers.models.llama.modeling_llama", "LlamaRMSNorm"),
        ("transformers.models.t5.modeling_t5", "T5LayerNorm"),
    ],
)
def test_other_libraries_norms_are_norms(module, name):
    """Real classes, some of which derive from Module only."""
    assert describe(getattr(import_library(module), name)).families == {"norm"}


def test_families_are_those_the_language_names():
    """The five words that may stand after `module is`."""
    assert FAMILIES == ("norm", "conv", "linear", "embedding", "attention")


def test_classes_that_are_made_on_the_fly_are_not_kept_alive():
    """parametrize makes a class per module; remembering it must not leak it."""
    model = nn.Linear(2, 2)
    torch.nn.utils.parametrizations.orthogonal(model)
    Inventory.of(model)
    made = weakref.ref(type(model))
    assert kind_of(type(model)).original is nn.Linear
    del model
    gc.collect()
    assert made() is None


def test_equal_classes_share_a_row():
    """A parametrized Linear and a plain one are one class to the rules."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    torch.nn.utils.parametrizations.orthogonal(model[0])
    assert [described.name for described in Inventory.of(model).classes].count("Linear") == 1
