"""What a rule file can know of a model: names, classes, shapes and ties, as columns, without weights.

Columns and not objects, because a model has up to a million parameters and every rule asks about all
of them. Nothing here imports torch.
"""

from __future__ import annotations

import os
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

from layerlr_dsl.model import inventory_file
from layerlr_dsl.model.classes import ModuleClass
from layerlr_dsl.model.columns import Alias, Columns
from layerlr_dsl.model.walk import Walk, walk

if TYPE_CHECKING:
    from torch import nn

    from layerlr_dsl.model.schema import InventoryJson

_ADAPTED = {"BaseTunerLayer"}
_SAVED = {"ModulesToSaveWrapper", "AuxiliaryTrainingWrapper"}
"""Names of peft's classes: layers that carry adapters, and modules of which a copy trains."""

__all__ = ["Alias", "Inventory", "ModuleClass"]


class Inventory(Columns):
    """The module tree of a model in pre-order, and its parameters in `named_parameters()` order.

    Modules (row 0 is the root, its parent -1 and its segment ""; the rows of a subtree are contiguous;
    a shared module stands at each of its places):
    `module_parents`, `module_segments`, `module_prefixes` ("" or "layer1.0."), `module_classes`
    (rows of `classes`).

    Parameters (row k is `list(model.named_parameters())[k]` of the unwrapped model; `owners` are rows of
    modules and never decrease): `names`, `owners`, `leaves`, `shapes`, `dtypes` ("float32"),
    `requires_grad`. `aliases` holds the further names of tied parameters, `lazy` the rows of parameters
    that have no shape yet (theirs is given as `()`).

    Rows of modules, None where it is not known: `depthwise` are the depthwise convolutions, `statistics`
    the norms that keep running statistics, `order` the modules in the order in which a forward pass first
    runs them.

    live: whether it was read from the very model that is to be trained, and not from what stands for it.
    """

    @classmethod
    def of(cls, model: nn.Module, *, source: str | None = None, live: bool = False) -> Inventory:
        """The inventory of a live model, wrapped or not, in one pass.

        `source` is kept as the name of where it came from; the default is the class of the model. live: whether this
        very model is the one that is to be trained.
        Raises ModelError if `model` is no module.
        """
        found = walk(model)
        if source is None:
            source = found.classes[found.module_classes[0]].name
        aliases = _split_ties(found) if len(set(map(id, found.parameters))) < len(found.parameters) else {}
        return cls(
            source=source,
            module_parents=found.module_parents,
            module_segments=found.module_segments,
            module_prefixes=found.module_prefixes,
            module_classes=found.module_classes,
            classes=found.classes,
            names=found.names,
            owners=found.owners,
            leaves=found.leaves,
            shapes=found.shapes,
            dtypes=found.dtypes,
            requires_grad=found.requires_grad,
            aliases=aliases,
            lazy=frozenset(found.lazy),
            depthwise=frozenset(found.depthwise),
            statistics=frozenset(found.statistics),
            live=live,
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Inventory:
        """Read and check a stored inventory (JSON, at most 256 MiB). Raises ModelError."""
        return inventory_file.load(path, cls)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the inventory as JSON, atomically. Raises ModelError if it cannot be written."""
        inventory_file.save(self, path)

    @classmethod
    def from_json(cls, data: object) -> Inventory:
        """The inventory that JSON data describes (what `to_json` gives). Raises ModelError."""
        return inventory_file.from_json(data, cls)

    def to_json(self) -> InventoryJson:
        """The inventory as plain JSON data; its schema is `layerlr_dsl.model.schema.inventory_schema()`."""
        return inventory_file.to_json(self)

    @cached_property
    def adapted_base(self) -> frozenset[int]:
        """The frozen base weights under peft's adapters: what trains there are adapters and modules to save.

        Those that came with their flag on are left out: whoever set it wants them to train.
        """
        adapted = {row for row, kind in enumerate(self.classes) if _ADAPTED & {kind.name, *kind.bases}}
        saved = {row for row, kind in enumerate(self.classes) if _SAVED & {kind.name, *kind.bases}}
        if not adapted:
            return frozenset()
        free: list[bool] = []
        for row, parent in enumerate(self.module_parents):
            above = parent >= 0 and free[parent]
            inside = self.module_classes[parent] if parent >= 0 else -1
            segment = self.module_segments[row]
            adapter = inside in adapted and segment != "base_layer"
            to_save = inside in saved and segment != "original_module"
            free.append(above or adapter or to_save)
        return frozenset(
            row
            for row, owner in enumerate(self.owners)
            if not self.requires_grad[row] and not free[owner] and not self._is_adapter_leaf(row, adapted)
        )

    def _is_adapter_leaf(self, row: int, adapted: set[int]) -> bool:
        """Whether a parameter is the adapter layer's own, such as a vector that scales what is below."""
        return self.module_classes[self.owners[row]] in adapted and self.leaves[row] not in ("weight", "bias")

    @cached_property
    def running_rows(self) -> list[int] | None:
        """The parameters in the order in which a forward pass first uses them; None where that is not known.

        A module that its parent uses without running it takes the parent's place.
        """
        if self.order is None:
            return None
        ranks = {module: rank for rank, module in enumerate(self.order)}
        never = len(ranks)

        def rank(owner: int) -> int:
            return ranks.get(owner, ranks.get(self.module_parents[owner], never))

        first = [
            min(rank(owner), *(rank(alias.owner) for alias in self.aliases.get(row, ())), never)
            for row, owner in enumerate(self.owners)
        ]
        return sorted(range(len(self.owners)), key=first.__getitem__)

    def __len__(self) -> int:
        """How many parameters there are, tied ones once."""
        return len(self.names)

    def module_name(self, module: int) -> str:
        """The dotted name of a module, "" for the root."""
        return self.module_prefixes[module][:-1]

    def module_class(self, module: int) -> ModuleClass:
        """The class of a module, by its row."""
        return self.classes[self.module_classes[module]]

    def owner_class(self, parameter: int) -> ModuleClass:
        """The class of the module that owns a parameter (under its canonical name)."""
        return self.classes[self.module_classes[self.owners[parameter]]]

    def numel(self, parameter: int) -> int:
        """Elements of a parameter; 0 while a lazy module has not made it."""
        return 0 if parameter in self.lazy else prod(self.shapes[parameter])

    @cached_property
    def total_numel(self) -> int:
        """Elements of the whole model, tied parameters counted once."""
        return sum(map(prod, self.shapes)) - len(self.lazy)

    def in_attention(self, module: int) -> bool:
        """Whether a module, or any around it, is an attention."""
        return self.attention_modules[module]

    @cached_property
    def attention_modules(self) -> list[bool]:
        """`in_attention` of every module."""
        attends = ["attention" in described.families for described in self.classes]
        inside: list[bool] = []
        for parent, row in zip(self.module_parents, self.module_classes, strict=True):
            inside.append(attends[row] or (parent >= 0 and inside[parent]))
        return inside

    @cached_property
    def bare_modules(self) -> list[int]:
        """The modules without any parameter of their own or below, under any name of it."""
        bare = [True] * len(self.module_parents)
        for owner in set(self.owners):
            bare[owner] = False
        for others in self.aliases.values():
            for alias in others:
                bare[alias.owner] = False
        for row in range(len(bare) - 1, 0, -1):
            if not bare[row]:
                bare[self.module_parents[row]] = False
        return [row for row, empty in enumerate(bare) if empty]

    @cached_property
    def index_of(self) -> dict[str, int]:
        """From every name, aliases included, to the row of the parameter."""
        rows = {name: row for row, name in enumerate(self.names)}
        for row, others in self.aliases.items():
            for alias in others:
                rows[alias.name] = row
        return rows


def _split_ties(found: Walk) -> dict[int, tuple[Alias, ...]]:
    """Leave each parameter at its first name in the columns of `found`; return the others by row."""
    first: dict[int, int] = {}
    keep: list[int] = []
    aliases: dict[int, list[Alias]] = {}
    for place, parameter in enumerate(found.parameters):
        row = first.setdefault(id(parameter), len(keep))
        if row == len(keep):
            keep.append(place)
        else:
            alias = Alias(found.names[place], found.owners[place], found.leaves[place])
            aliases.setdefault(row, []).append(alias)
    found.keep(keep)
    return {row: tuple(others) for row, others in aliases.items()}
