"""LR2xx: what selectors cover in a model, and what they bind there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import CheckedSelector, GroupItem, Item, PatternItem
from layerlr_dsl.language.diagnostics import Diagnostic, error, info, warning
from layerlr_dsl.language.expressions import Scope
from layerlr_dsl.language.patterns import compile_pattern
from layerlr_dsl.language.questions import names_in
from layerlr_dsl.language.source import Span
from layerlr_dsl.language.vocabulary import FAMILIES
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.cascade import with_values
from layerlr_dsl.plan.findings.checks import Checks
from layerlr_dsl.plan.matching import Matches, RowClass, all_selectors
from layerlr_dsl.plan.matching.attributes import Row
from layerlr_dsl.plan.matching.automaton import Automaton
from layerlr_dsl.plan.near_misses import NearMisses, matches_nothing
from layerlr_dsl.tools.nearest import nearest

if TYPE_CHECKING:
    from layerlr_dsl.plan.resolution import Resolution

check = Checks()

_SHOWN = 5
_MOST_ABSENT = 10_000
"""Numbers that lie further apart are no count of layers, and a list of what lies between them fills the memory."""


@check
def unmatched(resolution: Resolution) -> Iterator[Diagnostic]:
    """Items that match nothing, and selectors that nothing is left of."""
    rules, compiled = resolution.rules, resolution.decider.compiled
    patterns = resolution.matches.items
    doubtful = [
        x
        for x in all_selectors(rules)
        if not (x.number in compiled.plain and compiled.plain[x.number] <= patterns)
    ]
    if not doubtful:
        return
    near = NearMisses(resolution.inventory)
    reach = _Reach(resolution)
    left_out = {one.selector.number for one in rules.left_out}
    for selector in doubtful:
        missing = [item for item in (*selector.include, *selector.exclude) if not reach.meets(selector, item)]
        for item in missing:
            yield _no_match(item, near, resolution)
        if (
            missing
            or selector.number in left_out
            or any(isinstance(i, GroupItem) and i.name in reach.empty for i in selector.include)
        ):
            continue
        if not reach.selects(selector) and selector.number not in resolution.decider.ambiguous:
            diagnostic = _nothing_left(selector, resolution)
            if diagnostic is not None:
                yield diagnostic


@check
def narrow_stars(resolution: Resolution) -> Iterator[Diagnostic]:
    """LR215: `*.bias` says "one segment, then bias", where `**.bias` was probably meant."""
    items = resolution.decider.compiled.items
    starred = {text: number for text, number in items.items() if text.startswith("*.")}
    if not starred:
        return
    wider = Automaton([compile_pattern(f"**.{text[2:]}") for text in starred])
    covered = Counter(
        item for name in resolution.inventory.names for item, _ in {*wider.run(name.split(".")).accepted.hits}
    )
    counts = {
        text: sum(kind.count for kind in resolution.matches.classes if number in kind.accepted.by_item)
        for text, number in starred.items()
    }
    places = {text: place for place, text in enumerate(starred)}
    for selector in all_selectors(resolution.rules):
        for item in (*selector.include, *selector.exclude):
            if isinstance(item, PatternItem) and 0 < counts.get(item.text, 0) < covered[places[item.text]]:
                meant = f"**.{item.text[2:]}"
                message = f"`{item.text}` covers {counts[item.text]} of the {covered[places[item.text]]} parameters that `{meant}` covers"
                yield info(
                    "LR215", message, item.span, "`*` is one segment of a name, `**` is any number of them"
                )


class _Reach:
    """What the selectors of a file reach: parameters, and where they freeze, modules without any too."""

    def __init__(self, resolution: Resolution) -> None:
        self._resolution = resolution
        self._decider, self._matches = resolution.decider, resolution.matches
        self._compiled, self._groups = resolution.decider.compiled, resolution.rules.groups
        self._freezing = {x.number for x in _freezing(resolution)}

    @cached_property
    def empty(self) -> set[str]:
        """Groups that cover nothing."""
        return {name for name, group in self._groups.items() if not self.selects(group)}

    @cached_property
    def _of_modules(self) -> set[str]:
        """Groups that cover modules without parameters and nothing else."""
        freezing = {name for name, group in self._groups.items() if group.number in self._freezing}
        return {name for name in freezing - self.empty if not self._covers(self._groups[name])}

    def meets(self, selector: CheckedSelector, item: Item) -> bool:
        """Whether an item of a selector covers anything that the selector may be meant for."""
        freezes = selector.number in self._freezing
        if isinstance(item, GroupItem):  # an empty group is reported where it is defined
            return freezes or item.name not in self._of_modules
        matches, compiled = self._matches, self._compiled
        if isinstance(item, PatternItem):
            number = compiled.items[item.text]
            return number in matches.items or (freezes and number in matches.module_items)
        return self._found_by(compiled.regex_numbers[item.text], matches.classes) or (
            freezes and self._found_by(compiled.regex_numbers[item.text], matches.module_classes)
        )

    def _found_by(self, regex: int, kinds: Iterable[RowClass]) -> bool:
        return any(regex in kind.regexes for kind in kinds)

    def selects(self, selector: CheckedSelector) -> bool:
        """Whether a selector covers anything."""
        return self._covers(selector) or (
            selector.number in self._freezing and self.covers_one_of(self._matches.module_classes, selector)
        )

    def _covers(self, selector: CheckedSelector) -> bool:
        """Whether it covers a parameter. Asks every class only where captures or conditions decide."""
        place = self._places.get(selector.number)
        if place is not None:
            return place in self._chosen
        plain = () if selector.captures else self._compiled.plain.get(selector.number, ())
        return not self._matches.items.isdisjoint(plain) or self.covers_one_of(
            self._matches.classes, selector
        )

    @cached_property
    def _places(self) -> dict[int, tuple[int, int]]:
        return {x.number: (clause, number) for clause, number, x in self._compiled.selectors}

    @cached_property
    def _chosen(self) -> set[tuple[int, int]]:
        cascades = self._resolution.ruling.cascades
        return {(one.clause, one.selector) for cascade in cascades for one in cascade.selected}

    def covers_one_of(self, kinds: Iterable[RowClass], selector: CheckedSelector) -> bool:
        """Whether it covers the rows of one of some classes."""
        return any(self._decider.decide(kind, selector) is not None for kind in kinds)


def _freezing(resolution: Resolution) -> Iterator[CheckedSelector]:
    """The selectors that freeze or thaw, and the groups that they are made of."""
    groups = resolution.rules.groups
    left = [
        selector
        for clause in resolution.rules.clauses
        if not isinstance(clause.statement, s.RuleStatement)
        for selector in clause.selectors
    ]
    left += [one.selector for one in resolution.rules.left_out if one.freezes]
    seen: set[str] = set()
    while left:
        selector = left.pop()
        yield selector
        names = {item.name for item in (*selector.include, *selector.exclude) if isinstance(item, GroupItem)}
        left += [groups[name] for name in sorted(names - seen)]
        seen |= names


def _maker(resolution: Resolution, span: Span) -> Callable[..., Diagnostic]:
    """Of errors, or of warnings in an included file, which must fit models that lack some of its names."""
    return error if span.source is resolution.rules.source else warning


def _no_match(item: Item, near: NearMisses, resolution: Resolution) -> Diagnostic:
    make = _maker(resolution, item.span)
    if isinstance(item, PatternItem):
        return matches_nothing(make, item, near.nearest_to(item.text, item.pattern))
    return matches_nothing(make, item)


def _nothing_left(selector: CheckedSelector, resolution: Resolution) -> Diagnostic | None:
    decider, kinds = resolution.decider, resolution.matches.classes
    if any(_inside(fault.fault.span, selector.span) for fault in decider.faults.values()):
        return None
    included = [kind for kind in kinds if decider.included(kind, selector)]
    excluded = [k for k in included if any(decider.item_hits(k, item) for item in selector.exclude)]
    if len(excluded) == len(included) or selector.where is None:
        make = _maker(resolution, selector.span)
        help = "remove an item after `except`"
        if selector.where is not None:
            help = (
                "`where` holds for the whole selector, not for what stands after `except` alone: name that part, "
                f"`group left_out = {selector.exclude[-1].span.text} where {selector.where.span.excerpt}`, and write "
                "`except @left_out`"
            )
        return make("LR209", "`except` leaves no parameter", selector.span, help)
    help = _unknown_class(selector.where, resolution) or "no parameter answers yes to it"
    make = _maker(resolution, selector.where.span)
    return make("LR209", "`where` leaves no parameter", selector.where.span, help)


def _inside(span: Span, outer: Span) -> bool:
    return span.source is outer.source and outer.start <= span.start < outer.end


def _unknown_class(where: s.Expression, resolution: Resolution) -> str | None:
    classes = resolution.inventory.classes
    for node in names_in(where):
        if (
            isinstance(node, s.Is)
            and node.word not in FAMILIES
            and not any(c.is_called(node.word) for c in classes)
        ):
            near = nearest(node.word, [*(c.name for c in classes), *FAMILIES])
            return f"no module is a `{node.word}`" + (f"; did you mean `{near}`?" if near else "")
    return None


@check
def ambiguous(resolution: Resolution) -> Iterator[Diagnostic]:
    """Captures that can be bound in two ways for one parameter."""
    for selector, row, found in resolution.decider.ambiguous.values():
        differing: dict[str, list[int]] = defaultdict(list)
        for bindings in found:
            for name, value in bindings:
                if value not in differing[name]:
                    differing[name].append(value)
        ways = [
            f"`<{name}>` can be {' or '.join(map(str, values[:4]))}"
            for name, values in differing.items()
            if len(values) > 1
        ]
        way = ways[0] if ways else "the captures are bound by one item and not by another"
        yield error(
            "LR207",
            f"{way} in `{row.name}`",
            selector.span,
            "write the segments before the capture in full, without `**` or `*`",
        )


@check
def where_faults(resolution: Resolution) -> Iterator[Diagnostic]:
    for found in resolution.decider.faults.values():
        fault = found.fault
        scope = Scope(resolution.decider.lets, dict(found.bindings), subject=found.row)
        expression = _expression_around(resolution, fault.span)
        tail = with_values(expression, scope) if expression is not None else ""
        yield fault.finding(f"{fault.message}, for `{found.row.name}`{tail}")


@check
def faulty_facts(resolution: Resolution) -> Iterator[Diagnostic]:
    """Lets that have no value in this model."""
    for fault in resolution.decider.lets.faults:
        yield fault.finding()


def _expression_around(resolution: Resolution, span: Span) -> s.Expression | None:
    for selector in all_selectors(resolution.rules):
        if selector.where is not None and _inside(span, selector.where.span):
            return selector.where
    return None


@check
def holes(resolution: Resolution) -> Iterator[Diagnostic]:
    """Numbers of a capture with gaps between them, which `last(i)` and `count(i)` disagree on."""
    for clause in resolution.rules.clauses:
        for selector in clause.selectors:
            for name in sorted(selector.captures):
                values = resolution.decider.captured(selector).numbers(name)
                if values and 0 < values[-1] - values[0] + 1 - len(values) < _MOST_ABSENT:
                    absent = sorted(set(range(values[0], values[-1] + 1)) - set(values))
                    shown = ", ".join(map(str, absent[:_SHOWN])) + (", ..." if len(absent) > _SHOWN else "")
                    message = (
                        f"`<{name}>` has holes: it is bound to {values[0]} to {values[-1]} without {shown}"
                    )
                    yield info("LR206", message, selector.span, f"`count({name})` is {len(values)}")


@check
def statistics_of_nothing(resolution: Resolution) -> Iterator[Diagnostic]:
    """LR209: `freeze statistics of S` where no layer that S means keeps running statistics."""
    keeping, matches = resolution.inventory.statistics, resolution.matches
    if keeping is None:
        return
    owners = resolution.inventory.owners
    layers = {n for n, owner in zip(matches.class_of, owners, strict=False) if owner in keeping}
    kinds = [matches.classes[number] for number in layers]
    kinds += [matches.classes[n] for n, row in _of_aliases(matches) if row.owner in keeping]
    bare = zip(matches.module_rows, matches.module_class_of, strict=True)
    kinds += [matches.module_classes[number] for row, number in bare if row.owner in keeping]
    reach = _Reach(resolution)
    for clause in resolution.rules.clauses:
        if not isinstance(clause.statement, s.FreezeStatisticsStatement):
            continue
        selector = clause.selectors[0]
        # One that covers nothing at all is told that (LR201), and no more.
        if not reach.covers_one_of(kinds, selector) and reach.selects(selector):
            yield _maker(resolution, selector.span)(
                "LR209",
                f"no layer in `{selector.span.text}` has running statistics",
                selector.span,
                _keeping(resolution.inventory, keeping),
            )


def _of_aliases(matches: Matches) -> Iterator[tuple[int, Row]]:
    """The further names of tied parameters, each with its class."""
    own = len(matches.class_of) - len(matches.alias_rows)
    return zip(matches.class_of[own:], matches.alias_rows, strict=True)


def _keeping(inventory: Inventory, keeping: Collection[int]) -> str:
    if not keeping:
        return "the model has none at all: leave it out"
    names = [inventory.module_name(row) for row in sorted(keeping)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"these have: {', '.join(f'`{name}`' for name in names[:_SHOWN])}{more}"
