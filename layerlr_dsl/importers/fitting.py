"""A description against a model: rules that match nothing are told and left out, selectors made shorter."""

from __future__ import annotations

from dataclasses import replace

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.common import plain_names
from layerlr_dsl.importers.description import Description, Freeze, LeftOut, Rule
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.printing import text_of
from layerlr_dsl.language.source import Source
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plan.resolve import resolve


def covered(selectors: list[s.Selector], inventory: Inventory) -> list[frozenset[str]]:
    """The names that each selector covers, those of tied parameters all told."""
    if not selectors:
        return []
    rules = [nodes.rule(one, [nodes.setting("lr", 1)]) for one in selectors]
    source = Source("<selectors>", text_of(s.File(Source("", ""), tuple(rules), ())))
    plan: Plan = resolve(check(source), inventory, Clock(), lenient=True)
    by_clause: list[set[str]] = [set() for _ in selectors]
    names = [*inventory.names, *(row.name for row in plan.matches.alias_rows)]
    clauses = [{one.clause for one in cascade.selected} for cascade in plan.cascades]
    for name, kind in zip(names, plan.matches.class_of, strict=True):
        for clause in clauses[kind]:
            by_clause[clause].add(name)
    return [frozenset(found) for found in by_clause]


def fitted(told: Description, inventory: Inventory) -> Description:
    """The same for a model at hand."""
    fitter = _Fitter(told, inventory)
    rules = tuple(fitter.rules(told.rules))
    stages = tuple(replace(stage, rules=tuple(fitter.rules(stage.rules))) for stage in told.stages)
    left = (*told.left_out, *fitter.left_out)
    return replace(told, rules=rules, stages=stages, left_out=left)


class _Fitter:
    def __init__(self, told: Description, inventory: Inventory) -> None:
        every = [rule for part in (told.rules, *(stage.rules for stage in told.stages)) for rule in part]
        asked: list[s.Selector] = []
        for rule in every:
            asked += [rule.which, *rule.shorter]
            asked += [
                one for item in _items_of(rule.which) for one in (nodes.selector(item), *_plainer(item))
            ]
        self._covers = dict(zip(map(text_of, asked), covered(asked, inventory), strict=True))
        self._names: dict[str, frozenset[str]] = {}
        """What the selectors that were chosen cover."""
        self.left_out: list[LeftOut] = []

    def rules(self, rules: tuple[Rule | Freeze, ...]) -> list[Rule | Freeze]:
        found = []
        for rule in rules:
            which = self._which(rule)
            if which is not None:
                found.append(replace(rule, which=which, shorter=()))
        return self._in_force(found)

    def _in_force(self, rules: list[Rule | Freeze]) -> list[Rule | Freeze]:
        """Without what later rules override wherever it holds."""
        said: dict[str, set[str]] = {}
        kept: list[Rule | Freeze] = []
        for rule in reversed(rules):
            if isinstance(rule, Freeze):
                kept.append(rule)
                continue
            names = self._names[text_of(rule.which)]
            options = {k: v for k, v in rule.options.items() if names - said.get(k, set())}
            for option in rule.options:
                said.setdefault(option, set()).update(names)
            if options:
                kept.append(replace(rule, options=options))
        return kept[::-1]

    def _which(self, rule: Rule | Freeze) -> s.Selector | None:
        """The shortest selector of the same parameters; None where there are none."""
        names = self._covers[text_of(rule.which)]
        exclude = tuple(item for item in rule.which.exclude if self._matches(item))
        if len(exclude) < len(rule.which.exclude):
            self._tell(rule, "some of it matches no parameter of the model")
        if not names:
            self._tell(rule, "matches no parameter of the model")
            return None
        same = [one for one in rule.shorter if self._covers[text_of(one)] == names]
        include = tuple(map(self._plain, rule.which.include))
        kept = replace(rule.which, include=include, exclude=tuple(map(self._plain, exclude)))
        chosen = min([kept, *same], key=lambda one: len(text_of(one)))
        self._names[text_of(chosen)] = names
        return chosen

    def _plain(self, item: s.SelectorItem) -> s.SelectorItem:
        """A name or pattern in the place of a regular expression, where it covers the same."""
        names = self._covers[text_of(nodes.selector(item))]
        return next((o.include[0] for o in _plainer(item) if self._covers[text_of(o)] == names), item)

    def _matches(self, item: s.SelectorItem) -> bool:
        return bool(self._covers[text_of(nodes.selector(item))])

    def _tell(self, rule: Rule | Freeze, what: str) -> None:
        if rule.origin:
            self.left_out.append(LeftOut(f"{rule.origin}: {what}", rule.line))


def _items_of(which: s.Selector) -> tuple[s.SelectorItem, ...]:
    return (*which.include, *which.exclude)


def _plainer(item: s.SelectorItem) -> tuple[s.Selector, ...]:
    """What a regular expression of one plain text may come to."""
    if not isinstance(item, s.Regex):
        return ()
    text = item.pattern.removeprefix(".*").removeprefix("^").removesuffix(".*").removesuffix("$")
    return plain_names(text.replace("\\.", "."))
