"""Which of many windows hold another whole: the first that does, found without looking at each of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf
from typing import TypeAlias

from layerlr_dsl.plan.timeline import Interval, Mark

_Kind: TypeAlias = tuple[int, Mark | None, Mark | None]
"""A stage, and the events that open and close a window, each with its delay; None where the clock does."""
_Corner: TypeAlias = tuple[float, float]
"""Where a window opens and closes among all those of a file, counted from 0; inf where it stays open."""


class Order:
    """The windows of a file in the order of time. What they are worth by themselves is worked out once."""

    def __init__(self, windows: Iterable[Interval]) -> None:
        marks = {mark for window in windows for mark in (window.opens, window.closes) if mark is not None}
        ticks = sorted({Fraction(0), *(mark.ticks for mark in marks)})
        places = {tick: place for place, tick in enumerate(ticks)}
        self._places = {mark: places[mark.ticks] for mark in marks}
        self._outer: dict[Interval, tuple[_Kind, _Corner] | None] = {}
        self._inner: dict[Interval, tuple[tuple[_Kind, _Corner], ...]] = {}
        self.size = len(ticks)

    def outer(self, window: Interval) -> tuple[_Kind, _Corner] | None:
        """What a window is where it may hold others; None where it can only hold its equals.

        A share of a length is one of a length that is not known beforehand.
        """
        if window not in self._outer:
            self._outer[window] = self._as_outer(window)
        return self._outer[window]

    def inner(self, window: Interval) -> tuple[tuple[_Kind, _Corner], ...]:
        """The corners that a window is held by, in each kind of windows that can hold it."""
        if window not in self._inner:
            self._inner[window] = () if window.opens.share else tuple(self._as_inner(window))
        return self._inner[window]

    def _as_outer(self, window: Interval) -> tuple[_Kind, _Corner] | None:
        opens, closes = window.opens, window.closes
        if opens.share or (closes is not None and closes.share):
            return None
        first, last = _event(opens), None if closes is None else _event(closes)
        begins = self._places[opens] if first is None else 0
        ends = inf if closes is None else self._places[closes] if last is None else 0
        return (window.stage, first, last), (begins, ends)

    def _as_inner(self, window: Interval) -> Iterable[tuple[_Kind, _Corner]]:
        opens, closes = window.opens, window.closes
        begins = [(None, 0 if opens.event is not None else self._places[opens])]
        waits = closes is None or closes.event is not None or bool(closes.share)
        ends: list[tuple[Mark | None, float]] = [(None, inf)]
        if closes is not None and not waits:
            ends = [(None, self._places[closes])]
        events = [] if opens.event is None else [(opens, 0)]
        closing = [] if closes is None or closes.event is None else [(closes, 0)]
        for first, begin in (*begins, *events):
            for last, end in (*ends, *closing):
                yield (window.stage, first, last), (begin, end)


def _event(mark: Mark) -> Mark | None:
    return None if mark.event is None else mark


@dataclass(slots=True)
class _Steps:
    """Windows that close later than all that were added before them, and the numbers of those."""

    ends: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


class Windows:
    """Windows by ascending numbers. Adding one and finding one take a time that hardly grows with them."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._count = 0
        self._equal: dict[Interval, int] = {}
        self._trees: dict[_Kind, dict[int, _Steps]] = {}
        """Fenwick trees over where windows open."""

    def add(self, window: Interval, number: int) -> None:
        """A window with a number above those before it."""
        self._equal.setdefault(window, number)
        outer = self._order.outer(window)
        if outer is None:
            return
        kind, (begins, ends) = outer
        tree = self._trees.setdefault(kind, {})
        node = int(begins) + 1
        while node <= self._order.size:
            steps = tree.get(node)
            if steps is None:
                steps = tree[node] = _Steps()
            if not steps.ends or steps.ends[-1] < ends:
                steps.ends.append(ends)
                steps.numbers.append(number)
            node += node & -node

    def first_that_covers(self, window: Interval) -> int | None:
        """The least number of a window that holds this one whole, as far as that can be known."""
        found = [self._equal[window]] if window in self._equal else []
        for kind, corner in self._order.inner(window):
            tree = self._trees.get(kind)
            if tree is not None:
                found += _found(tree, corner)
        return min(found, default=None)


def _found(tree: dict[int, _Steps], corner: _Corner) -> Iterable[int]:
    begins, ends = corner
    node = int(begins) + 1
    while node:
        steps = tree.get(node)
        if steps is not None and steps.ends[-1] >= ends:
            yield steps.numbers[bisect_left(steps.ends, ends)]
        node -= node & -node
