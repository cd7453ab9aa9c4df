"""What a rule file comes to whatever the model: made once, and kept for the next model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import (
    CheckedRules,
    CheckedSelector,
    CheckedSetting,
    GroupItem,
    Item,
    PatternItem,
    RegexItem,
)
from layerlr_dsl.language.expressions import CAPTURE_FUNCTIONS, names_in
from layerlr_dsl.language.patterns import CompiledPattern
from layerlr_dsl.plan.conditions import attributes_in
from layerlr_dsl.plan.matching import Automaton
from layerlr_dsl.plan.timed import Timed

UNIQUE = frozenset(("path", "index"))
"""Attributes that differ for every parameter."""
_ROW_NAMES = frozenset(("name", "path", "depth", "ndim", "numel", "dtype", "index", "tied"))
# What is kept from one model to the next is thrown away where it grows past these.
_MOST_STEPS = 50_000
_MOST_ANSWERS = 10_000
_MOST_CLOCKS = 4


class Compiled:
    """The items of a file as one automaton, and its selectors sorted by what decides them.

    Shared by all resolutions of a rule file, also those that run at the same time: what is added later is
    only ever an answer that any of them would find.
    """

    def __init__(self, rules: CheckedRules) -> None:
        self.rules = rules
        self.items: dict[str, int] = {}
        """Patterns by text, numbered as in the automaton."""
        self.regexes: dict[str, RegexItem] = {}
        self._patterns: list[CompiledPattern] = []
        for selector in all_selectors(rules):
            for item in (*selector.include, *selector.exclude):
                if isinstance(item, PatternItem) and item.text not in self.items:
                    self.items[item.text] = len(self._patterns)
                    self._patterns.append(item.pattern)
                elif isinstance(item, RegexItem):
                    self.regexes.setdefault(item.text, item)
        self.regex_numbers = {text: number for number, text in enumerate(self.regexes)}
        self.automaton = Automaton(self._patterns)
        self.attributes = _needed_attributes(rules)
        self.capturing = tuple(x for x in all_selectors(rules) if x.captures)
        self.local = {id(x) for c in rules.clauses for x in c.settings if _needs_row(x)}
        """Settings, by id, whose values differ from one parameter to the next."""
        self.choosing = {c.index for c in rules.clauses if any(_chooses(x) for x in c.settings)}
        """Clauses that choose an optimizer."""
        self.plain = {
            id(x): numbers for x in all_selectors(rules) if (numbers := self._plain_items(x)) is not None
        }
        """By id: the items of selectors that are patterns, and groups of them, and nothing else."""
        self.selectors: list[tuple[int, int, CheckedSelector]] = [
            (clause.index, n, selector)
            for clause in rules.clauses
            for n, selector in enumerate(clause.selectors)
        ]
        self.by_item: dict[int, list[int]] = defaultdict(list)
        """By item: the selectors it may decide, by their place in `selectors`."""
        self.filtered: dict[int, dict[str, list[int]]] = {}
        """By item, then by how it is written: selectors that are this item and a `where`."""
        self.others: list[int] = []
        """Selectors with items that the automaton does not know: regular expressions, groups with conditions."""
        for number, (_, _, selector) in enumerate(self.selectors):
            self._file(number, selector)
        self.looked_at = {item: self._attributes(alike) for item, alike in self.filtered.items()}
        self.answers: dict[Any, Any] | None = {} if self._answers_last() else None
        """By what tells a class of rows apart: the clauses that cover it, where no model can change that."""
        self._timed: dict[Any, Timed] = {}

    def __reduce__(self) -> tuple[type[Compiled], tuple[CheckedRules]]:
        """A copy or a pickle is made anew: much of this goes by the identity of the rules' parts."""
        return Compiled, (self.rules,)

    def timed(self, *key: Any) -> Timed:
        """The times of the file on a clock: `Timed`'s arguments behind the rules."""
        found = self._timed.get(key)
        if found is None:
            if len(self._timed) >= _MOST_CLOCKS:
                self._timed.clear()
            found = self._timed[key] = Timed(self.rules, *key)
        return found

    def tidy(self) -> None:
        """Called behind each resolution: what was kept for the next must not grow for ever."""
        if self.answers is not None and len(self.answers) > _MOST_ANSWERS:
            self.answers = {}
        if self.automaton.steps > _MOST_STEPS:
            self.automaton = Automaton(self._patterns)

    def _answers_last(self) -> bool:
        if self.attributes & UNIQUE:
            return False
        wheres = [x.where for x in all_selectors(self.rules) if x.where is not None]
        # The numbers that a capture is bound to are the model's.
        return not any(
            isinstance(node, s.Call) and node.function in CAPTURE_FUNCTIONS
            for where in wheres
            for node in names_in(where)
        )

    def _plain_items(self, selector: CheckedSelector) -> frozenset[int] | None:
        if selector.exclude or selector.where is not None:
            return None
        include = self._written_out(selector)
        items = [self.items[item.text] for item in include if isinstance(item, PatternItem)]
        return frozenset(items) if len(items) == len(include) else None

    def _file(self, number: int, selector: CheckedSelector) -> None:
        include = self._written_out(selector)
        items = [self.items[item.text] for item in include if isinstance(item, PatternItem)]
        if len(items) < len(include):
            self.others.append(number)
        elif len(items) == 1 and selector.where is not None and not selector.exclude:
            alike = self.filtered.setdefault(items[0], {})
            alike.setdefault(self._written(selector, selector.where), []).append(number)
        else:
            for item in items:
                self.by_item[item].append(number)

    def _written_out(self, selector: CheckedSelector) -> list[Item]:
        """The include items of a selector, with groups of nothing but plain patterns laid in place."""
        out: list[Item] = []
        laid: set[str] = set()
        left = list(reversed(selector.include))
        while left:
            item = left.pop()
            group = self.rules.groups.get(item.name) if isinstance(item, GroupItem) else None
            if group is None or group.exclude or group.where is not None or group.captures:
                out.append(item)
            elif isinstance(item, GroupItem) and item.name not in laid:
                laid.add(item.name)
                left += reversed(group.include)
        return out

    def _written(self, selector: CheckedSelector, where: s.Expression) -> str:
        """A text that two conditions on one item share only if they have the same answers."""
        # `last(i)` depends on the whole selector, not on this item alone.
        own = any(isinstance(n, s.Call) and n.function in CAPTURE_FUNCTIONS for n in names_in(where))
        return f"{where.span.text}\n{id(selector)}" if own else where.span.text

    def _attributes(self, alike: dict[str, list[int]]) -> tuple[str, ...]:
        wheres = (self.selectors[numbers[0]][2].where for numbers in alike.values())
        return tuple(sorted({name for where in wheres if where is not None for name in attributes_in(where)}))


