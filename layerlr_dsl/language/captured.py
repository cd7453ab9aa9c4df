"""What the captures of a selector are bound to in a model, which `last(i)` and its like look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from layerlr_dsl.language.patterns import Bindings


class Captured:
    """Every way in which the items of a selector bind its captures, before its `except` and `where`."""

    def __init__(self, bindings: Iterable[Bindings] = ()) -> None:
        self._bindings = frozenset(bindings)
        self._places: dict[tuple[str, ...], dict[tuple[int, ...], int]] = {}

    def places(self, names: Sequence[str]) -> dict[tuple[int, ...], int]:
        """The distinct values of some captures taken together, ascending, each with its place from 0."""
        key = tuple(names)
        found = self._places.get(key)
        if found is None:
            held = [dict(bindings) for bindings in self._bindings]
            values = {tuple([one[name] for name in key]) for one in held if one.keys() >= set(key)}
            found = self._places[key] = {value: place for place, value in enumerate(sorted(values))}
        return found

    def numbers(self, name: str) -> tuple[int, ...]:
        """The distinct values of one capture, ascending."""
        return tuple([value for (value,) in self.places((name,))])


NOTHING = Captured()
