"""What the selectors of a rule file come to, whatever the model."""

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
from layerlr_dsl.language.patterns import CompiledPattern
from layerlr_dsl.plan.matching.attributes import attributes_in
from layerlr_dsl.plan.matching.conditions import condition_key


class Compiled:
    """The patterns and regular expressions of a file, numbered, and its selectors sorted by what decides them."""

    def __init__(self, rules: CheckedRules) -> None:
        self.rules = rules
        self.items: dict[str, int] = {}
        """The number of each pattern, by its text."""
        self.patterns: list[CompiledPattern] = []
        self.regexes: dict[str, RegexItem] = {}
        for selector in all_selectors(rules):
            for item in (*selector.include, *selector.exclude):
                if isinstance(item, PatternItem) and item.text not in self.items:
                    self.items[item.text] = len(self.patterns)
                    self.patterns.append(item.pattern)
                elif isinstance(item, RegexItem):
                    self.regexes.setdefault(item.text, item)
        self.regex_numbers = {text: number for number, text in enumerate(self.regexes)}
        self.attributes = frozenset(name for x in _expressions(rules) for name in attributes_in(x))
        """Attributes of parameters that any `where` or value of the file asks for."""
        self.freezes = any(not isinstance(c.statement, s.RuleStatement) for c in rules.clauses) or any(
            one.freezes for one in rules.left_out
        )
        """Whether anything in the file freezes or thaws."""
        self.local = {x.number for c in rules.clauses for x in c.settings if _needs_row(x)}
        """Settings, by number, whose values differ from one parameter to the next."""
        self.choosing = {c.index for c in rules.clauses if any(_chooses(x) for x in c.settings)}
        """Clauses that choose an optimizer."""
        self.plain = {
            x.number: items for x in all_selectors(rules) if (items := self._plain_items(x)) is not None
        }
        """By selector: the items of those that are patterns, and groups of them, and nothing else."""
        self.selectors: list[tuple[int, int, CheckedSelector]] = [
            (clause.index, n, selector)
            for clause in rules.clauses
            for n, selector in enumerate(clause.selectors)
        ]
        self.by_item: dict[int, list[int]] = defaultdict(list)
        """By item: the other selectors it may decide, by their place in `selectors`."""
        self.alone: dict[int, dict[Any, list[int]]] = {}
        """By item, then by what they ask: selectors that are this item, and a `where` at most."""
        self.others: list[int] = []
        """Selectors with items that no pattern is: regular expressions, groups with conditions."""
        for number, (_, _, selector) in enumerate(self.selectors):
            self._file(number, selector)
        self.looked_at = {item: self._looked_at(alike) for item, alike in self.alone.items()}

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
        elif len(items) == 1 and not selector.exclude:
            alike = self.alone.setdefault(items[0], {})
            asks = None if selector.where is None else condition_key(selector.where, selector)
            alike.setdefault(asks, []).append(number)
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

    def _looked_at(self, alike: dict[Any, list[int]]) -> tuple[str, ...]:
        wheres = (self.selectors[numbers[0]][2].where for numbers in alike.values())
        return tuple(sorted({name for where in wheres if where is not None for name in attributes_in(where)}))


def all_selectors(rules: CheckedRules) -> list[CheckedSelector]:
    """The selectors of groups, clauses and expectations, and of what is left out for another fault."""
    selectors = [*rules.groups.values(), *(x for c in rules.clauses for x in c.selectors)]
    selectors.extend(e.selector for e in rules.expectations if e.selector is not None)
    selectors.extend(one.selector for one in rules.left_out)
    return selectors


def _expressions(rules: CheckedRules) -> Iterator[s.Expression]:
    yield from (x.where for x in all_selectors(rules) if x.where is not None)
    for clause in rules.clauses:
        yield from (x.expression for x in clause.settings if x.expression is not None and x.constant is None)
    for expectation in rules.expectations:
        if not isinstance(expectation.statement, s.ExpectState):
            yield expectation.statement.value


def _needs_row(setting: CheckedSetting) -> bool:
    """Whether a value depends on more of a parameter than what the captures are bound to."""
    return (
        setting.expression is not None
        and setting.constant is None
        and bool(attributes_in(setting.expression))
    )


def _chooses(setting: CheckedSetting) -> bool:
    return setting.factory is not None
