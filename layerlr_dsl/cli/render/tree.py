"""The module tree of a model, with what a selector covers marked in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from layerlr_dsl.cli.terminal import Screen
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.tools.cells import cells, clip, pad, wrap
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.words import share, short


@dataclass
class Node:
    """A module with everything that hangs below it."""

    row: int
    children: list[Node] = field(default_factory=list)
    own: list[tuple[str, int, bool]] = field(default_factory=list)
    """Own parameters: leaf, row, and whether this is a further name of a tied one."""
    below: list[int] = field(default_factory=list)
    """Rows of all parameters of the subtree."""


@record
class Line:
    """One line of the tree, not yet laid out."""

    branch: str
    run: str
    """What continues the branch on a second line."""
    name: str
    kind: str
    size: str
    details: str
    mark: str
    covered: bool


def render(
    inventory: Inventory, chosen: frozenset[int] | None, depth: int | None, every: bool, screen: Screen
) -> list[str]:
    """The tree, headed by the model's size, ended by what the selector covers."""
    root = tree(inventory)
    title = f"{escape(inventory.source)}: {escape(inventory.module_class(0).name)}, "
    title += f"{short(inventory.total_numel)} parameters in {plural(len(inventory), 'tensor')}"
    lines = [*(screen.paint(line, "bold") for line in wrap(title, screen.width, indent="  ")), ""]
    view = _View(inventory, chosen, depth, every, screen)
    lines += view.laid_out(list(view.walk(root, "", 0)))
    return lines + _covered(inventory, chosen, screen)


def tree(inventory: Inventory) -> Node:
    """The module tree; tied parameters stand at each of their places."""
    nodes = [Node(row) for row in range(len(inventory.module_parents))]
    for row, parent in enumerate(inventory.module_parents):
        if parent >= 0:
            nodes[parent].children.append(nodes[row])
    for row, owner in enumerate(inventory.owners):
        nodes[owner].own.append((inventory.leaves[row], row, False))
        for alias in inventory.aliases.get(row, ()):
            nodes[alias.owner].own.append((alias.leaf, row, True))
    for node in reversed(nodes):
        node.below = [row for _, row, _ in node.own]
        for child in node.children:
            node.below += child.below
    return nodes[0]


def _covered(inventory: Inventory, chosen: frozenset[int] | None, screen: Screen) -> list[str]:
    if chosen is None:
        return []
    numel = sum(inventory.numel(row) for row in chosen)
    whole = inventory.total_numel or 1
    said = f"covers {len(chosen):,} of {plural(len(inventory), 'tensor')}, "
    said += f"{short(numel)} of {short(whole)} parameters ({share(numel / whole)})"
    return ["", *wrap(said, screen.width, indent="  ")]


