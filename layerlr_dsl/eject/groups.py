"""The groups of a plan as entries of a table, numbered ones as one comprehension."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from layerlr_dsl.eject.layout import Items, Loop, Node, literal, pattern
from layerlr_dsl.eject.names import check, patterns_of
from layerlr_dsl.eject.overtime import OverTime
from layerlr_dsl.eject.refusals import Refusals
from layerlr_dsl.plan.behaviour import base_options
from layerlr_dsl.plan.plan import Group, Plan

_WHOLE = re.compile(r"\d+")
_RATE = re.compile(r"(?<![\w.])(?:\d+\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+)(?![\w.])")
_LONGEST_CLAUSE = 75
_FEWEST = 3
"""So many groups that differ in numbers alone are written as one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One group as text."""

    name: str
    patterns: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    more: tuple[tuple[str, str], ...]
    """Further arguments: `frozen`, `optimizer`."""
    rules: tuple[str, ...]
    """Where the rules stand that it comes from."""

    def shape(self) -> tuple[object, ...]:
        """What it has in common with those that differ in numbers alone."""
        rates = tuple((option, _RATE.sub("#", text)) for option, text in self.options)
        names = (_WHOLE.sub("#", self.name), tuple(_WHOLE.sub("#", one) for one in self.patterns))
        return (*names, rates, self.more, self.rules)


def entries_of(plan: Plan, over_time: OverTime, refusals: Refusals) -> list[Entry]:
    """Every group of the plan, less what cannot be said of it."""
    several = len({group.optimizer for group in plan.groups}) > 1
    return [_entry(plan, group, over_time, several, refusals) for group in plan.groups]


def _entry(plan: Plan, group: Group, over_time: OverTime, several: bool, refusals: Refusals) -> Entry:
    names = plan.inventory.names
    patterns = patterns_of(group.parameters, names)
    check(patterns, group.parameters, names)
    choice = plan.optimizers[group.optimizer]
    usual = base_options(choice)
    options = []
    for option in sorted(group.options, key=lambda option: (option != "lr", option)):
        driven = group.behaviour.scheduled == option and group.kind == "trains"
        if option in group.given or driven:
            with refusals.kept():
                text = over_time.option(group, option)
                if text != literal(usual.get(option)):
                    options.append((option, text))
    more = []
    with refusals.kept():
        frozen = over_time.frozen(group)
        if frozen is not None:
            more.append(("frozen", frozen))
    if several:
        more.insert(0, ("optimizer", str(sorted({g.optimizer for g in plan.groups}).index(group.optimizer))))
    return Entry(group.name, tuple(patterns), tuple(options), tuple(more), _places(plan, group))


def _places(plan: Plan, group: Group) -> tuple[str, ...]:
    """`file:line` of all that has a say on a group, in the order of the file."""
    behaviour = group.behaviour
    clauses = {e.clause for course in behaviour.courses.values() for e in course.effects}
    clauses |= {
        e.clause for course in behaviour.courses.values() for e in course.schedules if e.clause is not None
    }
    clauses |= {e.clause for e in behaviour.freezes} | {e.clause for e in behaviour.statistics}
    return tuple(dict.fromkeys(plan.rules.clauses[clause].span.place for clause in sorted(clauses)))


# ---------------------------------------------------------------- as text


def table(entries: Sequence[Entry], shown: Mapping[str, str]) -> tuple[list[str], Items]:
    """The lists of rates that numbered groups take theirs from, and the entries below where their rules are.

    shown: a short name for each file.
    """
    alike: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        alike.setdefault(entry.shape(), []).append(entry)
    items: list[Node] = []
    comments: list[tuple[int, str]] = []
    rates: list[str] = []
    for some in alike.values():
        told = _comment(some[0].rules, shown)
        if not comments or comments[-1][1] != told:
            comments.append((len(items), told))
        items += _items(some, rates)
    return rates, Items("[", tuple(items), "]", tuple(comments))


def _items(alike: Sequence[Entry], rates: list[str]) -> Sequence[Node]:
    made = _numbered(alike, rates) if len(alike) >= _FEWEST else None
    return [_item(entry) for entry in alike] if made is None else [made]


def _comment(rules: Sequence[str], shown: Mapping[str, str]) -> str:
    by_file: dict[str, list[str]] = {}
    for place in rules:
        file, _, line = place.rpartition(":")
        by_file.setdefault(shown.get(file, file), []).append(line)
    return "; ".join(f"{file}:{', '.join(lines)}" for file, lines in by_file.items()) or "no rule"


def _item(entry: Entry) -> Items:
    return _group(literal(entry.name), map(pattern, entry.patterns), entry)


def _group(name: str, patterns: Iterable[str], entry: Entry) -> Items:
    options = Items("{", tuple(f"{literal(option)}: {text}" for option, text in entry.options), "}")
    more = tuple(f"{key}={text}" for key, text in entry.more)
    return Items("Group(", (name, Items("[", tuple(patterns), "]"), options, *more), ")")


# ---------------------------------------------------------------- numbered groups


def _numbered(alike: Sequence[Entry], rates: list[str]) -> Loop | None:
    """`*(Group(...) for i in ...)`; None where they differ by more than one number and one rate."""
    numbers = [_WHOLE.findall("\n".join((entry.name, *entry.patterns))) for entry in alike]
    differing = [n for n in range(len(numbers[0])) if len({one[n] for one in numbers}) > 1]
    counted = [sorted({one[n] for n in differing}) for one in numbers]
    values = [[n for _, text in entry.options for n in _RATE.findall(text)] for entry in alike]
    moving = [n for n in range(len(values[0])) if len({one[n] for one in values}) > 1]
    if not differing or any(len(one) != 1 for one in counted) or len(moving) > 1:
        return None
    by_number = sorted((int(one[0]), values[n][moving[0]] if moving else "") for n, one in enumerate(counted))
    texts = _with_index(alike[0], differing)
    entry, clause = alike[0], f"for i in {_counting([n for n, _ in by_number])}"
    if moving:
        entry = _with_rate(entry, moving[0])
        told = "{" + ", ".join(f"{n}: {rate}" for n, rate in by_number) + "}"
        if told not in rates:
            rates.append(told)
        clause = f"for i, rate in {rates_name(rates.index(told))}.items()"
    patterns = (f'rf"{one}"' if "\\" in one else f'f"{one}"' for one in texts[1:])
    made = Loop(_group(f'f"{texts[0]}"', patterns, entry), clause)
    return made if len(clause) < _LONGEST_CLAUSE else None


def rates_name(place: int) -> str:
    """What the page calls the rates of numbered groups."""
    return f"RATES_{place + 1}" if place else "RATES"


def _with_index(entry: Entry, differing: Sequence[int]) -> list[str]:
    places = count()
    text = _WHOLE.sub(
        lambda found: "\0" if next(places) in differing else found[0],
        "\n".join((entry.name, *entry.patterns)),
    )
    return [one.replace("{", "{{").replace("}", "}}").replace("\0", "{i}") for one in text.split("\n")]


def _with_rate(entry: Entry, place: int) -> Entry:
    places = count()
    options = []
    for option, text in entry.options:
        made = _RATE.sub(lambda found: "rate" if next(places) == place else found[0], text)
        if made != text and made.startswith("lambda "):
            arguments, _, body = made.removeprefix("lambda ").partition(": ")
            made = f"lambda {arguments}, rate=rate: {body}"
        options.append((option, made))
    return replace(entry, options=tuple(options))


def _counting(numbers: Sequence[int]) -> str:
    first, last = numbers[0], numbers[-1]
    if list(numbers) == list(range(first, last + 1)):
        return f"range({last + 1})" if not first else f"range({first}, {last + 1})"
    return f"[{', '.join(map(str, numbers))}]"
