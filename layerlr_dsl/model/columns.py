"""The columns of an inventory: what is read from a model, kept in a file, and asked by rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from layerlr_dsl.model.classes import ModuleClass
from layerlr_dsl.tools.records import record


@record
class Alias:
    """A further name of a tied parameter: `owner` is the module at that place, `leaf` its last segment."""

    name: str
    owner: int
    leaf: str


@dataclass(frozen=True, eq=False)
class Columns:
    """What an inventory consists of; `Inventory` says what each column holds."""

    source: str
    module_parents: list[int]
    module_segments: list[str]
    module_prefixes: list[str] = field(repr=False)
    module_classes: list[int] = field(repr=False)
    classes: list[ModuleClass] = field(repr=False)
    names: list[str] = field(repr=False)
    owners: list[int] = field(repr=False)
    leaves: list[str] = field(repr=False)
    shapes: list[tuple[int, ...]] = field(repr=False)
    dtypes: list[str] = field(repr=False)
    requires_grad: list[bool] = field(repr=False)
    aliases: dict[int, tuple[Alias, ...]] = field(repr=False, default_factory=dict)
    lazy: frozenset[int] = field(repr=False, default_factory=frozenset)
    depthwise: frozenset[int] | None = field(repr=False, default=None)
    statistics: frozenset[int] | None = field(repr=False, default=None)
    order: list[int] | None = field(repr=False, default=None)
    live: bool = field(repr=False, default=False)
