"""The fewest rules that give each parameter of a model a value: found from the last rule of a file to the first.

The last rule that matches wins, so rules are looked for from the end: one that covers the most names which
have no rule behind it yet, and are to have one value (or rates that fall from layer to layer); until what
is left has one value, which is that of `**`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.candidates import Candidate, Candidates, Family
from layerlr_dsl.importers.geometric import geometric
from layerlr_dsl.language import syntax as s
from layerlr_dsl.tools.records import record

Labels: TypeAlias = Mapping[Hashable, int]
"""The names that are to have each value, as bits."""


@record(eq=False)
class Assignment:
    """A selector and the value that it gives; what it covers, and what that costs the reader."""

    selectors: tuple[s.Selector, ...]
    value: Any
    names: int
    cost: int
    gives: Mapping[Hashable, int]
    """The names that get each value: several where the value is a formula."""


def assignments(
    candidates: Candidates, values: Sequence[Hashable | None], moving: bool = False
) -> list[Assignment]:
    """Rules in the order of a file, the first of them for `**`, that give each row its value.

    values: by row of the inventory; None where any value will do. moving: values are numbers that a
    formula of a layer's number may give.
    """
    labels = _labels(candidates, values)
    if not labels:
        return []
    common = sorted(labels, key=lambda label: -labels[label].bit_count())[:2]
    found = [_Search(candidates, labels, moving, last).found() for last in (None, *common)]
    return min(found, key=lambda rules: (len(rules), sum(rule.cost for rule in rules)))


def with_rest(candidates: Candidates, values: Sequence[Hashable | None], rest: Hashable) -> list[Assignment]:
    """As `assignments`, where `**` has the value `rest`, and no rule but the first gives it."""
    return _Search(candidates, _labels(candidates, values), False, rest).found()


def _labels(candidates: Candidates, values: Sequence[Hashable | None]) -> dict[Hashable, int]:
    labels: dict[Hashable, int] = defaultdict(int)
    for place, (row, _, _) in enumerate(candidates.entries):
        if values[row] is not None:
            labels[values[row]] |= 1 << place
    return labels


@dataclass
class _Search:
    """One search; `rest` is the value that `**` is to have, None where that shall turn out."""

    candidates: Candidates
    labels: Labels
    moving: bool
    rest: Hashable | None

    def found(self) -> list[Assignment]:
        left = _union(self.labels.values())
        behind: list[Assignment] = []
        while not self._is_done(left):
            best = self._best(left)
            behind.append(best)
            left &= ~best.names
        return self._tidied([self._everything(left), *reversed(behind)])

    def _is_done(self, left: int) -> bool:
        if self.rest is not None:
            return not left & ~self.labels[self.rest]
        return sum(bool(left & names) for names in self.labels.values()) <= 1

    def _everything(self, left: int) -> Assignment:
        value = self.rest
        if value is None:
            value = next((label for label, names in self.labels.items() if left & names), None)
        if value is None:
            value = next(iter(self.labels))
        every = (1 << len(self.candidates.entries)) - 1
        return Assignment((nodes.selector(),), value, every, 1, {value: every})

    def _best(self, left: int) -> Assignment:
        best = max(self._pure(left), key=lambda one: (one[0], -one[1].cost), default=None)
        formula = max(self._formulas(left), key=lambda one: one[0], default=None) if self.moving else None
        if formula is not None and (best is None or formula[0] >= best[0] or len(formula[1].gives) > 2):
            return formula[1]
        if best is None:
            raise AssertionError("every name is a candidate of its own")
        _, candidate, label = best
        return _fixed(candidate, label)

    def _pure(self, left: int) -> Iterator[tuple[int, Candidate, Hashable]]:
        """Candidates whose names left over all have one value that `**` shall not have."""
        wanted = [(label, names & left) for label, names in self.labels.items() if label != self.rest]
        wanted = [(label, names) for label, names in wanted if names]
        least = 0
        for candidate in self._every(left):
            some = candidate.names & left
            if some.bit_count() <= least - 1 or not some:
                continue
            for label, names in wanted:
                if not some & ~names:
                    least = max(least, some.bit_count())
                    yield some.bit_count(), candidate, label

    def _every(self, left: int) -> Iterator[Candidate]:
        yield from self.candidates.fixed
        for family in self.candidates.families:
            yield from self._runs(family, left)

    def _runs(self, family: Family, left: int) -> Iterator[Candidate]:
        """`blocks.{2..5}`: neighbours that are to have one value."""
        run: list[int] = []
        value: Hashable | None = None
        for number, names in family.members.items():
            own = self._one_value(names & left)
            joins = own is not None and own == value and (not run or number == run[-1] + 1)
            if not joins:
                yield from _as_run(family, run)
                run, value = [], own
            if own is not None:
                run.append(number)
        yield from _as_run(family, run)

    def _one_value(self, some: int) -> Hashable | None:
        return next((label for label, names in self.labels.items() if some and not some & ~names), None)

    def _formulas(self, left: int) -> Iterator[tuple[int, Assignment]]:
        """Families whose rates go up or down by one factor from each number to the next."""
        for family in self.candidates.families:
            if len(family.members) < 3:
                continue
            rates = {n: self._one_value(names & left) for n, names in family.members.items() if names & left}
            formula = geometric(rates, max(family.members), min(family.members), list(self.labels))
            if formula is not None:
                names = _union(family.members.values())
                gives = {rates[n]: family.members[n] for n in rates}
                which = nodes.selector(family.pattern("<i>"))
                yield (names & left).bit_count(), Assignment((which,), formula, names, 3, gives)

    # ------------------------------------------------------------ afterwards

    def _tidied(self, rules: list[Assignment]) -> list[Assignment]:
        """Without rules that later ones make needless, neighbours of one value in one."""
        for place in range(len(rules) - 1, 0, -1):
            without = rules[:place] + rules[place + 1 :]
            if self._right(without):
                rules = without
        return _merged(rules)

    def _right(self, rules: Sequence[Assignment]) -> bool:
        covered = 0
        for rule in reversed(rules):
            own = rule.names & ~covered
            for label, names in self.labels.items():
                if own & names & ~rule.gives.get(label, 0):
                    return False
            covered |= rule.names
        return True


def _fixed(candidate: Candidate, label: Hashable) -> Assignment:
    names = candidate.names
    return Assignment((candidate.make(),), label, names, candidate.cost, {label: names})


def _as_run(family: Family, run: list[int]) -> Iterator[Candidate]:
    if len(run) < 2:
        return
    names = _union(family.members[number] for number in run)
    text = f"{{{run[0]}..{run[-1]}}}" if len(run) < len(family.members) else "<i>"
    yield Candidate(names, 2, lambda: nodes.selector(family.pattern(text)))


def _merged(rules: list[Assignment]) -> list[Assignment]:
    """Rules of one value that can change places with what stands between them become one with commas."""
    out: list[Assignment] = []
    for rule in rules:
        home = _home(out, rule)
        if home is None:
            out.append(rule)
        else:
            out[home] = _both(out[home], rule)
    return out


def _home(rules: list[Assignment], rule: Assignment) -> int | None:
    """The earlier rule that can take this one in: no rule between them covers any of its names."""
    for place in range(len(rules) - 1, 0, -1):
        other = rules[place]
        if len(rule.gives) == 1 == len(other.gives) and rule.value == other.value and _can_list(rule, other):
            return place
        if other.names & rule.names and other.value != rule.value:
            return None
    return None


def _can_list(*rules: Assignment) -> bool:
    return all(selector.where is None for rule in rules for selector in rule.selectors)


def _both(one: Assignment, other: Assignment) -> Assignment:
    items = (*one.selectors[0].include, *other.selectors[0].include)
    names = one.names | other.names
    return Assignment((nodes.selector(*items),), one.value, names, one.cost + 1, {one.value: names})


def _union(sets: Any) -> int:
    whole = 0
    for some in sets:
        whole |= some
    return whole
