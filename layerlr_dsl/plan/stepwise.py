"""What holds from when on, worked out in one pass over the windows of a file."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Generic, TypeAlias, TypeVar

from layerlr_dsl.plan.stages import NEVER
from layerlr_dsl.tools.records import record

T = TypeVar("T")

Period: TypeAlias = tuple[int, int]
"""The ticks from which and until which something holds."""


@record
class Stepwise(Generic[T]):
    """Values and the ticks from which on they hold; neighbours differ, and the first holds from 0 on."""

    ticks: tuple[int, ...]
    values: tuple[T, ...]

    @classmethod
    def of(cls, steps: Iterator[tuple[int, T]]) -> Stepwise[T]:
        """From values in the order of time; those that change nothing are left out."""
        ticks: list[int] = []
        values: list[T] = []
        for tick, value in steps:
            if not values or value != values[-1]:
                ticks.append(tick)
                values.append(value)
        return cls(tuple(ticks), tuple(values))

    @classmethod
    def always(cls, value: T) -> Stepwise[T]:
        return cls((0,), (value,))

    def at(self, tick: int) -> T:
        """What holds at a tick."""
        return self.values[max(bisect_right(self.ticks, tick) - 1, 0)]

    @property
    def changes(self) -> tuple[int, ...]:
        """The ticks after 0 at which another value begins."""
        return self.ticks[1:]


def sweep(periods: Sequence[Period]) -> Iterator[tuple[int, list[int]]]:
    """From 0 on, each tick at which one of some periods begins or ends, and which hold then, in their order.

    The list is the same one every time, and changes with the next.
    """
    events: list[tuple[int, int, bool]] = []
    for number, (opens, closes) in enumerate(periods):
        if max(opens, 0) < closes:
            events.append((max(opens, 0), number, True))
            if closes < NEVER:
                events.append((closes, number, False))
    events.sort()
    holding: list[int] = []
    place = 0
    for tick in dict.fromkeys((0, *(tick for tick, _, _ in events))):
        while place < len(events) and events[place][0] == tick:
            _, number, begins = events[place]
            if begins:
                insort(holding, number)
            else:
                del holding[bisect_left(holding, number)]
            place += 1
        yield tick, holding


_MOST_KEPT = 4


class Recent(Generic[T]):
    """What was worked out for the last few suppositions about metrics."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, T] = {}

    def of(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is kept under a key, made where it is not."""
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = make()
        return self._kept[key]
