"""What captures are bound to in a model, selector by selector, worked out where somebody asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property

from layerlr_dsl.language.captured import Captured
from layerlr_dsl.language.checked import CheckedSelector, GroupItem, PatternItem
from layerlr_dsl.language.patterns import Bindings
from layerlr_dsl.plan.matching.classes import RowClass
from layerlr_dsl.plan.matching.compiled import Compiled


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
