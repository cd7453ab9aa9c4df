"""What the captures of a selector are bound to in a model, which `last(i)` and its like look at."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cached_property

from layerlr_dsl.language.patterns import Bindings


class Captured:
    """Every way in which the items of a selector bind its captures, before its `except` and `where`."""

    def __init__(self, bindings: Iterable[Bindings] = ()) -> None:
        self._bindings = frozenset(bindings)
        self._places: dict[tuple[str, ...], dict[tuple[int, ...], int]] = {}
        self._sorted: dict[tuple[str, ...], list[tuple[int, ...]]] = {}

    @cached_property
    def names(self) -> frozenset[str]:
        """The captures that any item binds."""
        return frozenset(name for bindings in self._bindings for name, _ in bindings)

    def places(self, names: Sequence[str]) -> dict[tuple[int, ...], int]:
        """The distinct values of some captures taken together, ascending, each with its place from 0."""
        key = tuple(names)
        found = self._places.get(key)
        if found is None:
            held = [dict(bindings) for bindings in self._bindings]
            values = {tuple([one[name] for name in key]) for one in held if one.keys() >= set(key)}
            found = self._places[key] = {value: place for place, value in enumerate(sorted(values))}
        return found

    def __len__(self) -> int:
        """How many different ways of binding captures there are."""
        return len(self._bindings)

    def before(self, names: Sequence[str], own: tuple[int, ...]) -> int:
        """How many ways of binding all captures have values of the captures `names` that come before `own`."""
        key = (*names, *sorted(self.names.difference(names)))
        if key not in self._sorted:
            self._sorted[key] = list(self.places(key))
        return bisect_left(self._sorted[key], own)

    def sharing(self, names: Sequence[str], own: tuple[int, ...]) -> int:
        """How many of them have just these values."""
        return self.before(names, (*own[:-1], own[-1] + 1)) - self.before(names, own)

    def numbers(self, name: str) -> tuple[int, ...]:
        """The distinct values of one capture, ascending."""
        return tuple([value for (value,) in self.places((name,))])


NOTHING = Captured()
