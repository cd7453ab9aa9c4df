"""Names of parameters as short regular expressions, which match these of a model and no others."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

_NUMBERED = re.compile(r"(.*?)([0-9]+)", re.DOTALL)
_EACH = 4
"""What one more pattern costs, in characters."""
_FEW = 3
"""A leaf below so many modules is worth a pattern of its own."""


@dataclass(slots=True)
class _Node:
    """A segment of names: those below it, how many there are, and how many of them are meant."""

    below: dict[str, _Node] = field(default_factory=dict)
    all: int = 0
    meant: int = 0


def patterns_of(meant: Collection[str], names: Sequence[str]) -> list[str]:
    """Regular expressions of which one matches each name of `meant` in full, and none any other of `names`."""
    wanted = set(meant)
    by_tree = _by_tree(wanted, names)
    leaves = _whole_leaves(wanted, names)
    rest = {name for name in wanted if name.rpartition(".")[2] not in leaves}
    by_leaf = [f"(.*\\.)?{_segments(leaves, ())}", *_by_tree(rest, names)] if leaves else by_tree
    ways = (by_tree, by_leaf, _by_shape(wanted, names))
    return min(ways, key=lambda patterns: sum(map(len, patterns)) + _EACH * len(patterns))


def _by_shape(meant: set[str], names: Sequence[str]) -> list[str]:
    """`layer[23].0.conv[12].weight`: a pattern for all names that differ in numbers alone, where it can be."""
    shapes: dict[tuple[str, ...], list[list[str]]] = {}
    for name in names:
        if name in meant:
            segments = name.split(".")
            shapes.setdefault(tuple(map(_stem, segments)), []).append(segments)
    found: list[str] = []
    for some in shapes.values():
        one = r"\.".join(_either(list(_stems(set(column)))) for column in zip(*some, strict=True))
        whole = re.compile(one)
        exact = all(name in meant for name in names if whole.fullmatch(name))
        found += [one] if exact else _by_tree({".".join(segments) for segments in some}, names)
    return found


def _whole_leaves(meant: set[str], names: Sequence[str]) -> list[str]:
    """Last segments all of whose names are meant, and that are in many places."""
    counts: dict[str, int] = {}
    others = set()
    for name in names:
        leaf = name.rpartition(".")[2]
        counts[leaf] = counts.get(leaf, 0) + 1
        if name not in meant:
            others.add(leaf)
    return [leaf for leaf, count in counts.items() if count >= _FEW and leaf not in others]


def _by_tree(meant: set[str], names: Iterable[str]) -> list[str]:
    root = _Node()
    for name in names:
        at = root
        for segment in name.split("."):
            at.all += 1
            at.meant += name in meant
            at = at.below.setdefault(segment, _Node())
        at.all += 1
        at.meant += name in meant
    return list(_alternatives(root, root=True))


def _alternatives(node: _Node, *, root: bool = False) -> Iterator[str]:
    """One pattern for each kind of what is meant below a node."""
    by_rest: dict[str, list[str]] = {}
    for segment, below in node.below.items():
        if below.meant:
            by_rest.setdefault(_rest(below), []).append(segment)
    for rest, segments in by_rest.items():
        yield _segments(segments, node.below if not root else ()) + rest


def _rest(node: _Node) -> str:
    """What follows a segment: nothing, everything below it, or a part of that."""
    if not node.below:
        return ""
    if node.meant == node.all > 1:
        return r"\..*"
    return r"\." + _either(list(_alternatives(node)))


def _either(patterns: list[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"({'|'.join(patterns)})"


def _segments(segments: Sequence[str], siblings: Collection[str]) -> str:
    """Some segments as one pattern; `siblings` are all that could stand there."""
    numbers = {segment for segment in siblings if segment.isdecimal()}
    if len(numbers) > 1 and numbers <= set(segments):
        others = [segment for segment in segments if segment not in numbers]
        return _either([r"\d+", *_stems(others)])
    return _either(list(_stems(segments)))


def _stems(segments: Iterable[str]) -> Iterator[str]:
    """`layer1`, `layer2`, `fc` as `layer[12]`, `fc`."""
    for stem, group in groupby(sorted(segments, key=_stem), key=_stem):
        numbers = [segment.removeprefix(stem) for segment in group]
        yield re.escape(stem) + (_numbers(numbers) if numbers != [""] else "")


def _stem(segment: str) -> str:
    found = _NUMBERED.fullmatch(segment)
    return segment if found is None or str(int(found[2])) != found[2] else found[1]


def _numbers(texts: Sequence[str]) -> str:
    """`0`, `1`, `2` as `[0-2]`."""
    if "" in texts:
        return f"({'|'.join(sorted(texts, key=lambda text: int(text or -1)))})?".replace("(|", "(")
    numbers = sorted(map(int, texts))
    digits = [number for number in numbers if number < 10]
    pieces = [_digits(digits)] if digits else []
    pieces += [str(number) for number in numbers if number >= 10]
    return _either(pieces)


def _digits(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"[{numbers[0]}-{numbers[-1]}]"
    return f"[{''.join(map(str, numbers))}]"


def check(patterns: Sequence[str], meant: Collection[str], names: Iterable[str]) -> None:
    """Hold patterns to what they are for. Raises AssertionError."""
    whole = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    assert {name for name in names if whole.fullmatch(name)} == set(meant), patterns
