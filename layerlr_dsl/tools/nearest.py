"""The word that was probably meant, for messages that end in "did you mean ...?"."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice

from layerlr_dsl.tools.records import record

_LONGEST_WORD = 80
_MOST_CANDIDATES = 20_000
_FEW = 200
"""So many candidates are all compared with the word."""
_BESIDE = 8
"""Of more, so many before and behind it in the order of their letters."""


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `word`, or None where nothing is near.

    Case counts only where two candidates differ by nothing else. Work is bounded: overlong words have no
    near miss, only the first 20,000 candidates are looked at, and of many only those that begin or end alike.
    """
    if not 1 <= len(word) <= _LONGEST_WORD:
        return None
    return _nearest(word, tuple(islice(candidates, _MOST_CANDIDATES)))


@lru_cache(maxsize=512)
def _nearest(word: str, candidates: tuple[str, ...]) -> str | None:
    if len(candidates) > _FEW:
        return _most_alike(word, _Neighbours.of(candidates).around(word.lower()))
    return _most_alike(word, candidates)


def _most_alike(word: str, candidates: Iterable[str]) -> str | None:
    from difflib import get_close_matches  # deferred: only a file with a mistake needs it

    by_folded: dict[str, str] = {}
    for candidate in candidates:
        if candidate != word and abs(len(candidate) - len(word)) <= max(len(word), 3):
            by_folded.setdefault(candidate.lower(), candidate)
    if word.lower() in by_folded:
        return by_folded[word.lower()]
    found = get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


@record
class _Neighbours:
    """Many candidates in the order of their letters, read from the left and from the right."""

    candidates: tuple[str, ...]
    forwards: list[tuple[str, int]]
    backwards: list[tuple[str, int]]

    @staticmethod
    @lru_cache(maxsize=4)
    def of(candidates: tuple[str, ...]) -> _Neighbours:
        folded = [candidate.lower() for candidate in candidates]
        forwards = sorted((text, place) for place, text in enumerate(folded))
        backwards = sorted((text[::-1], place) for place, text in enumerate(folded))
        return _Neighbours(candidates, forwards, backwards)

    def around(self, word: str) -> list[str]:
        """Those that stand next to a word in either order, as they came."""
        places = {*_beside(self.forwards, word), *_beside(self.backwards, word[::-1])}
        return [self.candidates[place] for place in sorted(places)]


def _beside(ordered: list[tuple[str, int]], word: str) -> Iterator[int]:
    here = bisect_left(ordered, (word, 0))
    return (place for _, place in ordered[max(here - _BESIDE, 0) : here + _BESIDE])
