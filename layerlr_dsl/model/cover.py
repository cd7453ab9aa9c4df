"""Dotted names that cover exactly a given set of parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from layerlr_dsl.model.inventory import Inventory


def cover(inventory: Inventory, rows: Sequence[int]) -> list[str]:
    """The fewest dotted names whose subtrees hold exactly these parameters, under all of their names."""
    return Covers(inventory).of(rows)


class Covers:
    """`cover` for many sets of parameters of one model."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._total = _counted(inventory.index_of)

    def of(self, rows: Sequence[int]) -> list[str]:
        """The fewest dotted names whose subtrees hold exactly these parameters, under all of their names."""
        names = [self._inventory.names[row] for row in rows]
        aliases = {alias.name for row in rows for alias in self._inventory.aliases.get(row, ())}
        held = _counted({*names, *aliases})
        further = sorted(aliases.difference(self._inventory.names))
        return list(dict.fromkeys(self._widest(name, held) for name in [*names, *further]))

    def _widest(self, name: str, held: Counter[str]) -> str:
        return next(prefix for prefix in _prefixes(name) if held[prefix] == self._total[prefix])


def _counted(names: Iterable[str]) -> Counter[str]:
    """How many names there are below each prefix."""
    return Counter(prefix for name in names for prefix in _prefixes(name))


def _prefixes(name: str) -> list[str]:
    at = [i for i, char in enumerate(name) if char == "."]
    return [name[:i] for i in at] + [name]
