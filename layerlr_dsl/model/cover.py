"""Dotted names that cover exactly a given set of parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from layerlr_dsl.model.inventory import Inventory


def cover(inventory: Inventory, rows: Sequence[int]) -> list[str]:
    """The fewest dotted names whose subtrees hold exactly these parameters, under all of their names."""
    wanted: set[str] = set()
    for row in rows:
        wanted.add(inventory.names[row])
        wanted.update(alias.name for alias in inventory.aliases.get(row, ()))
    every = list(inventory.index_of)
    held: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    for name in every:
        for prefix in _prefixes(name):
            total[prefix] += 1
            held[prefix] += name in wanted
    chosen: dict[str, None] = {}
    for name in (inventory.names[row] for row in rows):
        chosen[_widest(name, held, total)] = None
    for name in sorted(wanted.difference(inventory.names)):
        chosen[_widest(name, held, total)] = None
    return list(chosen)


def _prefixes(name: str) -> list[str]:
    at = [i for i, char in enumerate(name) if char == "."]
    return [name[:i] for i in at] + [name]


def _widest(name: str, held: dict[str, int], total: dict[str, int]) -> str:
    return next(prefix for prefix in _prefixes(name) if held[prefix] == total[prefix])
