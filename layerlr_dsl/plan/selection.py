"""Which clauses select which parameters, decided once for all parameters that cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import CheckedSelector, GroupItem, PatternItem, RegexItem
from layerlr_dsl.language.expressions import Fault, Scope, evaluate
from layerlr_dsl.language.patterns import Bindings
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.compiled import UNIQUE, Compiled
from layerlr_dsl.plan.conditions import MODULE_IS, Conditions
from layerlr_dsl.plan.matching import AcceptedSet, State


@dataclass(eq=False, slots=True)
class Row:
    """A parameter under one of its names, as expressions see it."""

    inventory: Inventory
    parameter: int
    name: str
    owner: int
    leaf: str

    def attribute(self, name: str) -> Any:
        return _ATTRIBUTES[name](self)

    def is_a(self, word: str) -> bool:
        described = self.inventory.classes[self.inventory.module_classes[self.owner]]
        if word == "attention":
            return self.inventory.in_attention(self.owner)
        if word in ("norm", "conv", "linear", "embedding"):
            return word in described.families
        return word in (described.name, described.qualified) or word in described.bases

    def projection(self, names: tuple[str, ...]) -> tuple[Any, ...]:
        """The values of some attributes, and the answers to some `module is ...`."""
        return tuple(
            [
                _ATTRIBUTES[name](self) if name in _ATTRIBUTES else self.is_a(name[len(MODULE_IS) :])
                for name in names
            ]
        )

    def _size(self, value: Any) -> Any:
        return None if self.parameter in self.inventory.lazy else value


_ATTRIBUTES: dict[str, Any] = {
    "name": lambda r: r.leaf,
    "path": lambda r: r.name,
    "depth": lambda r: r.name.count(".") + 1,
    "ndim": lambda r: r._size(len(r.inventory.shapes[r.parameter])),
    "numel": lambda r: r._size(r.inventory.numel(r.parameter)),
    "shape": lambda r: r._size(tuple(r.inventory.shapes[r.parameter])),
    "dtype": lambda r: r.inventory.dtypes[r.parameter],
    "index": lambda r: r.parameter,
    "tied": lambda r: r.parameter in r.inventory.aliases,
}


@dataclass(eq=False, slots=True)
class RowClass:
    """Rows that every selector and every value treats alike."""

    row: Row
    """One of them, which stands for all."""
    accepted: AcceptedSet
    regexes: tuple[int, ...]
    told_by: Any
    """What tells the class from others, of this model and of any: equal where rules cannot tell them apart."""
    came_frozen: bool = False
    """Whether the model itself froze them."""
    adapted_base: bool = False
    """Whether they are base weights under adapters, which no rule thaws."""
    count: int = 0
    projections: dict[tuple[str, ...], tuple[Any, ...]] = field(default_factory=dict)

    def projection(self, names: tuple[str, ...]) -> tuple[Any, ...]:
        """The values of some attributes, which all rows of the class share."""
        found = self.projections.get(names)
        if found is None:
            found = self.projections[names] = self.row.projection(names)
        return found


@dataclass(frozen=True, slots=True)
class Selected:
    """A clause's selector that covers a class, and what its captures are bound to."""

    clause: int
    selector: int
    bindings: Bindings


@dataclass
class Matches:
    """The outcome of matching a file against an inventory.

    `class_of` has a row for each parameter, then one for each alias of a tied parameter.
    """

    class_of: list[int]
    alias_rows: list[Row]
    classes: list[RowClass]

    @cached_property
    def items(self) -> frozenset[int]:
        """The patterns, by number, that cover any parameter."""
        return frozenset(item for hits in {kind.accepted.hits for kind in self.classes} for item, _ in hits)


