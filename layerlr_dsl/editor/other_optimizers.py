"""Optimizers of other packages whose options only importing them would tell, and torch with them.

The server never does: a file that names one is checked by the analyst, which takes longer once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.catalogue.signatures import key
from layerlr_dsl.editor.incremental_parsing import Piece
from layerlr_dsl.language import syntax as s


class ForeignOptimizer(Exception):
    """A file cannot be checked without importing the package of an optimizer that it names."""


@cache
def optimizer_names() -> tuple[str, ...]:
    """Every optimizer that could be named, those of other packages included; nothing is imported."""
    return optimizers.names()


@cache
def _keys() -> frozenset[str]:
    return frozenset(map(key, optimizer_names()))


def refuse_foreign(pieces: Iterable[Piece], included: Mapping[int, list[s.Statement]]) -> None:
    """Raise ForeignOptimizer where a statement names an optimizer that only an import would tell of."""
    statements = [piece.statement for piece in pieces]
    for more in included.values():
        statements.extend(more)
    for statement in statements:
        for name in _named(statement):
            if key(name) in _keys() and optimizers.find_unimported(name) is None:
                raise ForeignOptimizer(name)


def _named(statement: s.Statement | None) -> Iterator[str]:
    if isinstance(statement, s.OptimizerStatement):
        yield statement.factory.name
    elif isinstance(statement, s.RuleStatement):
        for setting in statement.settings:
            if setting.option == "optimizer" and isinstance(setting.value, s.Factory):
                yield setting.value.name
