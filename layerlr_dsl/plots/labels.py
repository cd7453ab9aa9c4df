"""What some parameters are called in a picture: their layers first, and what of these they are as a remark.

`layer1` are all parameters of a layer; `layer1` with the remark `norm, bias` are those of a kind in it. Names of
groups are keys of loggers and say less: `layer1/weight` and `layer1`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from layerlr_dsl.model.inventory import Inventory

LEAST_FOLD = 3
"""So many blocks in a row are one: `blocks.{0..11}`."""
MOST_NAMED = 3


@record
class Label:
    """Layers, and what of them; without a remark all of it."""

    name: str
    remark: str = ""

    @property
    def whole(self) -> str:
        return f"{self.name} ({self.remark})" if self.remark else self.name


class Labels:
    """The labels of parameters of one model."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self._ways: list[_Way] = []

    def of(self, rows: Sequence[int]) -> Label:
        """The label of parameters, by their rows in the inventory: in the way that needs the fewest words."""
        best: _Named | None = None
        for number, kinds in enumerate(_KINDS):
            if number == len(self._ways):
                self._ways.append(_Way(self.inventory, kinds(self.inventory)))
            found = self._ways[number].named(rows)
            if best is None or found.count < best.count:
                best = found
            if best.count <= MOST_NAMED:
                break
        assert best is not None
        return best.label


@record
class _Named:
    """A label, and how many names it takes to say it."""

    label: Label
    count: int


def _by_family(inventory: Inventory) -> list[str]:
    """Norms, and of other layers weights, biases and what has a name of its own."""
    norms = ["norm" in one.families for one in inventory.classes]
    return [
        "norm" if norms[inventory.module_classes[owner]] else _kind(leaf)
        for owner, leaf in zip(inventory.owners, inventory.leaves, strict=True)
    ]


def _by_leaf(inventory: Inventory) -> list[str]:
    return [_kind(leaf) for leaf in inventory.leaves]


def _by_module(inventory: Inventory) -> list[str]:
    """The module that a parameter stands in, by its own name: `lora_B`."""
    return [_stem(inventory.module_name(owner)) for owner in inventory.owners]


_KINDS = (_by_family, _by_leaf, _by_module)