class Matcher:
    """Sorts the parameters of a model into the classes that a file tells apart."""

    def __init__(self, compiled: Compiled, inventory: Inventory) -> None:
        self.inventory = inventory
        self.automaton = compiled.automaton
        self.attributes = compiled.attributes
        self.regexes = tuple(compiled.regexes.values())

    def run(self) -> Matches:
        """Walk the inventory once."""
        states = self._module_states()
        matches = Matches([], [], [])
        if not self.attributes and not self.regexes and all(self.inventory.requires_grad):
            self._plain_rows(states, matches)
        else:
            self._attribute_rows(states, matches)
        self._alias_rows(states, matches)
        return matches

    def _module_states(self) -> list[State]:
        step = self.automaton.step
        states = [self.automaton.start]
        add = states.append
        rows = zip(self.inventory.module_parents, self.inventory.module_segments, strict=True)
        next(rows, None)
        for parent, segment in rows:
            state = states[parent]
            add(state.table.get(segment) or step(state, segment))
        return states

    def _plain_rows(self, states: list[State], matches: Matches) -> None:
        inventory, step, classes = self.inventory, self.automaton.step, matches.classes
        numbers: dict[AcceptedSet, int] = {}
        add = matches.class_of.append
        for owner, leaf in zip(inventory.owners, inventory.leaves, strict=True):
            state = states[owner]
            accepted = (state.table.get(leaf) or step(state, leaf)).accepted
            number = numbers.get(accepted)
            if number is None:
                number = numbers[accepted] = len(classes)
                row = self._row(len(matches.class_of))
                classes.append(RowClass(row, accepted, (), (accepted.hits, (), (), False, False)))
            add(number)

    def _attribute_rows(self, states: list[State], matches: Matches) -> None:
        inventory, classes = self.inventory, matches.classes
        tables = self._module_tables(states)
        # What else of a parameter can tell it apart, beside its module's table and its own leaf.
        columns: list[Iterable[Any]] = [inventory.leaves]
        wanted = self.attributes
        if wanted & {"ndim", "numel", "shape"}:
            columns.append(inventory.shapes)
            if inventory.lazy:
                columns.append([row in inventory.lazy for row in range(len(inventory))])
        if "dtype" in wanted:
            columns.append(inventory.dtypes)
        if "tied" in wanted and inventory.aliases:
            columns.append([row in inventory.aliases for row in range(len(inventory))])
        if self.regexes:
            columns.append([self._regex_hits(name) for name in inventory.names])
        if not all(inventory.requires_grad):
            base = inventory.adapted_base
            columns.append([flag + 2 * (row in base) for row, flag in enumerate(inventory.requires_grad)])
        if wanted & UNIQUE:
            columns.append(range(len(inventory)))
        keys: Iterable[Any] = zip(*columns, strict=True) if len(columns) > 1 else inventory.leaves
        add = matches.class_of.append
        looked_at = tuple(sorted(wanted))
        alike: dict[Any, int] = {}
        for owner, key in zip(inventory.owners, keys, strict=True):
            table = tables[owner]
            number = table.get(key)
            if number is None:
                kind = self._class(self._row(len(matches.class_of)), states, looked_at)
                number = table[key] = alike.setdefault(kind.told_by, len(classes))
                if number == len(classes):
                    classes.append(kind)
            add(number)

    def _module_tables(self, states: list[State]) -> list[dict[Any, int]]:
        """One table for all modules that no rule can tell apart."""
        inventory = self.inventory
        columns: list[Iterable[Any]] = [states]
        if any(name.startswith(MODULE_IS) for name in self.attributes):
            columns.append(inventory.module_classes)
        if f"{MODULE_IS}attention" in self.attributes:  # the only answer that does not lie in the class
            columns.append(inventory.attention_modules)
        if "depth" in self.attributes:
            columns.append([prefix.count(".") for prefix in inventory.module_prefixes])
        tables: dict[Any, dict[Any, int]] = {}
        out = []
        for key in zip(*columns, strict=True):
            table = tables.get(key)
            if table is None:
                table = tables[key] = {}
            out.append(table)
        return out

    def _alias_rows(self, states: list[State], matches: Matches) -> None:
        looked_at = tuple(sorted(self.attributes))
        for parameter, aliases in sorted(self.inventory.aliases.items()):
            for alias in aliases:
                row = Row(self.inventory, parameter, alias.name, alias.owner, alias.leaf)
                matches.alias_rows.append(row)
                matches.class_of.append(len(matches.classes))
                matches.classes.append(self._class(row, states, looked_at))

    def _class(self, row: Row, states: list[State], looked_at: tuple[str, ...]) -> RowClass:
        state = states[row.owner]
        accepted = (state.table.get(row.leaf) or self.automaton.step(state, row.leaf)).accepted
        regexes = self._regex_hits(row.name) if self.regexes else ()
        values = row.projection(looked_at)
        came_frozen = not self.inventory.requires_grad[row.parameter]
        base = row.parameter in self.inventory.adapted_base
        told_by = (accepted.hits, regexes, values, came_frozen, base)
        return RowClass(row, accepted, regexes, told_by, came_frozen, base)

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
        return tuple(n for n, item in enumerate(self.regexes) if item.matches(name))


