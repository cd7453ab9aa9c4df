"""Which selectors cover which classes of rows, and with what their captures bound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.captured import NOTHING, Captured
from layerlr_dsl.language.checked import CheckedSelector, GroupItem, PatternItem, RegexItem
from layerlr_dsl.language.expressions import Fault, Scope, evaluate
from layerlr_dsl.language.patterns import Bindings
from layerlr_dsl.language.source import Source
from layerlr_dsl.plan.matching.attributes import Row
from layerlr_dsl.plan.matching.classes import Matches, RowClass
from layerlr_dsl.plan.matching.compiled import Compiled
from layerlr_dsl.plan.matching.conditions import Conditions
from layerlr_dsl.tools.records import record


@record
class Selected:
    """A clause's selector that covers a class, and what its captures are bound to."""

    clause: int
    selector: int
    bindings: Bindings


@record
class WhereFault:
    """A `where` that has no value for a row."""

    fault: Fault
    row: Row
    bindings: Bindings


class Decider:
    """Decides selectors for classes of rows, and keeps what must be said about it."""

    def __init__(self, compiled: Compiled, matches: Matches) -> None:
        self.compiled = compiled
        self.ambiguous: dict[int, tuple[CheckedSelector, Row, list[Bindings]]] = {}
        """By selector: the first row whose captures it binds in several ways."""
        self.faults: dict[tuple[Source, int], WhereFault] = {}
        self.troubles = 0
        """How often a question had no answer, or more than one."""
        self._grouped: dict[tuple[RowClass, str], list[Bindings]] = {}
        """By class and group: groups of groups would be asked again and again otherwise."""
        self._conditions = Conditions()
        self._captures = Captures(compiled, matches.classes, self.decide)
        self.lets = compiled.rules.lets.against(self._captured_by_group)
        """The `let` names of the file, where they depend on the model too."""

    @cached_property
    def _chooser(self) -> _Chooser:
        return _Chooser(self)

    def clauses_of(self, kind: RowClass) -> tuple[Selected, ...]:
        """The clauses that cover a class in the order of the file, each with what its captures are bound to."""
        return self._chooser.clauses_of(kind)

    def captured(self, selector: CheckedSelector) -> Captured:
        """What a selector's captures are bound to in the whole model, before its `except` and `where`."""
        return self._captures.of(selector)

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
            if not kind.row.is_module:
                self.ambiguous.setdefault(selector.number, (selector, kind.row, found))
        bindings = found[0]
        if selector.where is not None and not self._where(kind, selector, bindings):
            return None
        return bindings

    def scope(self, selector: CheckedSelector, bindings: Bindings, row: Row | None) -> Scope:
        """What names stand for in a selector's `where` and in the values behind it."""
        captured = self.captured(selector) if selector.captures else NOTHING
        return Scope(self.lets, dict(bindings), captured, row, self._captured_by_group)

    @property
    def bare_scope(self) -> Scope:
        """What names stand for where no parameter is at hand."""
        return Scope(self.lets, groups=self._captured_by_group)

    def _captured_by_group(self, name: str) -> Captured:
        group = self.compiled.rules.groups.get(name)  # none where its own statement is at fault
        return NOTHING if group is None else self.captured(group)

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
            if not kind.row.is_module:
                key = (fault.span.source, fault.span.start)
                self.faults.setdefault(key, WhereFault(fault, kind.row, bindings))
            return None


class _Chooser:
    """Looks only at selectors one of whose items covers a class, and asks all alike of them at once.

    Selectors of one pattern, and a `where` at most, depend on nothing but that pattern's captures and on what their
    conditions look at: whichever of them cover one class cover every class that agrees in these.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._compiled = decider.compiled
        self._answers: dict[Any, list[tuple[int, Selected]]] = {}

    def clauses_of(self, kind: RowClass) -> tuple[Selected, ...]:
        """The clauses that cover a class, each with what its captures are bound to."""
        compiled = self._compiled
        chosen: list[tuple[int, Selected]] = []
        ways: dict[int, list[Bindings]] = {}
        for item, found in kind.accepted.by_item.items():
            if item in compiled.alone:
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
        """Those of the selectors that are an item alone whose `where` is true of a class."""
        key = (item, tuple(found), kind.projection(self._compiled.looked_at[item]))
        answer = self._answers.get(key)
        if answer is None:
            before = self._decider.troubles
            answer = []
            for numbers in self._compiled.alone[item].values():
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


# ---------------------------------------------------------------- what captures are bound to, selector by selector


class Captures:
    """`decide` says what a class is bound to by a selector, or None: groups bind what they cover."""

    def __init__(
        self,
        compiled: Compiled,
        kinds: Sequence[RowClass],
        decide: Callable[[RowClass, CheckedSelector], Bindings | None],
    ) -> None:
        self._compiled = compiled
        self._kinds = kinds
        self._decide = decide
        self._of_selector: dict[int, Captured] = {}
        self._of_items: dict[tuple[frozenset[int], frozenset[str]], Captured] = {}
        """Selectors of the same items share one."""

    def of(self, selector: CheckedSelector) -> Captured:
        """What a selector's captures are bound to, before its `except` and `where`."""
        found = self._of_selector.get(selector.number)
        if found is None:
            found = self._of_selector[selector.number] = self._found(selector)
        return found

    def _found(self, selector: CheckedSelector) -> Captured:
        items = frozenset(
            self._compiled.items[item.text] for item in selector.include if isinstance(item, PatternItem)
        )
        groups = frozenset(item.name for item in selector.include if isinstance(item, GroupItem))
        found = self._of_items.get((items, groups))
        if found is None:
            bindings = {bound for item in items for bound in self._by_item.get(item, ())}
            for name in groups:
                group = self._compiled.rules.groups[name]
                bindings |= {bound for kind in self._kinds if (bound := self._decide(kind, group))}
            found = self._of_items[items, groups] = Captured(bindings)
        return found

    @cached_property
    def _by_item(self) -> dict[int, set[Bindings]]:
        by_item: dict[int, set[Bindings]] = defaultdict(set)
        for item, bindings in {hit for hits in {k.accepted.hits for k in self._kinds} for hit in hits}:
            if bindings:
                by_item[item].add(bindings)
        return by_item