@dataclass
class _View:
    inventory: Inventory
    chosen: frozenset[int] | None
    depth: int | None
    every: bool
    screen: Screen
    _shapes: dict[int, object] = field(default_factory=dict)

    def walk(self, node: Node, indent: str, level: int) -> Iterator[Line]:
        """The lines of everything below a node."""
        if level == 0 and node.own:
            yield self._line(node, "", "", "(root)", "", closed=False)
        entries = self._entries(node)
        for place, (child, name, repeats) in enumerate(entries):
            last = place == len(entries) - 1
            tee, run = (("└─ ", "   ") if last else ("├─ ", "│  ")) if self.screen.unicode else ("|- ", "|  ")
            closed = bool(repeats) or self._closed(child, level + 1)
            yield self._line(child, indent + tee, indent + run, name, repeats, closed)
            if not closed:
                yield from self.walk(child, indent + run, level + 1)

    def _closed(self, node: Node, level: int) -> bool:
        """Whether what is below a module is left out: too deep, or all covered alike."""
        if self.depth is not None and level >= self.depth:
            return True
        if self.chosen is None or not node.children:
            return False
        return self._mark(node.below) != "part"

    def _entries(self, node: Node) -> list[tuple[Node, str, str]]:
        """The children; a run of numbered siblings built alike becomes one entry."""
        found: list[tuple[Node, str, str]] = []
        children = [child for child in node.children if child.below or self.depth is None]
        at = 0
        while at < len(children):
            end = at + 1
            while (
                not self.every
                and self._numbered(children[at : end + 1])
                and end < len(children)
                and self._alike(children[at], children[end])
            ):
                end += 1
            found.append((children[at], self._name(children[at]), ""))
            if end - at > 2:
                name = self._range(children[at + 1], children[end - 1])
                found.append((children[at + 1], name, f"each like {self._name(children[at])}"))
            else:
                found += [(child, self._name(child), "") for child in children[at + 1 : end]]
            at = end
        return found

    def _range(self, first: Node, last: Node) -> str:
        """`block{1..11}`, as a selector says it."""
        low, high = self._name(first), self._name(last)
        stem = low.rstrip("0123456789")
        return f"{stem}{{{low[len(stem) :]}..{high[len(stem) :]}}}"

    def _numbered(self, nodes: Iterable[Node]) -> bool:
        return all(
            self.inventory.module_segments[node.row].strip("_").split("_")[-1].isdigit() for node in nodes
        )

    def _alike(self, one: Node, other: Node) -> bool:
        return self._shape(one) == self._shape(other)

    def _shape(self, node: Node) -> object:
        """Equal for two modules that look the same: classes, shapes, ties, and what is covered."""
        if node.row not in self._shapes:
            inventory = self.inventory
            own = tuple(
                (
                    leaf,
                    inventory.shapes[row],
                    inventory.dtypes[row],
                    tied,
                    self._is_covered(row),
                    row in inventory.aliases,
                )
                for leaf, row, tied in node.own
            )
            below = tuple(
                (inventory.module_segments[child.row], self._shape(child)) for child in node.children
            )
            self._shapes[node.row] = hash((inventory.module_classes[node.row], own, below))
        return self._shapes[node.row]

    def _name(self, node: Node) -> str:
        return escape(self.inventory.module_segments[node.row])

    def _is_covered(self, row: int) -> bool:
        return self.chosen is not None and row in self.chosen

    def _mark(self, rows: list[int]) -> str:
        covered = sum(map(self._is_covered, rows))
        return "none" if not covered else "all" if covered == len(rows) else "part"

    def _line(self, node: Node, branch: str, run: str, name: str, repeats: str, closed: bool) -> Line:
        inventory = self.inventory
        distinct = set(node.below)
        details = repeats or (self._summary(node) if closed and node.children else self._own(node))
        mark = self._mark(node.below)
        return Line(
            branch=branch,
            run=run,
            name=name,
            kind=escape(inventory.module_class(node.row).name),
            size=short(sum(inventory.numel(row) for row in distinct)) if distinct else "",
            details=details,
            mark=mark,
            covered=mark == "all",
        )

    def _summary(self, node: Node) -> str:
        return plural(len(set(node.below)), "tensor")

    def _own(self, node: Node) -> str:
        said = []
        for leaf, row, tied in node.own:
            text = f"{escape(leaf)} {self._size(row)}"
            if self.inventory.dtypes[row] != "float32":
                text += f" {self.inventory.dtypes[row]}"
            if not self.inventory.requires_grad[row]:
                text += " frozen"
            if tied:
                text += f" = {escape(self.inventory.names[row])}"
            elif row in self.inventory.aliases:
                text += " (tied)"
            if self.chosen is not None and self._is_covered(row):
                text = ("●" if self.screen.unicode else "*") + text
            said.append(text)
        return ", ".join(said)

    def _size(self, row: int) -> str:
        if row in self.inventory.lazy:
            return "lazy"
        shape = self.inventory.shapes[row]
        return ("×" if self.screen.unicode else "x").join(map(str, shape)) or "scalar"

    def laid_out(self, lines: list[Line]) -> list[str]:
        """Columns where they fit; details are cut at the screen's edge."""
        screen = self.screen
        signs = (
            {"all": "●", "part": "◐", "none": " "}
            if screen.unicode
            else {"all": "*", "part": "-", "none": " "}
        )
        head = max((cells(line.branch + line.name) for line in lines), default=0)
        kind = min(max((cells(line.kind) for line in lines), default=0), 20)
        head = min(head, max(screen.width - kind - 12, 10))
        out: list[str] = []
        for line in lines:
            mark = f"{signs[line.mark]} " if self.chosen is not None else ""
            text = f"{mark}{pad(clip(line.branch + line.name, head), head)}  {self._cut(line.kind, kind)} {line.size:>7}"
            shown = self._with_details(text, line, len(mark))
            out += [screen.paint(piece, "mark") for piece in shown] if line.covered else shown
        return out

    def _cut(self, kind: str, width: int) -> str:
        if cells(kind) <= width:
            return pad(kind, width)
        return pad(clip(kind, width - 1) + self.screen.ellipsis[:1], width)

    def _with_details(self, text: str, line: Line, mark: int) -> list[str]:
        """Details go beside the columns where they fit, else below them."""
        if not line.details or cells(text) + 2 + cells(line.details) <= self.screen.width:
            return [clip(f"{text}  {line.details}", self.screen.width).rstrip()]
        below = " " * mark + line.run + "   "
        return [
            clip(text, self.screen.width).rstrip(),
            *wrap(below + line.details, self.screen.width, 0, below),
        ]


__all__ = ["Node", "render", "tree"]
