"""From what is frozen to the modules that are in eval for it."""

from __future__ import annotations

from collections.abc import Set
from typing import TypeAlias

from torch import nn

from layerlr_dsl.model.walk import Walk
from layerlr_dsl.tools.records import record

Place: TypeAlias = "tuple[nn.Module, tuple[str, ...]]"
"""A module and the segments of its name."""


@record
class Standing:
    """What stands still in a model, by ids of parameters.

    still: all that are frozen. planned: those of them that the plan froze. updating: those of these whose
    normalisation layers go on updating statistics. held: those whose normalisation layers stand still
    though they train. modules: the names of modules without parameters that are frozen.
    """

    still: Set[int]
    planned: Set[int]
    updating: Set[int] = frozenset()
    held: Set[int] = frozenset()
    modules: Set[str] = frozenset()


def frozen_subtrees(found: Walk, standing: Standing) -> list[list[Place]]:
    """The topmost subtrees below the root that are in eval, each as its flat modules.

    Those are subtrees all of whose parameters are frozen, at least one of them by the plan, and single
    modules that are frozen without having any.
    """
    size = len(found.modules)
    total, still, ours, going, held = ([0] * size for _ in range(5))
    for owner, parameter in zip(found.owners, found.parameters, strict=True):
        key = id(parameter)
        total[owner] += 1
        still[owner] += key in standing.still
        ours[owner] += key in standing.planned
        going[owner] += key in standing.updating
        held[owner] += key in standing.held
    for row in range(size - 1, 0, -1):
        above = found.module_parents[row]
        for column in (total, still, ours, going):
            column[above] += column[row]
    subtrees: list[list[Place]] = []
    top: list[int] = [-1] * size
    for row in range(1, size):
        parent = found.module_parents[row]
        if parent > 0 and top[parent] >= 0:
            top[row] = top[parent]
        elif total[row] and still[row] == total[row] and ours[row]:
            top[row] = len(subtrees)
            subtrees.append([])
        elif (held[row] and _is_norm(found, row)) or found.module_prefixes[row][:-1] in standing.modules:
            subtrees.append([_place(found, row)])
            continue
        else:
            continue
        if not _goes_on(found, row, total, ours, going):
            subtrees[top[row]].append(_place(found, row))
    return [subtree for subtree in subtrees if subtree]


def _place(found: Walk, row: int) -> Place:
    return found.modules[row], tuple(found.module_prefixes[row][:-1].split("."))


def _is_norm(found: Walk, row: int) -> bool:
    return "norm" in found.classes[found.module_classes[row]].families


def _goes_on(found: Walk, row: int, total: list[int], ours: list[int], going: list[int]) -> bool:
    if not _is_norm(found, row):
        return False
    if total[row]:
        return going[row] > 0
    parent = found.module_parents[row]
    return going[parent] > 0 and going[parent] == ours[parent]
