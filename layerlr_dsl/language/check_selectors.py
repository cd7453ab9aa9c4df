"""Compiling selectors: patterns read, groups found, captures agreed on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_expressions import Names, check_expression, unknown_group
from layerlr_dsl.language.checked import (
    CheckedSelector,
    GroupItem,
    Item,
    LeftOut,
    PatternItem,
    RegexItem,
)
from layerlr_dsl.language.diagnostics import Diagnostic, Findings, warning
from layerlr_dsl.language.lets import Lets
from layerlr_dsl.language.names import CAPTURE_FUNCTIONS, FUNCTIONS, RESERVED
from layerlr_dsl.language.needs import own_captures
from layerlr_dsl.language.patterns import CompiledPattern, PatternFault, compile_pattern
from layerlr_dsl.language.regex import RegexFault, full_match
from layerlr_dsl.language.source import Span
from layerlr_dsl.language.vocabulary import ATTRIBUTES

_DEEPEST_GROUPS = 100


class SelectorChecker:
    """Compiles the selectors of one rule file, which share its groups and lets."""

    def __init__(self, lets: Lets, groups: dict[str, s.GroupStatement], found: Findings) -> None:
        self._lets = lets
        self._statements = groups
        self._found = found
        self._groups: dict[str, CheckedSelector | None] = {}
        self._open: list[str] = []
        self._depths: dict[str, int] = {}
        self._too_deep = False
        self._patterns: dict[str, CompiledPattern] = {}
        self._numbers = count()
        self._read: list[CheckedSelector] = []
        """Every selector that was checked, at fault or not."""

    def begin(self) -> None:
        """A statement begins."""
        self._read = []

    def left_out(self, freezes: bool) -> Iterator[LeftOut]:
        """What a model may lack of the selectors of the statement that was begun last, as it is left out."""
        for selector in self._read:
            items = (*selector.include, *selector.exclude)
            plain = tuple(item for item in items if not isinstance(item, GroupItem))
            if plain:
                yield LeftOut(replace(selector, include=plain, exclude=(), where=None), freezes)

    def check_groups(self) -> dict[str, CheckedSelector]:
        """Every group that could be compiled."""
        for name in self._lets.circular_groups:  # said with the lets that they hang on
            self._groups[name] = None
        for name in self._statements:
            self._group(name)
        return {name: group for name, group in self._groups.items() if group is not None}

    def check(self, selector: s.Selector) -> CheckedSelector | None:
        """The selector ready to match, or None where a finding was added."""
        part = self._found.part()
        include = [self._item(item) for item in selector.include]
        exclude = [self._item(item) for item in selector.exclude]
        whole = all(include)
        captures = (
            frozenset(name for item in include if item is not None for name in self._captures(item))
            if whole
            else self.bound(selector)
        )
        self._check_capture_names(captures, selector.span)
        checked = CheckedSelector(
            selector.span,
            tuple(item for item in include if item is not None),
            tuple(item for item in exclude if item is not None),
            selector.where,
            captures,
            next(self._numbers),
        )
        if not self._open:
            self._read.append(checked)
        if selector.where is not None:
            names = Names(self._lets, captures, True, self.missing_captures(checked), model=True)
            check_expression(selector.where, names, self._found)
        if not part.clean or not whole or not all(exclude):
            return None
        self._found.add(*_filtered_alike(selector))
        return checked

    def bound(self, selector: s.Selector) -> frozenset[str]:
        """The captures of a selector, those included that an item at fault was to bind."""
        of_groups = self._lets.groups
        groups = (item.name for item in selector.include if isinstance(item, s.GroupRef))
        return own_captures(selector).union(*(of_groups.get(name, frozenset()) for name in groups))

    def missing_captures(
        self, selector: CheckedSelector | None
    ) -> dict[str, s.Pattern | s.Regex | s.GroupRef]:
        """Captures that some item of the selector leaves unbound, each with the first such item."""
        if selector is None:
            return {}
        missing: dict[str, s.Pattern | s.Regex | s.GroupRef] = {}
        captured = [self._captures(item) for item in selector.include]
        bound = frozenset[str]().union(*captured)
        for item, own in zip(selector.include, captured, strict=True):
            for name in bound - own:
                missing.setdefault(name, s.Pattern(item.span, item.span.text))
        return missing

    def _captures(self, item: Item) -> frozenset[str]:
        if isinstance(item, PatternItem):
            return item.pattern.captures
        if isinstance(item, GroupItem):
            group = self._groups.get(item.name)
            return group.captures if group is not None else frozenset()
        return frozenset()

    def _check_capture_names(self, captures: frozenset[str], span: Span) -> None:
        for name in sorted(captures):
            if (name in self._lets and name not in self._lets.lost) or name in RESERVED:
                what = "a `let`" if name in self._lets else _described(name)
                self._found.error(
                    "LR102", f"the capture `<{name}>` has the name of {what}", span, "rename it"
                )

    def _item(self, item: s.SelectorItem) -> Item | None:
        if isinstance(item, s.Pattern):
            return self._pattern(item)
        if isinstance(item, s.Regex):
            try:
                return RegexItem(item.span, item.pattern, full_match(item.pattern))
            except RegexFault as fault:
                self._found.error("LR112", str(fault), item.span)
                return None
        return self._reference(item)

    def _pattern(self, item: s.Pattern) -> PatternItem | None:
        compiled = self._patterns.get(item.text)
        if compiled is None:
            try:
                compiled = compile_pattern(item.text)
            except PatternFault as fault:
                self._found.error("LR011", fault.message, self._within(item, fault), fault.help)
                return None
            self._patterns[item.text] = compiled
        return PatternItem(item.span, item.text, compiled)

    @staticmethod
    def _within(item: s.Pattern, fault: PatternFault) -> Span:
        shift = item.span.start + (1 if item.quoted else 0)
        end = max(fault.end, fault.start + 1)
        return Span(item.span.source, shift + fault.start, min(shift + end, item.span.end))

    def _reference(self, item: s.GroupRef) -> GroupItem | None:
        if item.name not in self._statements:
            if item.name not in self._lets.lost:
                self._found.add(unknown_group(item.name, item.span, self._statements))
            return None
        if item.name in self._open:
            path = " -> ".join(f"@{n}" for n in [*self._open[self._open.index(item.name) :], item.name])
            self._found.error("LR111", f"the group refers to itself: {path}", item.span, "break the circle")
            return None
        return GroupItem(item.span, item.name) if self._group(item.name) is not None else None

    def _group(self, name: str) -> CheckedSelector | None:
        if name not in self._groups:
            statement = self._statements[name]
            self._open.append(name)
            # Either way of nesting counts: groups that wait for this one, and groups that it is made of.
            group = self.check(statement.selector) if len(self._open) <= _DEEPEST_GROUPS else None
            depth = 1 + max((self._depths.get(n, 0) for n in _references(statement.selector)), default=0)
            if len(self._open) > _DEEPEST_GROUPS or (group is not None and depth > _DEEPEST_GROUPS):
                self._nested_too_deeply(statement)
                group = None
            self._open.pop()
            self._groups[name], self._depths[name] = group, depth
        return self._groups[name]

    def _nested_too_deeply(self, statement: s.GroupStatement) -> None:
        """Said once: a chain of groups that is far too long is one fault."""
        if not self._too_deep:
            self._too_deep = True
            message = f"groups are nested more than {_DEEPEST_GROUPS} deep"
            help = "list the selectors themselves in an inner group"
            self._found.error("LR007", message, statement.name_span, help)


def _filtered_alike(selector: s.Selector) -> Iterator[Diagnostic]:
    """LR132: beside `**` an item says nothing, unless its author takes the `where` for that of `**` alone."""
    others = [item for item in selector.include if not (isinstance(item, s.Pattern) and item.text == "**")]
    if selector.where is None or not others or len(others) == len(selector.include):
        return
    item, where = others[0].span, selector.where.span.excerpt
    message = f"`where` holds for every item of the list, and `**` covers `{item.text}` already"
    help = f"for either, write two statements: one with `{item.text}`, one with `** where {where}`"
    yield warning("LR132", message, item, help)


def _described(reserved: str) -> str:
    if reserved in ATTRIBUTES:
        return "an attribute of parameters"
    return "a function" if reserved in (*FUNCTIONS, *CAPTURE_FUNCTIONS) else "a word of the language"


def _references(selector: s.Selector) -> Iterator[str]:
    return (item.name for item in (*selector.include, *selector.exclude) if isinstance(item, s.GroupRef))
