"""Which clauses cover a class of rows, in the order of the file."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from layerlr_dsl.language.checked import CheckedRules, CheckedSelector, GroupItem, Item, PatternItem
from layerlr_dsl.language.patterns import Bindings
from layerlr_dsl.plan.conditions import attributes_in
from layerlr_dsl.plan.selection import Decider, RowClass, Selected


class Chooser:
    """Looks only at selectors one of whose items covers a class, and asks all alike of them at once.

    Selectors of one pattern and a `where` depend on nothing but that pattern's captures and on what their
    conditions look at: whichever of them cover one class cover every class that agrees in these.
    """

    def __init__(self, rules: CheckedRules, decider: Decider) -> None:
        self._decider = decider
        self._groups = rules.groups
        self._selectors: list[tuple[int, int, CheckedSelector]] = [
            (clause.index, n, selector)
            for clause in rules.clauses
            for n, selector in enumerate(clause.selectors)
        ]
        self._by_item: dict[int, list[int]] = defaultdict(list)
        self._filtered: dict[int, list[int]] = defaultdict(list)
        """By item: selectors that are this item and a `where`."""
        self._others: list[int] = []
        """Selectors with items that the automaton does not know: regular expressions, groups with conditions."""
        for number, (_, _, selector) in enumerate(self._selectors):
            self._file(number, selector)
        self._looked_at = {item: self._attributes(numbers) for item, numbers in self._filtered.items()}
        self._answers: dict[Any, list[tuple[int, Selected]]] = {}

    def _file(self, number: int, selector: CheckedSelector) -> None:
        include = self._written_out(selector)
        items = [self._decider.matcher.items[item.text] for item in include if isinstance(item, PatternItem)]
        if len(items) < len(include):
            self._others.append(number)
        elif len(items) == 1 and selector.where is not None and not selector.exclude:
            self._filtered[items[0]].append(number)
        else:
            for item in items:
                self._by_item[item].append(number)

    def _written_out(self, selector: CheckedSelector) -> list[Item]:
        """The include items of a selector, with groups of nothing but plain patterns laid in place."""
        out: list[Item] = []
        laid: set[str] = set()
        left = list(reversed(selector.include))
        while left:
            item = left.pop()
            group = self._groups.get(item.name) if isinstance(item, GroupItem) else None
            if group is None or group.exclude or group.where is not None or group.captures:
                out.append(item)
            elif isinstance(item, GroupItem) and item.name not in laid:
                laid.add(item.name)
                left += reversed(group.include)
        return out

    def _attributes(self, numbers: list[int]) -> tuple[str, ...]:
        wheres = (self._selectors[number][2].where for number in numbers)
        return tuple(sorted({name for where in wheres if where is not None for name in attributes_in(where)}))

    def clauses_of(self, kind: RowClass) -> tuple[Selected, ...]:
        """The clauses that cover a class, each with what its captures are bound to."""
        chosen: list[tuple[int, Selected]] = []
        ways: dict[int, list[Bindings]] = {}
        for item, found in self._decider.hits_by_item(kind.state).items():
            if item in self._filtered:
                chosen += self._passing(kind, item, found)
            for number in self._by_item.get(item, ()):
                held = ways.get(number)
                ways[number] = found if held is None else list(dict.fromkeys([*held, *found]))
        for number in self._others:
            found = self._decider.included(kind, self._selectors[number][2])
            if found:
                ways[number] = found
        for number, found in ways.items():
            chosen += self._judged(kind, number, found)
        chosen.sort(key=_number)
        return tuple([selected for _, selected in chosen])

    def _passing(self, kind: RowClass, item: int, found: list[Bindings]) -> list[tuple[int, Selected]]:
        """Those of an item's filtered selectors whose `where` is true of a class."""
        key = (item, tuple(found), kind.projection(self._looked_at[item]))
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = [
                pair for number in self._filtered[item] for pair in self._judged(kind, number, found)
            ]
        return answer

    def _judged(self, kind: RowClass, number: int, found: list[Bindings]) -> list[tuple[int, Selected]]:
        clause, place, selector = self._selectors[number]
        bindings = self._decider.judge(kind, selector, found)
        return [] if bindings is None else [(number, Selected(clause, place, bindings))]


def _number(pair: tuple[int, Selected]) -> int:
    return pair[0]
