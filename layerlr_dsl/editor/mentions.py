"""Where lets, groups and named optimizers are defined and used, and what stands at a place in a statement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.source import Span
from layerlr_dsl.language.trees import walk
from layerlr_dsl.tools.records import record


def path_to(node: Any, offset: int) -> list[Any]:
    """The nodes around an offset (relative to the statement's source), outermost first."""
    return [x for x in walk(node) if x.span.start <= offset <= x.span.end]


@record
class Mention:
    """A let, group or named optimizer where it is defined or used; `span` is the bare name, without `@`."""

    kind: Literal["let", "group", "optimizer"]
    name: str
    span: Span
    defines: bool


def mentions(statement: s.Statement) -> Iterator[Mention]:
    """Every let and group that a statement defines or may use; attributes and captures left out."""
    bound: frozenset[str] = frozenset()
    for node in walk(statement):
        if isinstance(node, s.LetStatement):
            yield Mention("let", node.name, node.name_span, True)
        elif isinstance(node, s.GroupStatement):
            yield Mention("group", node.name, node.name_span, True)
        elif isinstance(node, s.GroupRef):
            span = Span(node.span.source, node.span.start + 1, node.span.end)
            yield Mention("group", node.name, span, False)
        elif isinstance(node, s.GroupCapture):
            start = node.span.start + 1
            span = Span(node.span.source, start, start + len(node.group))
            yield Mention("group", node.group, span, False)
        elif isinstance(node, s.Pattern):
            bound |= captures_in(node.text)
        elif isinstance(node, s.Name | s.Subscript) and node.name not in bound:
            start = node.span.start
            yield Mention("let", node.name, Span(node.span.source, start, start + len(node.name)), False)
        elif isinstance(node, s.OptimizerStatement) and node.name_span is not None:
            yield Mention("optimizer", node.name_span.text, node.name_span, True)
        elif isinstance(node, s.Setting) and node.option == "optimizer" and isinstance(node.value, s.Factory):
            yield Mention("optimizer", node.value.name, node.value.name_span, False)
        elif isinstance(node, s.SchedulePart) and not node.factory.arguments:
            yield Mention("let", node.factory.name, node.factory.name_span, False)


def captures_in(pattern: str) -> frozenset[str]:
    """The names in `<...>` of a pattern."""
    pieces = pattern.split("<")[1:]
    return frozenset(piece.partition(">")[0] for piece in pieces if ">" in piece)