def all_selectors(rules: CheckedRules) -> list[CheckedSelector]:
    """The selectors of groups, clauses and expectations."""
    selectors = [*rules.groups.values(), *(x for c in rules.clauses for x in c.selectors)]
    selectors.extend(e.selector for e in rules.expectations if e.selector is not None)
    return selectors


def _needed_attributes(rules: CheckedRules) -> frozenset[str]:
    """Attributes of parameters that any `where` or value of the file asks for."""
    return frozenset(name for expression in _expressions(rules) for name in attributes_in(expression))


def _expressions(rules: CheckedRules) -> Iterator[s.Expression]:
    yield from (x.where for x in all_selectors(rules) if x.where is not None)
    for clause in rules.clauses:
        yield from (x.expression for x in clause.settings if x.expression is not None and x.constant is None)
    for expectation in rules.expectations:
        if not isinstance(expectation.statement, s.ExpectState):
            yield expectation.statement.value


def _needs_row(setting: CheckedSetting) -> bool:
    """Whether a value depends on more of a parameter than what the captures are bound to."""
    if setting.expression is None or setting.constant is not None:
        return False
    return any(
        isinstance(node, (s.Subscript, s.Is)) or (isinstance(node, s.Name) and node.name in _ROW_NAMES)
        for node in names_in(setting.expression)
    )


def _chooses(setting: CheckedSetting) -> bool:
    return setting.factory is not None
