"""What expressions can ask a parameter: the one table of attributes, one row a word.

A row has a meaning in a sentence, and how the value is worked out from columns of a model. Checking,
completion, hover texts and the reference are made from these rows; the columns of what a file asks for are
the keys by which `plan.matching` sorts parameters, so a row that forgets one cannot be read. What a column
is worth for a model stands in `plan.matching.attributes`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Literal

from layerlr_dsl.tools.records import record

Kind = Literal["number", "text", "truth", "dtype", "sizes", "class"]
Reader = Callable[..., Any]


@record
class AttributeWord:
    """An attribute of parameters. `sizes` are asked by `shape[k]` only, `class` by `module is` only.

    read: given what each of `columns` is worth for a parameter, and nothing else, the value; None where it is
    not known. `module` has no value, but its questions have.
    """

    name: str
    kind: Kind
    about: str
    columns: tuple[str, ...] = ()
    read: Reader | None = None

    @property
    def has_value(self) -> bool:
        """Whether the bare name is worth something."""
        return self.kind not in ("sizes", "class")


@record
class FamilyWord:
    """A family of modules, asked for by `module is NAME`; `columns` and `read` as of an attribute."""

    name: str
    about: str
    columns: tuple[str, ...]
    read: Reader


def _sized(of_shape: Callable[[tuple[int, ...]], object]) -> tuple[tuple[str, ...], Reader]:
    """What is known by a shape alone; parameters of lazy modules have none yet."""
    return ("shape", "lazy"), lambda shape, lazy: None if lazy else of_shape(shape)


def _by_class(word: str) -> tuple[tuple[str, ...], Reader]:
    return ("class",), lambda described: word in described.families


def _as_it_is(value: object) -> object:
    return value


ATTRIBUTE_WORDS = (
    AttributeWord(
        "name", "text", "the last segment of the parameter's name, such as `weight`", ("leaf",), _as_it_is
    ),
    AttributeWord("path", "text", "the full dotted name", ("path",), _as_it_is),
    AttributeWord("depth", "number", "how many segments the name has", ("dots",), lambda dots: dots + 1),
    AttributeWord("ndim", "number", "dimensions of the tensor", *_sized(len)),
    AttributeWord("numel", "number", "elements of the tensor", *_sized(prod)),
    AttributeWord(
        "shape",
        "sizes",
        "`shape[k]`: the size of dimension `k`, from 0, negative from the end",
        *_sized(tuple),
    ),
    AttributeWord(
        "dtype",
        "dtype",
        "`dtype is float32`, `bfloat16`, ..., also compared as a string",
        ("dtype",),
        _as_it_is,
    ),
    AttributeWord(
        "index", "number", "the parameter's place in `named_parameters()`, from 0", ("place",), _as_it_is
    ),
    AttributeWord("tied", "truth", "whether the tensor has several names", ("tied",), _as_it_is),
    AttributeWord(
        "module",
        "class",
        "`module is CLASS`: the module that owns it, by class name, by qualified name in quotes, by any base, "
        "or by family",
    ),
)
FAMILY_WORDS = (
    FamilyWord(
        "norm",
        "normalisation layers, by class or class name: `LlamaRMSNorm` derives from `Module` only",
        *_by_class("norm"),
    ),
    FamilyWord("conv", "convolutions, by class or class name", *_by_class("conv")),
    FamilyWord("linear", "linear layers, by class or class name", *_by_class("linear")),
    FamilyWord("embedding", "embeddings, by class or class name", *_by_class("embedding")),
    FamilyWord(
        "depthwise",
        "convolutions whose groups are as many as their input channels, and more than one",
        ("depthwise", "class"),
        # A class may have been called that before the word had a meaning.
        lambda depthwise, described: described.is_called("depthwise") or depthwise,
    ),
    FamilyWord("attention", "attention, or any module inside one", ("in_attention",), _as_it_is),
)
ATTRIBUTES = tuple(word.name for word in ATTRIBUTE_WORDS)
VALUES = frozenset(word.name for word in ATTRIBUTE_WORDS if word.has_value)
"""Attributes whose bare name is worth something."""
FAMILIES = tuple(word.name for word in FAMILY_WORDS)
