"""The modules of a model as nested blocks, those that are alike stored once.

A mixture of experts has a hundred thousand tensors and a handful of different blocks. So a block names its
children by number, and children that hold the same tensors under the same rules have the same number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from layerlr_dsl.model.inventory import Inventory


@record
class Tensor:
    """A parameter at its place; one that is tied to another has the other's name and no elements of its own."""

    leaf: str
    shape: tuple[int, ...]
    numel: int
    tied: str = ""


@record
class Structure:
    """What modules that are built alike share: their class, tensors, and the names of the modules in them.

    `inside` are the structures of those, `numel` and `count` the elements and tensors of all, without those that
    are tied to others.
    """

    module: str
    tensors: tuple[Tensor, ...]
    segments: tuple[str, ...]
    inside: tuple[int, ...]
    numel: int
    count: int


@record
class Block:
    """A module under its rules: the kind of each of its tensors, and the blocks inside it by number."""

    structure: int
    kinds: tuple[int, ...]
    children: tuple[int, ...]


@record
class Tree:
    """Blocks, the outermost by number; `ordered` says that children stand in the order of a forward pass."""

    structures: tuple[Structure, ...]
    blocks: tuple[Block, ...]
    root: int
    ordered: bool


def tree(inventory: Inventory, kind_of: Sequence[int]) -> Tree:
    """The tree of a model. `kind_of` gives the kind of each parameter, then of each further name of one.

    Modules without any parameter are left out.
    """
    tensors = _tensors(inventory, kind_of)
    children: list[list[int]] = [[] for _ in inventory.module_parents]
    for row, parent in enumerate(inventory.module_parents):
        if parent >= 0:
            children[parent].append(row)
    ranks = first_runs(inventory)
    forest = _Forest()
    numbers: dict[int, int] = {}
    for row in range(len(children) - 1, -1, -1):  # what is inside a module stands behind it
        inside = [child for child in children[row] if child in numbers]
        if ranks is not None:
            inside.sort(key=ranks.__getitem__)
        if row in tensors or inside or not row:
            segments = tuple(inventory.module_segments[child] for child in inside)
            blocks = tuple(numbers[child] for child in inside)
            module = inventory.module_class(row).name
            numbers[row] = forest.block(module, tensors.get(row, []), segments, blocks)
    return Tree(tuple(forest.structures), tuple(forest.blocks), numbers[0], ranks is not None)


def first_runs(inventory: Inventory) -> list[int] | None:
    """When a forward pass first comes to each module, or to one inside it; None where nobody knows.

    What it never comes to is last.
    """
    if inventory.order is None:
        return None
    parents = inventory.module_parents
    ranks = [len(parents)] * len(parents)
    for rank, row in enumerate(inventory.order):
        ranks[row] = min(rank, ranks[row])
    for row in range(len(parents) - 1, 0, -1):
        ranks[parents[row]] = min(ranks[parents[row]], ranks[row])
    return ranks


def _tensors(inventory: Inventory, kind_of: Sequence[int]) -> dict[int, list[tuple[Tensor, int]]]:
    """By module its tensors, each with its kind."""
    found: dict[int, list[tuple[Tensor, int]]] = {}
    for row, owner in enumerate(inventory.owners):
        tensor = Tensor(inventory.leaves[row], inventory.shapes[row], inventory.numel(row))
        found.setdefault(owner, []).append((tensor, kind_of[row]))
    for row, others in inventory.aliases.items():
        for alias in others:
            tied = Tensor(alias.leaf, inventory.shapes[row], 0, inventory.names[row])
            found.setdefault(alias.owner, []).append((tied, kind_of[row]))
    return found


class _Forest:
    """Blocks by what they are made of."""

    def __init__(self) -> None:
        self.structures: dict[Structure, int] = {}
        self.blocks: dict[Block, int] = {}
        self._listed: list[tuple[Block, Structure]] = []

    def block(
        self,
        module: str,
        own: Sequence[tuple[Tensor, int]],
        segments: tuple[str, ...],
        children: tuple[int, ...],
    ) -> int:
        """The number of such a block."""
        inside = [self._listed[number] for number in children]
        tensors = tuple(tensor for tensor, _ in own)
        structure = Structure(
            module,
            tensors,
            segments,
            tuple(block.structure for block, _ in inside),
            sum(tensor.numel for tensor in tensors) + sum(alike.numel for _, alike in inside),
            sum(not tensor.tied for tensor in tensors) + sum(alike.count for _, alike in inside),
        )
        place = self.structures.setdefault(structure, len(self.structures))
        block = Block(place, tuple(kind for _, kind in own), children)
        number = self.blocks.setdefault(block, len(self._listed))
        if number == len(self._listed):
            self._listed.append((block, structure))
        return number
