"""How much of a model each selector of a file covers, read off a plan that is already made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from layerlr_dsl.language.checked import CheckedSelector, GroupItem, Item, PatternItem
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.tools.records import record

EXAMPLES = 4


@record
class Coverage:
    """What one selector, or one item of it, covers: parameters (tied ones once), elements, first names."""

    span: Span
    whole: bool
    tensors: int
    numel: int
    examples: tuple[str, ...]


class Measure:
    """Adds up classes of parameters."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        inventory, matches = plan.inventory, plan.matches
        size = len(inventory)
        self.tensors = [0] * len(matches.classes)
        self.numel = [0] * len(matches.classes)
        self.first: list[list[int]] = [[] for _ in matches.classes]
        for row, number in enumerate(matches.class_of[:size]):
            self.tensors[number] += 1
            self.numel[number] += inventory.numel(row)
            if len(self.first[number]) < EXAMPLES:
                self.first[number].append(row)
        self.tied = {matches.class_of[size + n]: row for n, row in enumerate(matches.alias_rows)}

    def of(self, span: Span, whole: bool, classes: Iterable[int]) -> Coverage:
        chosen = set(classes)
        inventory, class_of = self.plan.inventory, self.plan.matches.class_of
        tied = [self.tied[n] for n in chosen if n in self.tied]
        # A tied parameter that is covered by its first name is already counted.
        others = {row.parameter: row.name for row in tied if class_of[row.parameter] not in chosen}
        tensors = sum(self.tensors[n] for n in chosen) + len(others)
        numel = sum(self.numel[n] for n in chosen) + sum(map(inventory.numel, others))
        rows = sorted(row for n in chosen for row in self.first[n])[:EXAMPLES]
        examples = [inventory.names[row] for row in rows] + list(others.values())
        return Coverage(span, whole, tensors, numel, tuple(examples[:EXAMPLES]))


def coverages(plan: Plan) -> Iterator[Coverage]:
    """Of every selector in the order of the cascade, and of its items where it has several."""
    measure = Measure(plan)
    items = _Items(plan)
    for selector, classes in _selected(plan):
        yield measure.of(selector.span, True, classes)
        every = (*selector.include, *selector.exclude)
        if len(every) > 1 or selector.where is not None:
            for item in every:
                yield measure.of(item.span, False, items.of(item))


def _selected(plan: Plan) -> Iterator[tuple[CheckedSelector, Iterable[int]]]:
    chosen: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, cascade in enumerate(plan.cascades):
        for one in cascade.selected:
            chosen[one.clause, one.selector].append(number)
    rules = plan.rules
    for clause in rules.clauses:
        for place, selector in enumerate(clause.selectors):
            yield selector, chosen[clause.index, place]
    others = [*rules.groups.values(), *(e.selector for e in rules.expectations if e.selector is not None)]
    decider = plan.decider
    for selector in others:
        yield (
            selector,
            [n for n, k in enumerate(plan.matches.classes) if decider.decide(k, selector) is not None],
        )


class _Items:
    """The classes that each single item covers."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.decider = plan.decider
        self.by_pattern: dict[int, list[int]] = defaultdict(list)
        self.by_regex: dict[int, list[int]] = defaultdict(list)
        self.by_group: dict[str, list[int]] = {}
        for number, kind in enumerate(plan.matches.classes):
            for item in {item for item, _ in kind.accepted.hits}:
                self.by_pattern[item].append(number)
            for regex in kind.regexes:
                self.by_regex[regex].append(number)

    def of(self, item: Item) -> list[int]:
        compiled = self.plan.decider.compiled
        if isinstance(item, PatternItem):
            return self.by_pattern[compiled.items[item.text]]
        if not isinstance(item, GroupItem):
            return self.by_regex[compiled.regex_numbers[item.text]]
        if item.name not in self.by_group:
            group = self.plan.rules.groups[item.name]
            kinds = enumerate(self.plan.matches.classes)
            self.by_group[item.name] = [n for n, k in kinds if self.decider.decide(k, group) is not None]
        return self.by_group[item.name]
