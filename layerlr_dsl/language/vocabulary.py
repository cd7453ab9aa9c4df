"""What expressions can ask a parameter: one row a word, with its meaning in a sentence.

Checking, completion, hover texts and the reference are made from these rows. How each is read off a
model, and what tells parameters apart in it, stands in `plan.matching.attributes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "text", "truth", "dtype", "sizes", "class"]


@dataclass(frozen=True, slots=True)
class AttributeWord:
    """An attribute of parameters. `sizes` are asked by `shape[k]` only, `class` by `module is` only."""

    name: str
    kind: Kind
    about: str

    @property
    def has_value(self) -> bool:
        """Whether the bare name is worth something."""
        return self.kind not in ("sizes", "class")


@dataclass(frozen=True, slots=True)
class FamilyWord:
    """A family of modules, asked for by `module is NAME`."""

    name: str
    about: str


ATTRIBUTE_WORDS = (
    AttributeWord("name", "text", "the last segment of the parameter's name, such as `weight`"),
    AttributeWord("path", "text", "the full dotted name"),
    AttributeWord("depth", "number", "how many segments the name has"),
    AttributeWord("ndim", "number", "dimensions of the tensor"),
    AttributeWord("numel", "number", "elements of the tensor"),
    AttributeWord("shape", "sizes", "`shape[k]`: the size of dimension `k`, from 0, negative from the end"),
    AttributeWord("dtype", "dtype", "`dtype is float32`, `bfloat16`, ..., also compared as a string"),
    AttributeWord("index", "number", "the parameter's place in `named_parameters()`, from 0"),
    AttributeWord("tied", "truth", "whether the tensor has several names"),
    AttributeWord(
        "module",
        "class",
        "`module is CLASS`: the module that owns it, by class name, by qualified name in quotes, by any base, "
        "or by family",
    ),
)
FAMILY_WORDS = (
    FamilyWord(
        "norm", "normalisation layers, by class or class name: `LlamaRMSNorm` derives from `Module` only"
    ),
    FamilyWord("conv", "convolutions, by class or class name"),
    FamilyWord("linear", "linear layers, by class or class name"),
    FamilyWord("embedding", "embeddings, by class or class name"),
    FamilyWord("attention", "attention, or any module inside one"),
)
ATTRIBUTES = tuple(word.name for word in ATTRIBUTE_WORDS)
VALUES = frozenset(word.name for word in ATTRIBUTE_WORDS if word.has_value)
"""Attributes whose bare name is worth something."""
FAMILIES = tuple(word.name for word in FAMILY_WORDS)
