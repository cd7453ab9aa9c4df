"""What an expression refers to, and what it depends on, told from its tree: nothing is worked out."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Set
from typing import Any, Protocol

from layerlr_dsl.catalogue.schedules import CALLED
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.names import CAPTURE_FUNCTIONS, NUMBERS, PLAIN_FUNCTIONS, TIME_NAMES


class Constants(Protocol):
    """The `let` names of a file."""

    @property
    def moving(self) -> Set[str]:
        """Those whose value changes with time."""

    @property
    def of_model(self) -> Set[str]:
        """Those whose value depends on the model."""

    @property
    def lost(self) -> Set[str]:
        """Those, and groups, whose statements are at fault."""

    @property
    def groups(self) -> Mapping[str, frozenset[str]]:
        """The captures that each group of the file binds."""

    def __contains__(self, name: object, /) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...

    def worth(self, name: str, exact: bool) -> Any:
        """The value of a name; `exact` for time, in fractions. Raises Fault."""


def names_in(expression: s.Expression) -> Iterator[s.Name | s.Call | s.Subscript | s.Is | s.GroupCapture]:
    """Every node that refers to something by name, without recursion."""
    stack: list[Any] = [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, (s.Name, s.Subscript, s.Is, s.GroupCapture)):
            yield node
        if isinstance(node, s.Call):
            yield node
            if node.function not in CAPTURE_FUNCTIONS or any(map(_is_of_group, node.arguments)):
                stack.extend(node.arguments)
            stack.extend(keyword_values(node))
        else:
            stack.extend(children(node))


def _is_of_group(argument: s.Expression) -> bool:
    return isinstance(argument, s.GroupCapture)


def keyword_values(node: s.Call) -> Iterator[s.Expression]:
    """What the keywords of a call are worked out from."""
    for keyword in node.keywords:
        values = keyword.value if isinstance(keyword.value, tuple) else (keyword.value,)
        for value in values:
            yield value.value if isinstance(value, s.Duration) else value


def children(node: s.Expression) -> tuple[s.Expression, ...]:
    """The direct sub-expressions of a node."""
    if isinstance(node, (s.Arithmetic, s.Comparison, s.Logic)):
        return (node.left, node.right)
    if isinstance(node, (s.Negative, s.Not)):
        return (node.operand,)
    if isinstance(node, s.Tuple):
        return node.items
    if isinstance(node, (s.Is, s.Matches)):
        return (node.subject,)
    if isinstance(node, s.Call):
        return node.arguments
    if isinstance(node, s.Subscript):
        return (node.index,)
    if isinstance(node, s.Duration):
        return (node.value,)
    return ()


def moves(expression: s.Expression, lets: Constants, captures: Container[str] = ()) -> bool:
    """Whether a value changes with time: it asks the clock, or calls what does."""
    if isinstance(expression, s.Number):  # the leaves of most expressions, which are asked one by one
        return False
    if isinstance(expression, s.Name):
        return expression.name not in captures and _moves_by_name(expression.name, lets)
    for node in names_in(expression):
        if isinstance(node, s.Call):
            if node.function in CALLED or node.function == "ramp":
                return True
        elif (
            isinstance(node, (s.Name, s.Subscript))
            and node.name not in captures
            and _moves_by_name(node.name, lets)
        ):
            return True
    return False


def _moves_by_name(name: str, lets: Constants) -> bool:
    return name in lets.moving or (name in TIME_NAMES and name not in lets)


def of_model(expression: s.Expression, lets: Constants) -> bool:
    """Whether a value depends on the model, and on no parameter of it: it counts what a group binds."""
    return any(
        isinstance(node, s.GroupCapture)
        or (isinstance(node, (s.Name, s.Subscript)) and node.name in lets.of_model)
        for node in names_in(expression)
    )


def is_constant(expression: s.Expression, lets: Constants) -> bool:
    """Whether the value depends on nothing but literals and lets that are constants."""
    for node in names_in(expression):
        if isinstance(node, (s.Name, s.Subscript)) and node.name in lets:
            if node.name in lets.moving or node.name in lets.of_model:
                return False
            continue
        if isinstance(node, s.Name) and node.name in NUMBERS:
            continue
        if isinstance(node, s.Call) and node.function in PLAIN_FUNCTIONS:
            continue
        return False
    return True
