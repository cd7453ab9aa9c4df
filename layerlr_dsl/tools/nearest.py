"""The word that was probably meant, for messages that end in "did you mean ...?"."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

_LONGEST_WORD = 80
_MOST_CANDIDATES = 20_000


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `word`, or None where nothing is near.

    Case counts only where two candidates differ by nothing else. Work is bounded: overlong
    words have no near miss, and only the first 20,000 candidates are looked at.
    """
    if not 1 <= len(word) <= _LONGEST_WORD:
        return None
    by_folded: dict[str, str] = {}
    for candidate in islice(candidates, _MOST_CANDIDATES):
        if candidate != word and abs(len(candidate) - len(word)) <= max(len(word), 3):
            by_folded.setdefault(candidate.lower(), candidate)
    if word.lower() in by_folded:
        return by_folded[word.lower()]
    return _most_alike(word.lower(), by_folded)


def _most_alike(word: str, by_folded: dict[str, str]) -> str | None:
    from difflib import get_close_matches  # deferred: only a file with a mistake needs it

    found = get_close_matches(word, by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None
