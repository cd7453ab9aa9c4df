"""Optimizers of other packages, whose options are known only by importing them, and torch with them.

The server never does: a file that names one is checked by the analyst, which takes longer once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.catalogue.optimizers import OptimizerInfo
from layerlr_dsl.editor.incremental_parsing import Piece
from layerlr_dsl.language import syntax as s


class ForeignOptimizer(Exception):
    """A file cannot be checked without importing the package of an optimizer that it names."""


def tabled(name: str) -> OptimizerInfo | None:
    """An optimizer of the shipped table; None for any other, installed or not."""
    try:
        return optimizers.known(name)
    except KeyError:
        return None


@cache
def optimizer_names() -> tuple[str, ...]:
    """Every optimizer that could be named, foreign ones included; nothing is imported."""
    return optimizers.names()


@cache
def _foreign_keys() -> frozenset[str]:
    return frozenset(_key(name) for name in optimizer_names() if tabled(name) is None)


def refuse_foreign(pieces: Iterable[Piece], included: Mapping[int, list[s.Statement]]) -> None:
    """Raise ForeignOptimizer where a statement names an optimizer that is not in the table."""
    statements = [piece.statement for piece in pieces]
    for more in included.values():
        statements.extend(more)
    for statement in statements:
        for name in _named(statement):
            if tabled(name) is None and _key(name) in _foreign_keys():
                raise ForeignOptimizer(name)


def _named(statement: s.Statement | None) -> Iterator[str]:
    if isinstance(statement, s.OptimizerStatement):
        yield statement.factory.name
    elif isinstance(statement, s.RuleStatement):
        for setting in statement.settings:
            if setting.option == "optimizer" and isinstance(setting.value, s.Factory):
                yield setting.value.name


def _key(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
