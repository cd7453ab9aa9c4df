"""The names of a model folded up: subtrees that look alike are kept once.

A mixture of experts with 100,000 parameters folds into a dozen nodes, so that a selector is matched, and
names are completed, in a millisecond and without the inventory itself, which stays in another process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

from layerlr_dsl.language.patterns import CompiledPattern
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.matching.automaton import Automaton, State
from layerlr_dsl.plan.near_misses import NearMisses, kinds_of
from layerlr_dsl.tools.records import record


@record
class Leaf:
    """A parameter as its module names it; `shape` is None while a lazy module has not made it."""

    name: str
    shape: tuple[int, ...] | None
    dtype: str


@record
class Node:
    """All modules that look alike from here on down; `children` are pairs of a segment and a node."""

    class_name: str
    children: tuple[tuple[str, int], ...]
    leaves: tuple[Leaf, ...]
    tensors: int
    numel: int


@dataclass(frozen=True)
class Tree:
    """A folded model. Node 0 is the root; every node stands before the nodes below it."""

    nodes: tuple[Node, ...]
    class_names: tuple[str, ...]
    """Of the modules and all their bases."""
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The classes of modules, each with its families."""

    def children(self, nodes: Iterable[int]) -> dict[str, int | Leaf]:
        """Everything right below any of some nodes, each name once."""
        found: dict[str, int | Leaf] = {}
        for number in nodes:
            for segment, child in self.nodes[number].children:
                found.setdefault(segment, child)
            for leaf in self.nodes[number].leaves:
                found.setdefault(leaf.name, leaf)
        return found

    def covers(self, pattern: CompiledPattern) -> bool:
        """Whether a pattern covers any parameter."""
        automaton = Automaton([pattern])
        stack = [(automaton.start, 0)]
        seen: set[tuple[int, int]] = set()
        while stack:
            state, number = stack.pop()
            node = self.nodes[number]
            if state.hits:
                if node.tensors:
                    return True
                continue
            if (state.number, number) in seen:
                continue
            seen.add((state.number, number))
            if any(_after(automaton, state, leaf.name).hits for leaf in node.leaves):
                return True
            for segment, child in node.children:
                after = _after(automaton, state, segment)
                if after.hits or after.fresh or after.loops.places:
                    stack.append((after, child))
        return False

    def reached(self, pattern: CompiledPattern) -> list[int]:
        """The nodes of all modules that a pattern names itself, not what lies below them."""
        automaton = Automaton([pattern])
        found: dict[int, None] = {}
        stack = [(automaton.start, 0)]
        seen: set[tuple[int, int]] = set()
        while stack:
            state, number = stack.pop()
            if (state.number, number) in seen:
                continue
            seen.add((state.number, number))
            for segment, child in self.nodes[number].children:
                after = _after(automaton, state, segment)
                if after.hits and not state.hits:
                    found.setdefault(child)
                if after.fresh or after.loops.places:
                    stack.append((after, child))
        return list(found)

    @cached_property
    def segments(self) -> list[str]:
        """Every segment of any name, each once."""
        found: dict[str, None] = {}
        for node in self.nodes:
            found.update(dict.fromkeys(segment for segment, _ in node.children))
            found.update(dict.fromkeys(leaf.name for leaf in node.leaves))
        return list(found)

    @cached_property
    def near(self) -> NearMisses:
        """What a pattern that covers nothing was meant to say."""
        return _TreeMisses(self)

    def to_json(self) -> dict[str, Any]:
        return {
            "classes": self.class_names,
            "kinds": {name: sorted(families) for name, families in self.kinds.items()},
            "nodes": [
                [
                    node.class_name,
                    node.children,
                    [[leaf.name, leaf.shape, leaf.dtype] for leaf in node.leaves],
                    node.tensors,
                    node.numel,
                ]
                for node in self.nodes
            ],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Tree:
        nodes = tuple(
            Node(
                name,
                tuple((segment, child) for segment, child in children),
                tuple(
                    Leaf(leaf, None if shape is None else tuple(shape), dtype)
                    for leaf, shape, dtype in leaves
                ),
                tensors,
                numel,
            )
            for name, children, leaves, tensors, numel in data["nodes"]
        )
        kinds = {name: frozenset(families) for name, families in data["kinds"].items()}
        return cls(nodes, tuple(data["classes"]), kinds)

    @classmethod
    def of(cls, inventory: Inventory) -> Tree:
        """Fold an inventory; every alias of a tied parameter is a leaf of its own."""
        leaves: list[list[Leaf]] = [[] for _ in inventory.module_parents]
        for row, (owner, name) in enumerate(zip(inventory.owners, inventory.leaves, strict=True)):
            shape = None if row in inventory.lazy else tuple(inventory.shapes[row])
            leaves[owner].append(Leaf(name, shape, inventory.dtypes[row]))
            for alias in inventory.aliases.get(row, ()):
                leaves[alias.owner].append(Leaf(alias.leaf, shape, inventory.dtypes[row]))
        names = {name for described in inventory.classes for name in (described.name, *described.bases)}
        return cls(_fold(inventory, leaves), tuple(sorted(names)), kinds_of(inventory))


def _after(automaton: Automaton, state: State, segment: str) -> State:
    return state.table.get(segment) or automaton.step(state, segment)


def _fold(inventory: Inventory, leaves: list[list[Leaf]]) -> tuple[Node, ...]:
    """Nodes from the bottom up, then turned round so that the root comes first."""
    children: list[list[tuple[str, int]]] = [[] for _ in leaves]
    numbers: dict[tuple[Any, ...], int] = {}
    nodes: list[Node] = []
    for row in range(len(leaves) - 1, -1, -1):
        below, own = tuple(reversed(children[row])), tuple(leaves[row])
        key = (inventory.module_classes[row], below, own)
        number = numbers.get(key, -1)
        if number < 0:
            number = numbers[key] = len(nodes)
            tensors = len(own) + sum(nodes[child].tensors for _, child in below)
            numel = sum(prod(leaf.shape) for leaf in own if leaf.shape is not None)
            numel += sum(nodes[child].numel for _, child in below)
            nodes.append(Node(inventory.module_class(row).name, below, own, tensors, numel))
        if row:
            children[inventory.module_parents[row]].append((inventory.module_segments[row], number))
    last = len(nodes) - 1
    return tuple(
        Node(
            node.class_name,
            tuple((segment, last - child) for segment, child in node.children),
            node.leaves,
            node.tensors,
            node.numel,
        )
        for node in reversed(nodes)
    )


class _TreeMisses(NearMisses):
    """Near misses looked for in the folded tree."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    @cached_property
    def _children(self) -> dict[int, list[tuple[str, int]]]:
        return {
            number: [*node.children, *((leaf.name, -1) for leaf in node.leaves)]
            for number, node in enumerate(self._tree.nodes)
        }

    @cached_property
    def _segments(self) -> list[str]:
        return self._tree.segments

    @cached_property
    def _kinds(self) -> Mapping[str, frozenset[str]]:
        return self._tree.kinds

    @cached_property
    def _has_parameters(self) -> list[bool]:
        return [node.tensors > 0 for node in self._tree.nodes]
