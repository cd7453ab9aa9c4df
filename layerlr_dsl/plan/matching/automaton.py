"""Every selector item of a file matched in one walk down the module tree.

The items form one automaton over segments. A state holds what each item still waits for,
with the numbers its captures are bound to; states and their transitions are made once and
remembered, so that a model of many like layers costs one dictionary look-up a module and
parameter, however many rules there are.

A state has three parts. `fresh` are places that the next segment must move on from.
`loops` are places behind a `**`, which stay alive all the way down. `accepted` are the items
that already match some ancestor, and so the whole subtree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import TypeAlias

from layerlr_dsl.language.patterns import DOUBLE_STAR, Bindings, CompiledPattern, Segment

Hit: TypeAlias = tuple[int, Bindings]
"""An item, by number, and what its captures are bound to."""
_Place: TypeAlias = tuple[int, int, Bindings]
"""Item, number of the segment it waits for, bindings so far."""


class _Index:
    """Places sorted by what they wait for: plain text by look-up, the rest one by one."""

    __slots__ = ("by_literal", "general")

    def __init__(self, places: Iterable[_Place], segments: Sequence[tuple[Segment, ...]]) -> None:
        self.by_literal: dict[str, list[_Place]] = {}
        self.general: list[tuple[_Place, Segment]] = []
        for place in places:
            segment = segments[place[0]][place[1]]
            if segment.literal is not None:
                self.by_literal.setdefault(segment.literal, []).append(place)
            else:
                self.general.append((place, segment))


class State:
    """A node of the automaton; `table` maps a segment to the state after it."""

    __slots__ = (
        "accepted",
        "final",
        "fresh",
        "fresh_index",
        "hits",
        "loops",
        "named",
        "number",
        "otherwise",
        "table",
    )

    def __init__(self, number: int, fresh: frozenset[_Place], loops: _LoopSet, accepted: AcceptedSet) -> None:
        self.number = number
        self.fresh = fresh
        self.loops = loops
        self.accepted = accepted
        self.hits = accepted.hits
        self.final = not fresh and not loops.places
        """Whether nothing below can match any more than this: every step leads back here."""
        self.table: dict[str, State] = {}
        self.fresh_index: _Index | None = None
        self.named: Set[str] = frozenset()
        """The segments that anything here waits for by name; known with `otherwise`."""
        self.otherwise: State | None = None
        """The state after every other segment, where all places wait by name and one such was met."""


class _LoopSet:
    __slots__ = ("index", "places")

    def __init__(self, places: frozenset[_Place], index: _Index) -> None:
        self.places = places
        self.index = index


class AcceptedSet:
    """The items that cover a subtree, one object for each such set of an automaton."""

    __slots__ = ("by_item", "hits")

    def __init__(self, hits: frozenset[Hit]) -> None:
        self.hits = hits
        self.by_item: dict[int, list[Bindings]] = {}
        """For each item: every way in which its captures are bound."""
        for item, bindings in sorted(hits):
            self.by_item.setdefault(item, []).append(bindings)


class Automaton:
    """All patterns of a file, matched together."""

    def __init__(self, patterns: Sequence[CompiledPattern]) -> None:
        self._segments = [pattern.segments for pattern in patterns]
        self._states: dict[tuple[frozenset[_Place], _LoopSet, AcceptedSet], State] = {}
        self._loops: dict[frozenset[_Place], _LoopSet] = {}
        self._accepted: dict[frozenset[Hit], AcceptedSet] = {}
        self.states: list[State] = []
        self.start = self._begin()

    def step(self, state: State, segment: str) -> State:
        """The state after one more segment. Callers look in `state.table` first."""
        if state.final:
            return state
        if state.otherwise is not None and segment not in state.named:
            after = state.table[segment] = state.otherwise
            return after
        index = state.fresh_index
        if index is None:
            index = state.fresh_index = _Index(state.fresh, self._segments)
        looped = state.loops.index
        fresh: set[_Place] = set()
        loops: set[_Place] = set()
        hits: set[Hit] = set()
        for source in (index, looped):
            for item, at, bound in source.by_literal.get(segment, ()):
                self._enter(item, at + 1, bound, fresh, loops, hits)
            for (item, at, bound), matcher in source.general:
                for new in matcher.match(segment):
                    joined = _join(bound, new)
                    if joined is not None:
                        self._enter(item, at + 1, joined, fresh, loops, hits)
        after = self._intern(
            frozenset(fresh), self._loop_set(state.loops, loops), self._accepted_set(state.accepted, hits)
        )
        state.table[segment] = after
        if not (index.general or looped.general):
            named = index.by_literal.keys() | looped.by_literal.keys()
            if segment not in named:
                state.otherwise, state.named = after, named
        return after

    def run(self, segments: Iterable[str]) -> State:
        """The state after a whole name."""
        state = self.start
        for segment in segments:
            state = state.table.get(segment) or self.step(state, segment)
        return state

    def _begin(self) -> State:
        fresh: set[_Place] = set()
        loops: set[_Place] = set()
        hits: set[Hit] = set()
        for item in range(len(self._segments)):
            self._enter(item, 0, (), fresh, loops, hits)
        nothing = self._loops[frozenset()] = _LoopSet(frozenset(), _Index((), self._segments))
        none = self._accepted[frozenset()] = AcceptedSet(frozenset())
        return self._intern(frozenset(fresh), self._loop_set(nothing, loops), self._accepted_set(none, hits))

    def _enter(
        self, item: int, at: int, bound: Bindings, fresh: set[_Place], loops: set[_Place], hits: set[Hit]
    ) -> None:
        segments = self._segments[item]
        if at == len(segments):
            hits.add((item, bound))
        elif segments[at] is not DOUBLE_STAR:
            fresh.add((item, at, bound))
        elif at + 1 == len(segments):
            hits.add((item, bound))
        else:
            # Two `**` never stand side by side, so what follows is a segment to wait for.
            loops.add((item, at + 1, bound))

    def _loop_set(self, old: _LoopSet, new: set[_Place]) -> _LoopSet:
        if new <= old.places:
            return old
        places = old.places | new
        found = self._loops.get(places)
        if found is None:
            found = self._loops[places] = _LoopSet(places, _Index(places, self._segments))
        return found

    def _accepted_set(self, old: AcceptedSet, new: set[Hit]) -> AcceptedSet:
        if new <= old.hits:
            return old
        hits = old.hits | new
        found = self._accepted.get(hits)
        if found is None:
            found = self._accepted[hits] = AcceptedSet(hits)
        return found

    def _intern(self, fresh: frozenset[_Place], loops: _LoopSet, accepted: AcceptedSet) -> State:
        key = (fresh, loops, accepted)
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = State(len(self.states), fresh, loops, accepted)
            self.states.append(state)
        return state


def _join(old: Bindings, new: Bindings) -> Bindings | None:
    """Both sets of bindings, or None where a capture would have two values."""
    if not new:
        return old
    if not old:
        return new
    held = dict(old)
    for name, value in new:
        if held.setdefault(name, value) != value:
            return None
    return tuple(sorted(held.items()))
