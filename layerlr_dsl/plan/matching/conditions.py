"""A `where`, asked part by part.

The parts of `ndim == 2 and module is linear and i >= 7` look at few things each, and rules share them.
Each part is asked once for all classes of rows that agree in what it looks at.
"""

from __future__ import annotations

from typing import Any

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import CheckedSelector
from layerlr_dsl.language.names import CAPTURE_FUNCTIONS
from layerlr_dsl.language.questions import names_in
from layerlr_dsl.plan.matching.attributes import attributes_in
from layerlr_dsl.tools.records import record


@record
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
        self._shared: dict[Any, tuple[tuple[str, ...], dict[Any, bool]]] = {}
        """By how they read, and whether captures count: what such parts look at, and their answers."""

    def of(self, selector: CheckedSelector) -> tuple[Part, ...]:
        """The parts of a selector's `where`, from left to right."""
        found = self._of_selector.get(selector.number)
        if found is None:
            assert selector.where is not None
            made = (self._part(expression, selector) for expression in _sides(selector.where))
            found = self._of_selector[selector.number] = tuple(made)
        return found

    def _part(self, expression: s.Expression, selector: CheckedSelector) -> Part:
        bound = any(
            (isinstance(n, s.Name) and n.name in selector.captures) or _of_captures(n)
            for n in names_in(expression)
        )
        key = (condition_key(expression, selector), bound)
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = (attributes_in(expression), {})
        return Part(expression, shared[0], bound, shared[1])


def condition_key(condition: s.Expression, selector: CheckedSelector) -> tuple[str, int | None]:
    """What two conditions on the same items share only if they have the same answers."""
    # `last(i)` depends on the whole selector, so what asks for it is nobody else's.
    own = any(map(_of_captures, names_in(condition)))
    return condition.span.text, selector.number if own else None


def _of_captures(node: s.Expression) -> bool:
    """Whether a node is `last(i)` or its like, over captures of the selector at hand."""
    return (
        isinstance(node, s.Call)
        and node.function in CAPTURE_FUNCTIONS
        and not any(isinstance(argument, s.GroupCapture) for argument in node.arguments)
    )


def _sides(where: s.Expression) -> list[s.Expression]:
    sides: list[s.Expression] = []
    while isinstance(where, s.Logic) and where.operator == "and":
        sides.append(where.right)
        where = where.left
    return [where, *reversed(sides)]
