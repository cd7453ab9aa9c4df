"""A network as the rows of a still: its blocks from the outside in, as many as one takes in at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from layerlr_dsl.plots.labels import LEAST_FOLD, fold, split
from layerlr_dsl.plots.network import Drawing
from layerlr_dsl.tools.records import record

MOST = 32
MOST_LEAVES = 3


@record
class Row:
    """A block, or `times` of them that are alike and stand in a row. `shares` are elements by group.

    kinds: of all parameters in it, in numbers of `Told.kinds`.
    open: the rows behind it, one deeper, are what is inside it.
    """

    depth: int
    label: str
    module: str
    times: int
    numel: int
    shares: dict[int, int]
    kinds: frozenset[int]
    open: bool


@dataclass(slots=True, eq=False)
class _Node:
    """Blocks that are alike, by their segment and number; one where they are not."""

    depth: int
    label: str
    members: tuple[int, ...]
    inside: list[_Node] = field(default_factory=list)
    own: dict[int, int] | None = None
    """Tensors of a module that has modules inside it too, as a node of their own."""


def rows(drawing: Drawing, most: int = MOST) -> list[Row]:
    """The rows of a drawing, about `most` of them."""
    return list(_Layout(drawing).rows(most))


class _Layout:
    def __init__(self, drawing: Drawing) -> None:
        self.tree, self.kinds = drawing.tree, drawing.told.kinds
        self._shares: dict[int, Counter[int]] = {}
        self._kinds: dict[int, frozenset[int]] = {}

    def rows(self, most: int) -> Iterator[Row]:
        root = _Node(-1, "", (self.tree.root,))
        self._open(root)
        shown = len(root.inside)
        queue = list(root.inside) or [root]
        while queue:
            node = queue.pop(0)
            if len(node.members) > 1 or node.own is not None or node is root:
                continue
            inside = self._inside(node)
            if inside and shown + len(inside) <= most:
                node.inside = inside
                shown += len(inside)
                queue += inside
        for node in root.inside or [root]:
            yield from self._walk(node)

    def _walk(self, node: _Node) -> Iterator[Row]:
        alike = self.tree.structures[self.tree.blocks[node.members[0]].structure]
        shares = node.own if node.own is not None else self._shares_of(node.members)
        module = "" if node.own is not None else alike.module
        label = node.label or "model"
        yield Row(
            max(node.depth, 0),
            label,
            module,
            len(node.members),
            sum(shares.values()),
            dict(shares),
            self._kinds_of(node),
            bool(node.inside),
        )
        for child in node.inside:
            yield from self._walk(child)

    def _open(self, node: _Node) -> None:
        node.inside = self._inside(node)

    def _inside(self, node: _Node) -> list[_Node]:
        """What is inside a single block: its own tensors where there are modules too, then those, folded."""
        block = self.tree.blocks[node.members[0]]
        alike = self.tree.structures[block.structure]
        found: list[_Node] = []
        if alike.tensors and block.children:
            leaves = [tensor.leaf for tensor in alike.tensors]
            label = ", ".join(leaves) if len(leaves) <= MOST_LEAVES else "(own)"
            found.append(_Node(node.depth + 1, label, node.members, own=dict(self._own(node.members[0]))))
        for run in self._folded(alike.segments, block.children):
            segments, members = zip(*run, strict=True)
            found.append(_Node(node.depth + 1, fold(segments[0], segments[-1]), members))
        return found

    def _folded(
        self, segments: tuple[str, ...], children: tuple[int, ...]
    ) -> Iterator[list[tuple[str, int]]]:
        run: list[tuple[str, int]] = []
        for one in zip(segments, children, strict=True):
            if run and not self._follows(run[-1], one):
                yield from _runs(run)
                run = []
            run.append(one)
        yield from _runs(run)

    def _follows(self, before: tuple[str, int], one: tuple[str, int]) -> bool:
        blocks = self.tree.blocks
        if blocks[before[1]].structure != blocks[one[1]].structure:
            return False
        (stem, place), (other, following) = split(before[0]), split(one[0])
        return stem == other and place is not None and following == place + 1

    def _own(self, number: int) -> Counter[int]:
        block = self.tree.blocks[number]
        tensors = self.tree.structures[block.structure].tensors
        shares: Counter[int] = Counter()
        for tensor, kind in zip(tensors, block.kinds, strict=True):
            shares[self.kinds[kind].group] += tensor.numel
        return shares

    def _kinds_of(self, node: _Node) -> frozenset[int]:
        if node.own is not None:
            return frozenset(self.tree.blocks[node.members[0]].kinds)
        return frozenset().union(*(self._kinds_in(number) for number in node.members))

    def _kinds_in(self, number: int) -> frozenset[int]:
        if number not in self._kinds:
            block = self.tree.blocks[number]
            self._kinds[number] = frozenset(block.kinds).union(*map(self._kinds_in, block.children))
        return self._kinds[number]

    def _shares_of(self, members: tuple[int, ...]) -> Counter[int]:
        total: Counter[int] = Counter()
        for number in members:
            total.update(self._of(number))
        return total

    def _of(self, number: int) -> Counter[int]:
        if number not in self._shares:
            total = self._own(number)
            total.update(self._shares_of(self.tree.blocks[number].children))
            self._shares[number] = total
        return self._shares[number]


def _runs(run: list[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    if len(run) >= LEAST_FOLD:
        yield run
    else:
        yield from ([one] for one in run)
