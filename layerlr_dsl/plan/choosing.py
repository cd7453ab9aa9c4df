"""Which clauses cover a class of rows, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from layerlr_dsl.language.patterns import Bindings
from layerlr_dsl.plan.selection import Decider, RowClass, Selected


class Chooser:
    """Looks only at selectors one of whose items covers a class, and asks all alike of them at once.

    Selectors of one pattern and a `where` depend on nothing but that pattern's captures and on what their
    conditions look at: whichever of them cover one class cover every class that agrees in these.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._compiled = decider.compiled
        self._answers: dict[Any, list[tuple[int, Selected]]] = {}

    def clauses_of(self, kind: RowClass) -> tuple[Selected, ...]:
        """The clauses that cover a class, each with what its captures are bound to."""
        kept = self._compiled.answers
        if kept is None:
            return self._find(kind)
        found: tuple[Selected, ...] | None = kept.get(kind.told_by)
        if found is None:
            before = self._decider.troubles
            found = self._find(kind)
            if self._decider.troubles == before:  # else it is to be told of the next model too
                kept[kind.told_by] = found
        return found

    def _find(self, kind: RowClass) -> tuple[Selected, ...]:
        compiled = self._compiled
        chosen: list[tuple[int, Selected]] = []
        ways: dict[int, list[Bindings]] = {}
        for item, found in kind.accepted.by_item.items():
            if item in compiled.filtered:
                chosen += self._passing(kind, item, found)
            for number in compiled.by_item.get(item, ()):
                held = ways.get(number)
                ways[number] = found if held is None else list(dict.fromkeys([*held, *found]))
        for number in compiled.others:
            found = self._decider.included(kind, compiled.selectors[number][2])
            if found:
                ways[number] = found
        for number, found in ways.items():
            chosen += self._judged(kind, number, found)
        chosen.sort(key=_number)
        return tuple([selected for _, selected in chosen])

    def _passing(self, kind: RowClass, item: int, found: list[Bindings]) -> list[tuple[int, Selected]]:
        """Those of an item's filtered selectors whose `where` is true of a class."""
        key = (item, tuple(found), kind.projection(self._compiled.looked_at[item]))
        answer = self._answers.get(key)
        if answer is None:
            before = self._decider.troubles
            answer = []
            for numbers in self._compiled.filtered[item].values():
                answer += self._alike(kind, numbers, found)
            if self._decider.troubles == before:
                self._answers[key] = answer
        return answer

    def _alike(
        self, kind: RowClass, numbers: list[int], found: list[Bindings]
    ) -> Iterable[tuple[int, Selected]]:
        """Selectors of one item and one condition: the first is asked, and the rest too if that goes wrong."""
        before = self._decider.troubles
        first = self._judged(kind, numbers[0], found)
        if self._decider.troubles > before:
            return [*first, *(pair for number in numbers[1:] for pair in self._judged(kind, number, found))]
        if not first:
            return first
        bindings = first[0][1].bindings
        places = [(number, self._compiled.selectors[number]) for number in numbers]
        return [(number, Selected(clause, place, bindings)) for number, (clause, place, _) in places]

    def _judged(self, kind: RowClass, number: int, found: list[Bindings]) -> list[tuple[int, Selected]]:
        clause, place, selector = self._compiled.selectors[number]
        bindings = self._decider.judge(kind, selector, found)
        return [] if bindings is None else [(number, Selected(clause, place, bindings))]


def _number(pair: tuple[int, Selected]) -> int:
    return pair[0]