@dataclass(frozen=True, slots=True)
class WhereFault:
    """A `where` that has no value for a row."""

    fault: Fault
    row: Row
    bindings: Bindings


@dataclass
class Decider:
    """Decides selectors for classes of rows, and keeps what must be said about it."""

    compiled: Compiled
    numbers: dict[int, dict[str, tuple[int, ...]]] = field(default_factory=dict)
    """For each selector (by id): the distinct values of its captures, ascending."""
    ambiguous: dict[int, tuple[CheckedSelector, Row, list[Bindings]]] = field(default_factory=dict)
    faults: dict[tuple[int, int], WhereFault] = field(default_factory=dict)
    troubles: int = 0
    """How often a question had no answer, or more than one."""
    _grouped: dict[tuple[RowClass, str], list[Bindings]] = field(default_factory=dict)
    """By class and group: groups of groups would be asked again and again otherwise."""
    _conditions: Conditions = field(default_factory=Conditions)

    def item_hits(self, kind: RowClass, item: PatternItem | RegexItem | GroupItem) -> list[Bindings]:
        """Every way in which an item covers the rows of a class."""
        if isinstance(item, PatternItem):
            return kind.accepted.by_item.get(self.compiled.items[item.text], [])
        if isinstance(item, RegexItem):
            return [()] if self.compiled.regex_numbers[item.text] in kind.regexes else []
        key = (kind, item.name)
        found = self._grouped.get(key)
        if found is None:
            bindings = self.decide(kind, self.compiled.rules.groups[item.name])
            found = self._grouped[key] = [] if bindings is None else [bindings]
        return found

    def included(self, kind: RowClass, selector: CheckedSelector) -> list[Bindings]:
        """Bindings of every include item that covers the class, before `except` and `where`."""
        found: list[Bindings] = []
        for item in selector.include:
            for bindings in self.item_hits(kind, item):
                if bindings not in found:
                    found.append(bindings)
        return found

    def decide(self, kind: RowClass, selector: CheckedSelector) -> Bindings | None:
        """What the captures are bound to where the selector covers the class; None where it does not."""
        found = self.included(kind, selector)
        return self.judge(kind, selector, found) if found else None

    def judge(self, kind: RowClass, selector: CheckedSelector, found: list[Bindings]) -> Bindings | None:
        """As `decide`, for a class that some include item is known to cover in these ways."""
        if selector.exclude and any(self.item_hits(kind, item) for item in selector.exclude):
            return None
        if len(found) > 1:
            self.troubles += 1
            self.ambiguous.setdefault(id(selector), (selector, kind.row, found))
        bindings = found[0]
        if selector.where is not None and not self._where(kind, selector, bindings):
            return None
        return bindings

    def values(self, selector: CheckedSelector, capture: str) -> tuple[int, ...]:
        """Every value that a capture of a selector is bound to, ascending."""
        return self.numbers.get(id(selector), {}).get(capture, ())

    def scope(self, selector: CheckedSelector, bindings: Bindings, row: Row | None) -> Scope:
        return Scope(self.compiled.rules.lets, dict(bindings), self.numbers.get(id(selector), {}), row)

    def _where(self, kind: RowClass, selector: CheckedSelector, bindings: Bindings) -> bool:
        for part in self._conditions.of(selector):
            key = (bindings if part.bound else (), kind.projection(part.attributes))
            answer = part.answers.get(key)
            if answer is None:
                answer = self._ask(kind, selector, part.expression, bindings)
                if answer is not None:  # a fault is no answer: every rule that has it is told
                    part.answers[key] = answer
            if not answer:
                return False
        return True

    def _ask(
        self, kind: RowClass, selector: CheckedSelector, question: s.Expression, bindings: Bindings
    ) -> bool | None:
        try:
            value = evaluate(question, self.scope(selector, bindings, kind.row))
            if not isinstance(value, bool):
                raise Fault("LR107", "`where` asks a question whose answer is true or false", question.span)
            return value
        except Fault as fault:
            self.troubles += 1
            key = (id(fault.span.source), fault.span.start)
            self.faults.setdefault(key, WhereFault(fault, kind.row, bindings))
            return None
