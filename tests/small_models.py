"""Small inventories, made without torch."""

from __future__ import annotations

from typing import Any

from layerlr_dsl.model.classes import ModuleClass
from layerlr_dsl.model.inventory import Alias, Inventory

_FAMILIES = {
    "LayerNorm": "norm",
    "Conv2d": "conv",
    "Linear": "linear",
    "Embedding": "embedding",
    "Attention": "attention",
}


class Builder:
    """Modules in pre-order with their parameters, as an inventory wants them."""

    def __init__(self, root: str) -> None:
        self.classes: list[str] = [root]
        self.parents, self.segments, self.prefixes, self.kinds = [-1], [""], [""], [0]
        self.names: list[str] = []
        self.owners: list[int] = []
        self.leaves: list[str] = []
        self.shapes: list[tuple[int, ...]] = []

    def module(self, parent: int, segment: str, kind: str) -> int:
        if kind not in self.classes:
            self.classes.append(kind)
        self.parents.append(parent)
        self.segments.append(segment)
        self.prefixes.append(f"{self.prefixes[parent]}{segment}.")
        self.kinds.append(self.classes.index(kind))
        return len(self.parents) - 1

    def parameter(self, owner: int, leaf: str, *shape: int) -> int:
        self.names.append(self.prefixes[owner] + leaf)
        self.owners.append(owner)
        self.leaves.append(leaf)
        self.shapes.append(shape)
        return len(self.names) - 1

    def inventory(self, aliases: dict[int, tuple[Alias, ...]] | None = None) -> Inventory:
        described = [
            ModuleClass(
                name,
                f"models.{name}",
                (name,),
                frozenset([_FAMILIES[name]]) if name in _FAMILIES else frozenset(),
            )
            for name in self.classes
        ]
        size = len(self.names)
        return Inventory(
            self.classes[0],
            self.parents,
            self.segments,
            self.prefixes,
            self.kinds,
            described,
            self.names,
            self.owners,
            self.leaves,
            self.shapes,
            ["float32"] * size,
            [True] * size,
            aliases or {},
        )


def mixture(layers: int = 4, experts: int = 3, width: int = 8) -> Inventory:
    """Layers of attention, norm and experts between an embedding and a head that is tied to it."""
    b = Builder("Mixture")
    embedding = b.module(0, "embedding", "Embedding")
    tied = b.parameter(embedding, "weight", 32, width)
    stack = b.module(0, "layers", "ModuleList")
    for number in range(layers):
        layer = b.module(stack, str(number), "Layer")
        attention = b.module(layer, "attention", "Attention")
        for letter in "qkvo":
            b.parameter(b.module(attention, f"{letter}_proj", "Linear"), "weight", width, width)
        norm = b.module(layer, "norm", "LayerNorm")
        b.parameter(norm, "weight", width)
        b.parameter(norm, "bias", width)
        b.module(layer, "drop", "Dropout")
        pool = b.module(layer, "experts", "ModuleList")
        for expert in range(experts):
            one = b.module(pool, str(expert), "Expert")
            for name in ("up_proj", "down_proj"):
                linear = b.module(one, name, "Linear")
                b.parameter(linear, "weight", width, width)
                b.parameter(linear, "bias", width)
    head = b.module(0, "head", "Linear")
    b.parameter(head, "bias", 32)
    return b.inventory({tied: (Alias("head.weight", head, "weight"),)})


def inventory_of(parameters: dict[str, int]) -> Inventory:
    """A model of one class that has these parameters, with so many dimensions each."""
    b = Builder("Module")
    tree: dict[str, Any] = {}
    for name in parameters:
        node = tree
        for segment in name.split(".")[:-1]:
            node = node.setdefault(segment, {})

    rows = {"": 0}

    def lay(node: dict[str, Any], path: str) -> None:
        for segment, below in node.items():
            inner = f"{path}.{segment}" if path else segment
            rows[inner] = b.module(rows[path], segment, "Module")
            lay(below, inner)

    lay(tree, "")
    for name in sorted(parameters, key=lambda name: rows[name.rpartition(".")[0]]):
        owner, _, leaf = name.rpartition(".")
        b.parameter(rows[owner], leaf, *(2,) * parameters[name])
    return b.inventory()
