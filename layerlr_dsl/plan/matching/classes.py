"""Parameters sorted into classes that a file cannot tell apart, in one walk over the inventory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.matching.attributes import (
    ADAPTED_BASE,
    APART,
    CAME_FROZEN,
    LEAF,
    NO_PARAMETER,
    PATH,
    Column,
    Row,
    columns_of,
)
from layerlr_dsl.plan.matching.automaton import AcceptedSet, Automaton, State
from layerlr_dsl.plan.matching.compiled import Compiled


@dataclass(eq=False, slots=True)
class RowClass:
    """Rows that every selector and every value treats alike."""

    row: Row
    """One of them, which stands for all."""
    accepted: AcceptedSet
    regexes: tuple[int, ...]
    came_frozen: bool
    """Whether the model itself froze these parameters; none of them is in one class with those it did not."""
    adapted_base: bool = False
    """Whether they are base weights under adapters, which no rule thaws; none is in one class with others."""
    count: int = 0
    projections: dict[tuple[str, ...], tuple[Any, ...]] = field(default_factory=dict)

    def projection(self, names: tuple[str, ...]) -> tuple[Any, ...]:
        """The values of some attributes, which all rows of the class share."""
        found = self.projections.get(names)
        if found is None:
            found = self.projections[names] = self.row.projection(names)
        return found


_Told: TypeAlias = tuple[tuple[Any, ...], bool, bool]
"""What tells a row from others but its place: the values asked for, whether it came frozen, lies under adapters."""


@dataclass
class Matches:
    """The outcome of matching a file against an inventory.

    `class_of` has an entry for each parameter, then one for each of `alias_rows`, the further names of
    tied parameters. Modules that hold no parameter, which only freezing says anything of, are classed
    apart: `module_rows` are those modules (by `owner`), `module_class_of` their places in
    `module_classes`. All three are empty where the file freezes nothing.
    """

    class_of: list[int] = field(default_factory=list)
    alias_rows: list[Row] = field(default_factory=list)
    classes: list[RowClass] = field(default_factory=list)
    module_rows: list[Row] = field(default_factory=list)
    module_class_of: list[int] = field(default_factory=list)
    module_classes: list[RowClass] = field(default_factory=list)

    @cached_property
    def items(self) -> frozenset[int]:
        """The patterns, by number, that cover any parameter."""
        return _items(self.classes)

    @cached_property
    def module_items(self) -> frozenset[int]:
        """The patterns that cover any module without parameters."""
        return _items(self.module_classes)


def _items(kinds: Iterable[RowClass]) -> frozenset[int]:
    return frozenset(item for hits in {kind.accepted.hits for kind in kinds} for item, _ in hits)


def match(compiled: Compiled, inventory: Inventory) -> Matches:
    """Sort the parameters of a model into the classes that a file tells apart."""
    matcher = _Matcher(compiled, inventory)
    matches = matcher.matches
    matcher.sort_parameters()
    matcher.sort_aliases()
    if compiled.freezes:
        matcher.sort_modules()
    _count(matches.classes, matches.class_of)
    _count(matches.module_classes, matches.module_class_of)
    return matches


def _count(classes: list[RowClass], class_of: list[int]) -> None:
    for number, count in Counter(class_of).items():
        classes[number].count = count


class _Matcher:
    def __init__(self, compiled: Compiled, inventory: Inventory) -> None:
        self.inventory = inventory
        self.regexes = tuple(compiled.regexes.values())
        self.automaton = Automaton(compiled.patterns)
        self.asked = tuple(sorted(compiled.attributes))
        self.columns = (*columns_of(self.asked), *APART)
        self.of_modules = self._columns("module")
        self.states = self._module_states()
        self.matches = Matches()

    def sort_parameters(self) -> None:
        keys = self._columns("parameter", (LEAF,))
        if self.regexes:
            keys.append([self._regex_hits(name) for name in self.inventory.names])
        if keys or self.asked:
            self._by_columns(keys)
        else:
            self._by_place()

    def sort_aliases(self) -> None:
        matches = self.matches
        for parameter, aliases in sorted(self.inventory.aliases.items()):
            for alias in aliases:
                row = Row(self.inventory, parameter, alias.name, alias.owner, alias.leaf)
                matches.alias_rows.append(row)
                matches.class_of.append(len(matches.classes))
                matches.classes.append(self._class(row, self._told_by(row)))

    def sort_modules(self) -> None:
        inventory, matches = self.inventory, self.matches
        by_name = bool(self.regexes) or PATH in self.columns
        alike: dict[Any, int] = {}
        for module in inventory.bare_modules:
            row = Row(inventory, NO_PARAMETER, inventory.module_name(module), module, "")
            key = row.name if by_name else ""
            table = self.tables[module]
            number = table.get(key)
            if number is None:
                kind = self._class(row, self._told_by(row))
                told_by = (kind.accepted, kind.regexes, kind.projections[self.asked])
                number = table[key] = alike.setdefault(told_by, len(matches.module_classes))
                if number == len(matches.module_classes):
                    matches.module_classes.append(kind)
            matches.module_rows.append(row)
            matches.module_class_of.append(number)

    def _module_states(self) -> list[State]:
        step = self.automaton.step
        states = [self.automaton.start]
        add = states.append
        rows = zip(self.inventory.module_parents, self.inventory.module_segments, strict=True)
        next(rows, None)
        for parent, segment in rows:
            state = states[parent]
            add(state if state.final else state.table.get(segment) or step(state, segment))
        return states

    def _columns(self, by: str, without: tuple[Column, ...] = ()) -> list[Iterable[Any]]:
        """What is asked for of every parameter or module, less what is the same for all."""
        chosen = [column for column in self.columns if column.by == by and column not in without]
        return [whole for column in chosen if (whole := column.whole(self.inventory)) is not None]

    def _by_place(self) -> None:
        """Where nothing but its name tells a parameter apart."""
        inventory, step, matches = self.inventory, self.automaton.step, self.matches
        states, classes = self.states, matches.classes
        numbers: dict[AcceptedSet, int] = {}
        add = matches.class_of.append
        for owner, leaf in zip(inventory.owners, inventory.leaves, strict=True):
            state = states[owner]
            accepted = (state if state.final else state.table.get(leaf) or step(state, leaf)).accepted
            number = numbers.get(accepted)
            if number is None:
                number = numbers[accepted] = len(classes)
                classes.append(RowClass(self._row(len(matches.class_of)), accepted, (), False))
            add(number)

    def _by_columns(self, keys: list[Iterable[Any]]) -> None:
        inventory, matches = self.inventory, self.matches
        classes, tables = matches.classes, self.tables
        whole = zip(inventory.leaves, *keys, strict=True) if keys else inventory.leaves
        add = matches.class_of.append
        alike: dict[Any, int] = {}
        of_module = [*zip(*self.of_modules, strict=True)] if self.of_modules else None
        told: dict[Any, _Told] = {}
        for owner, key in zip(inventory.owners, whole, strict=True):
            table = tables[owner]
            number = table.get(key)
            if number is None:
                place = len(matches.class_of)
                asked = (key, None if of_module is None else of_module[owner])
                if asked not in told:
                    told[asked] = self._told_by(self._row(place))
                accepted = self._accepted(owner, inventory.leaves[place])
                hits = self._regex_hits(inventory.names[place])
                number = table[key] = alike.setdefault((accepted, hits, told[asked]), len(classes))
                if number == len(classes):
                    classes.append(self._class(self._row(place), told[asked]))
            add(number)

    @cached_property
    def tables(self) -> list[dict[Any, int]]:
        """For each module its classes by what else tells rows apart: one table for all that are alike."""
        tables: dict[Any, dict[Any, int]] = {}
        out = []
        for key in zip(self.states, *self.of_modules, strict=True):
            table = tables.get(key)
            if table is None:
                table = tables[key] = {}
            out.append(table)
        return out

    def _told_by(self, row: Row) -> _Told:
        return row.projection(self.asked), CAME_FROZEN.one(row), ADAPTED_BASE.one(row)

    def _class(self, row: Row, told: _Told) -> RowClass:
        accepted, hits = self._accepted(row.owner, row.leaf), self._regex_hits(row.name)
        values, came_frozen, base = told
        return RowClass(row, accepted, hits, came_frozen, base, 0, {self.asked: values})

    def _accepted(self, owner: int, leaf: str) -> AcceptedSet:
        state = self.states[owner]
        if leaf:
            state = state.table.get(leaf) or self.automaton.step(state, leaf)
        return state.accepted

    def _row(self, parameter: int) -> Row:
        inventory = self.inventory
        return Row(
            inventory,
            parameter,
            inventory.names[parameter],
            inventory.owners[parameter],
            inventory.leaves[parameter],
        )

    def _regex_hits(self, name: str) -> tuple[int, ...]:
        return tuple([n for n, item in enumerate(self.regexes) if item.matches(name)])
