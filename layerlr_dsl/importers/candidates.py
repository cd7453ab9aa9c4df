"""The selectors that could say a set of a model's parameters, from what its names and modules have in common.

Sets are bits of whole numbers: bit k is the k-th name, the further names of tied parameters last.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from layerlr_dsl.importers import nodes
from layerlr_dsl.language import syntax as s
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.tools.records import record

_NUMBERED = re.compile(r"([^0-9]*)([0-9]{1,6})([^0-9]*)")
_PLAIN = re.compile(r"[A-Za-z0-9_]+")
_MOST_JOINED = 80
"""So many of the largest subtrees are also tried together with a condition."""
_NAME, _WILD, _WHERE, _RUN, _BOTH = 1, 2, 2, 2, 4
"""What a selector costs the reader: of two that do as much, the cheaper is taken."""


@record(eq=False)
class Candidate:
    """A selector, the names it covers, and how much there is to read."""

    names: int
    cost: int
    make: Callable[[], s.Selector]


@record(eq=False)
class Family:
    """Numbered siblings such as `blocks.<i>`: the names below each, by number."""

    before: str
    after: str
    members: Mapping[int, int]

    def pattern(self, number: str) -> s.Pattern:
        return _pattern(f"{self.before}{number}{self.after}")


@dataclass
class Candidates:
    """Every selector that is tried for one model."""

    inventory: Inventory
    entries: list[tuple[int, str, int]] = field(init=False)
    """Row, name and owning module of every name."""
    families: list[Family] = field(init=False)
    fixed: list[Candidate] = field(init=False)

    def __post_init__(self) -> None:
        inventory = self.inventory
        own = zip(range(len(inventory)), inventory.names, inventory.owners, strict=True)
        others = ((row, a.name, a.owner) for row, many in sorted(inventory.aliases.items()) for a in many)
        self.entries = [*own, *others]
        self.families = list(_families([name for _, name, _ in self.entries]))
        conditions = list(self._conditions())
        patterns = list(self._patterns())
        self.fixed = [*patterns, *(_alone(names, where) for names, where in conditions)]
        self.fixed += _joined(patterns, conditions)

    # ------------------------------------------------------------ names

    def _patterns(self) -> Iterator[Candidate]:
        """Subtrees, subtrees over every number, and what ends in or lies below some segments anywhere."""
        covered: dict[str, int] = defaultdict(int)
        wild = _Wildcards(name for _, name, _ in self.entries)
        for place, (_, name, _) in enumerate(self.entries):
            for text in dict.fromkeys((*_subtrees(name), *wild.subtrees(name), *_anywhere(name))):
                covered[text] |= 1 << place
        for text, names in covered.items():
            literal = "*" not in text
            made = nodes.named if literal else _pattern
            yield Candidate(names, _NAME if literal else _WILD, _maker(made, text))

    # ------------------------------------------------------------ conditions

    def _conditions(self) -> Iterator[tuple[int, s.Expression]]:
        plain = dict(self._plain_conditions())
        yield from ((names, where) for names, where in plain.values() if names)
        every = (1 << len(self.entries)) - 1
        for word in ("flat", "norm", "embedding"):
            names, where = plain[word]
            if 0 < names < every:
                yield every & ~names, _without(word, where)
        for left, right in (("flat", "norm"), ("flat", "embedding"), ("norm", "embedding"), ("bias", "norm")):
            (some, one), (more, other) = plain[left], plain[right]
            if some & ~more and more & ~some:
                yield some | more, nodes.any_of((one, other))

    def _plain_conditions(self) -> Iterator[tuple[str, tuple[int, s.Expression]]]:
        inventory = self.inventory
        dimensions = [
            0 if row in inventory.lazy else len(inventory.shapes[row]) for row, _, _ in self.entries
        ]
        yield "flat", (self._bits(n <= 1 for n in dimensions), nodes.compared("ndim", "<=", 1))
        for number in sorted({n for n in dimensions if n > 1}):
            where = nodes.compared("ndim", "==", number)
            yield f"{number}-D", (self._bits(n == number for n in dimensions), where)
        leaves = [name.rpartition(".")[2] for _, name, _ in self.entries]
        yield "bias", (self._bits(leaf == "bias" for leaf in leaves), nodes.compared("name", "==", "bias"))
        yield from self._classes()

    def _classes(self) -> Iterator[tuple[str, tuple[int, s.Expression]]]:
        inventory = self.inventory
        kinds = [inventory.module_class(owner) for _, _, owner in self.entries]
        for family in ("norm", "conv", "linear", "embedding"):
            yield family, (self._bits(family in k.families for k in kinds), nodes.module_is(family))
        inside = inventory.attention_modules
        attends = self._bits(inside[owner] for _, _, owner in self.entries)
        yield "attention", (attends, nodes.module_is("attention"))
        for word in sorted({k.name for k in kinds}):
            named = self._bits(word == k.name or word in k.bases for k in kinds)
            yield f"class {word}", (named, nodes.module_is(word))

    def _bits(self, flags: Iterable[bool]) -> int:
        return sum(1 << place for place, flag in enumerate(flags) if flag)


def _without(word: str, where: s.Expression) -> s.Expression:
    return nodes.compared("ndim", ">", 1) if word == "flat" else nodes.negated(where)


def _alone(names: int, where: s.Expression) -> Candidate:
    return Candidate(names, _WHERE, lambda: nodes.selector(where=where))


def _joined(patterns: list[Candidate], conditions: list[tuple[int, s.Expression]]) -> Iterator[Candidate]:
    """The largest subtrees, each together with each condition."""
    largest = sorted(patterns, key=lambda one: -one.names.bit_count())[:_MOST_JOINED]
    for one in largest:
        for names, where in conditions:
            both = one.names & names
            if both and both not in (one.names, names):
                yield Candidate(both, _BOTH + one.cost - 1, _with_condition(one, where))


def _with_condition(one: Candidate, where: s.Expression) -> Callable[[], s.Selector]:
    return lambda: nodes.selector(*one.make().include, where=where)


def _maker(made: Callable[[str], s.Pattern], text: str) -> Callable[[], s.Selector]:
    return lambda: nodes.selector(made(text))


def _pattern(text: str) -> s.Pattern:
    """A pattern with wildcards; what stands between them needs no quotes."""
    return nodes.pattern(text)


# ---------------------------------------------------------------- texts


def _subtrees(name: str) -> Iterator[str]:
    at = name.find(".")
    while at >= 0:
        yield name[:at]
        at = name.find(".", at + 1)
    yield name


def _anywhere(name: str) -> Iterator[str]:
    """`**.attn`, `**.attn.bias`: one or two neighbouring segments, wherever they stand."""
    segments = name.split(".")
    for at, segment in enumerate(segments):
        if not _PLAIN.fullmatch(segment) or segment.isdigit():
            continue
        yield f"**.{segment}"
        if at + 1 < len(segments) and _PLAIN.fullmatch(segments[at + 1]):
            yield f"**.{segment}.{segments[at + 1]}"


class _Wildcards:
    """`blocks.*.attn` for `blocks.3.attn`, where all siblings of the 3 are numbers too."""

    def __init__(self, names: Iterable[str]) -> None:
        self._mixed: set[str] = set()
        """Places, wildcards and all, below which something stands that is no number."""
        self._split = {name: name.split(".") for name in names}
        for segments in self._split.values():
            before: list[str] = []
            for segment in segments:
                if not segment.isdigit():
                    self._mixed.add(".".join(before))
                before.append("*" if segment.isdigit() else segment)

    def subtrees(self, name: str) -> Iterator[str]:
        before: list[str] = []
        for segment in self._split[name]:
            if not _PLAIN.fullmatch(segment):
                return
            place = ".".join(before)
            before.append("*" if segment.isdigit() and place not in self._mixed else segment)
            if "*" in before:
                yield ".".join(before)


def _families(names: list[str]) -> Iterator[Family]:
    """Numbered siblings, the outer ones before the inner, those of one number left out."""
    found: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    twice: set[tuple[str, str]] = set()
    for place, name in enumerate(names):
        for before, digits, after in _numbered(name):
            if digits != str(int(digits)):
                twice.add((before, after))
            found[before, after][int(digits)] |= 1 << place
    for (before, after), members in found.items():
        if len(members) > 1 and (before, after) not in twice:
            yield Family(before, after, dict(sorted(members.items())))


def _numbered(name: str) -> Iterator[tuple[str, str, str]]:
    """Every segment with one number: what stands before the number from the root on, the number, what follows."""
    segments = name.split(".")
    for at, segment in enumerate(segments):
        if not re.fullmatch(r"[A-Za-z0-9_]+", segment):
            return
        split = _NUMBERED.fullmatch(segment)
        if split:
            prefix = "".join(f"{part}." for part in segments[:at])
            yield prefix + split[1], split[2], split[3]
            if at + 1 < len(segments):  # the number first, and what it leads to: `blocks.<i>.attn`
                rest = segments[at + 1]
                if _PLAIN.fullmatch(rest) and not rest.isdigit():
                    yield prefix + split[1], split[2], f"{split[3]}.{rest}"
