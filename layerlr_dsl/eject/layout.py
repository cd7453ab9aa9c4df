"""Python as the usual formatters lay it out: what fits stands on one line, else one item a line."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

WIDTH = 88


@dataclass(frozen=True, slots=True)
class Items:
    """Items between brackets. `comments` stand on lines of their own before an item, by its place."""

    opens: str
    items: tuple[Node, ...]
    closes: str
    comments: tuple[tuple[int, str], ...] = ()

    def inline(self) -> str | None:
        """All on one line, where that can be."""
        parts = [inline(item) for item in self.items]
        if self.comments or any(part is None for part in parts):
            return None
        return self.opens + ", ".join(part for part in parts if part is not None) + self.closes


@dataclass(frozen=True, slots=True)
class Loop:
    """`*(ITEM for ...)`."""

    item: Items
    clause: str

    def inline(self) -> str | None:
        item = self.item.inline()
        return None if item is None else f"*({item} {self.clause})"


Node: TypeAlias = "str | Items | Loop"


def inline(node: Node) -> str | None:
    return node if isinstance(node, str) else node.inline()


def laid_out(node: Node, indent: int = 0, before: str = "", after: str = "") -> list[str]:
    """Lines of a node behind `before` and ahead of `after`."""
    margin = " " * indent
    line = inline(node)
    if line is not None and (isinstance(node, str) or len(margin + before + line + after) <= WIDTH):
        return [margin + before + line + after]
    if isinstance(node, Loop):
        clause = f"{margin}    {node.clause}"
        return [f"{margin}*(", *laid_out(node.item, indent + 4), clause, f"{margin}){after}"]
    assert isinstance(node, Items)
    lines = [margin + before + node.opens]
    inner = None if line is None else line[len(node.opens) : len(line) - len(node.closes)]
    if (
        inner is not None
        and node.opens.endswith("(")
        and len(margin + inner) + 4 <= WIDTH
        and node.opens != "("
    ):
        return [*lines, f"{margin}    {inner}", margin + node.closes + after]
    comments = dict(node.comments)
    for place, item in enumerate(node.items):
        if place in comments:
            lines += wrapped(comments[place], indent + 4, "# ")
        lines += laid_out(item, indent + 4, "", ",")
    return [*lines, margin + node.closes + after]


def wrapped(text: str, indent: int, mark: str = "") -> list[str]:
    """A comment or docstring on lines that fit."""
    margin = " " * indent + mark
    return [margin + line for line in textwrap.wrap(text, WIDTH - len(margin), break_on_hyphens=False)]


def literal(value: Any) -> str:
    """A constant in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (tuple, list)):
        inner = ", ".join(map(literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def pattern(text: str) -> str:
    """A regular expression as a literal."""
    return literal(text) if "\\" not in text or '"' in text else f'r"{text}"'


def function(name: str, parameters: str, doc: str, body: Sequence[str], returns: str = "float") -> list[str]:
    """A function; statements that are too long are left as they are."""
    lines = [f"def {name}({parameters}) -> {returns}:"]
    if doc:
        quoted = doc.replace("\\", "\\\\").replace('"""', "'''")
        quoted += " " * quoted.endswith('"')
        told = textwrap.wrap(quoted, WIDTH - 10, break_on_hyphens=False)
        lines.append(f'    """{told[0]}' + ('"""' if len(told) == 1 else ""))
        lines += [f"    {line}" for line in told[1:]]
        lines += ['    """'] if len(told) > 1 else []
    return [*lines, *(_kept(f"    {line}") for line in body)]


def _kept(line: str) -> str:
    return f"{line}  # fmt: skip" if len(line) > WIDTH and not line.endswith(":") else line
