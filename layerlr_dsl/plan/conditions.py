"""A `where`, asked part by part.

The parts of `ndim == 2 and module is linear and i >= 7` look at few things each, and rules share them.
Each part is asked once for all classes of rows that agree in what it looks at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import CheckedSelector
from layerlr_dsl.language.expressions import ATTRIBUTES, CAPTURE_FUNCTIONS, names_in

_VALUES = frozenset(ATTRIBUTES) - {"module"}
MODULE_IS = "module is "
"""Begins the name of what a part asks of the module: the answer tells more parameters alike than its class."""


@dataclass(frozen=True, slots=True)
class Part:
    """One side of an `and`, at its own place: what it looks at, and the answers so far.

    `answers` belong to all parts that read the same.
    """

    expression: s.Expression
    attributes: tuple[str, ...]
    bound: bool
    """Whether it looks at captures."""
    answers: dict[Any, bool]


class Conditions:
    """The parts of every `where` of a file; parts that read the same share their answers."""

    def __init__(self) -> None:
        self._of_selector: dict[int, tuple[Part, ...]] = {}
        self._shared: dict[tuple[str, int], tuple[tuple[str, ...], dict[Any, bool]]] = {}
        """By text, and selector or whether captures count: what such parts look at, and their answers."""

    def of(self, selector: CheckedSelector) -> tuple[Part, ...]:
        """The parts of a selector's `where`, from left to right."""
        found = self._of_selector.get(id(selector))
        if found is None:
            assert selector.where is not None
            made = (self._part(expression, selector) for expression in _sides(selector.where))
            found = self._of_selector[id(selector)] = tuple(made)
        return found

    def _part(self, expression: s.Expression, selector: CheckedSelector) -> Part:
        nodes = list(names_in(expression))
        # `last(i)` depends on the whole selector, so such a part is nobody else's.
        own = any(isinstance(n, s.Call) and n.function in CAPTURE_FUNCTIONS for n in nodes)
        bound = any(isinstance(n, s.Name) and n.name in selector.captures for n in nodes)
        key = (expression.span.text, id(selector) if own else bound)
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = (attributes_in(expression), {})
        return Part(expression, shared[0], bound, shared[1])


def _sides(where: s.Expression) -> list[s.Expression]:
    sides: list[s.Expression] = []
    while isinstance(where, s.Logic) and where.operator == "and":
        sides.append(where.right)
        where = where.left
    return [where, *reversed(sides)]


def attributes_in(expression: s.Expression) -> tuple[str, ...]:
    """The attributes of a parameter that an expression asks for; of its module, the questions it asks."""
    found: set[str] = set()
    for node in names_in(expression):
        if isinstance(node, s.Name):
            found.add(node.name)
        elif isinstance(node, s.Subscript):
            found.add("shape")
        elif isinstance(node, s.Is):
            of_module = isinstance(node.subject, s.Name) and node.subject.name == "module"
            found.add(f"{MODULE_IS}{node.word}" if of_module else "dtype")
    return tuple(sorted(name for name in found if name in _VALUES or name.startswith(MODULE_IS)))