class _Way:
    """Parameters told apart by their kinds, one for each."""

    def __init__(self, inventory: Inventory, kinds: list[str]) -> None:
        self.inventory, self.kinds = inventory, kinds
        self.distinct = list(dict.fromkeys(kinds))
        self.all = self._counted(range(len(inventory)))
        self.own: list[list[int]] = [[] for _ in inventory.module_parents]
        for row, owner in enumerate(inventory.owners):
            self.own[owner].append(row)
        self.inside: list[list[int]] = [[] for _ in inventory.module_parents]
        for row, parent in enumerate(inventory.module_parents):
            if parent >= 0:
                self.inside[parent].append(row)

    def named(self, rows: Sequence[int]) -> _Named:
        kinds = dict.fromkeys(self.kinds[row] for row in rows)
        found = self._counted(rows)
        nodes = list(self._covered(0, kinds, found, frozenset(rows)))
        if len(nodes) == 1 and isinstance(nodes[0], int):
            nodes = [self._deepest(nodes[0], rows, found)]
        modules = [node for node in nodes if isinstance(node, int)]
        keys = [(module, kind) for module in modules for kind in self.distinct]
        others = dict.fromkeys(kind for module, kind in keys if self.all[module, kind] != found[module, kind])
        name, count = ("all", 1) if nodes == [0] else self._names(nodes, rows, kinds)
        return _Named(Label(name, _remark(list(kinds), list(others))), count)

    def _counted(self, rows: Iterable[int]) -> Counter[tuple[int, str]]:
        """How many parameters of each kind there are in each module, at any depth."""
        parents = self.inventory.module_parents
        found = Counter((self.inventory.owners[row], self.kinds[row]) for row in rows)
        level = list(found.items())
        while level:  # from each module to the one around it
            above: dict[tuple[int, str], int] = {}
            for (module, kind), count in level:
                if module:
                    key = (parents[module], kind)
                    above[key] = above.get(key, 0) + count
            found.update(above)
            level = list(above.items())
        return found

    def _covered(
        self, module: int, kinds: Iterable[str], found: Counter[tuple[int, str]], rows: frozenset[int]
    ) -> Iterator[int | str]:
        """The outermost modules whose parameters of these kinds are all there, and the parameters outside of such."""
        if not any(found[module, kind] for kind in kinds):
            return
        if all(self.all[module, kind] == found[module, kind] for kind in kinds):
            yield module
            return
        yield from (self.inventory.names[row] for row in self.own[module] if row in rows)
        for child in self.inside[module]:
            yield from self._covered(child, kinds, found, rows)

    def _deepest(self, module: int, rows: Sequence[int], found: Counter[tuple[int, str]]) -> int | str:
        """The innermost module that says the same, where the one above needs a remark; at the top a parameter."""
        kinds = self.distinct
        while any(self.all[module, kind] != found[module, kind] for kind in kinds):
            inside = [child for child in self.inside[module] if any(found[child, kind] for kind in kinds)]
            here = [row for row in self.own[module] if row in rows]
            if not module and len(rows) == len(here) == 1:
                return self.inventory.names[here[0]]
            if here or len(inside) != 1:
                break
            module = inside[0]
        return module

    def _names(
        self, nodes: Sequence[int | str], rows: Sequence[int], kinds: Iterable[str]
    ) -> tuple[str, int]:
        names = [self.inventory.module_name(one) if isinstance(one, int) else one for one in nodes]
        folded = list(_folded(names))
        if len(folded) <= MOST_NAMED:
            return _together(folded), len(folded)
        wanted = set(kinds)
        between = sum(self.kinds[row] in wanted for row in range(min(rows), max(rows) + 1))
        if between == len(set(rows)):
            return f"{folded[0]} to {folded[-1]}", MOST_NAMED
        return f"{folded[0]}, {folded[1]} and {len(folded) - 2} more", len(folded)


def _kind(leaf: str) -> str:
    return next((kind for kind in ("weight", "bias") if leaf.endswith(kind)), leaf)


def _stem(module: str) -> str:
    """The last name in a path that says what a module is: `default` and numbers do not."""
    names = [name for name in module.split(".") if name != "default" and not name.isdigit()]
    return names[-1] if names else module


def _remark(kinds: list[str], others: list[str]) -> str:
    """Which kinds it is, or if these are many, which it is not."""
    if not others:
        return ""
    if len(kinds) <= MOST_NAMED:
        return ", ".join(kinds)
    if len(others) <= MOST_NAMED:
        return f"but {', '.join(others)}"
    return f"{', '.join(kinds[:2])} and {len(kinds) - 2} more"


def split(segment: str) -> tuple[str, int | None]:
    """`layer3` as its stem and number."""
    found = re.fullmatch(r"(.*?)([0-9]{1,9})", segment)
    return (found[1], int(found[2])) if found else (segment, None)


def fold(first: str, last: str) -> str:
    """Two names that differ in the number at their end, and those between them: `blocks.{0..11}`."""
    stem, low = split(first)
    return first if first == last else f"{stem}{{{low}..{split(last)[1]}}}"


def _together(names: Sequence[str]) -> str:
    """`stem, head`; what stands in one module is said of it: `layers.0.{gate, norm}`."""
    heads = {name.rpartition(".")[0] for name in names}
    head = heads.pop() if len(heads) == 1 and len(names) > 1 else ""
    if not head:
        return ", ".join(names)
    return f"{head}.{{{', '.join(name.rpartition('.')[2] for name in names)}}}"


def _folded(names: Sequence[str]) -> Iterator[str]:
    """Names in a row that count on as one."""
    run: list[str] = []
    for name in [*names, ""]:
        stem, number = split(name)
        if run and not (number is not None and split(run[-1]) == (stem, number - 1)):
            yield from run if len(run) < LEAST_FOLD else [fold(run[0], run[-1])]
            run = []
        run.append(name)
