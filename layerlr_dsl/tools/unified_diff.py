"""Unified diffs of long texts: `difflib` alone takes minutes where thousands of lines differ."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence

Piece = tuple[int, int, int, int]
_MOST_WORK = 4_000_000  # pairs of lines of one piece


def unified(before: Sequence[str], after: Sequence[str], old: str, new: str) -> Iterator[str]:
    """The lines of a unified diff, without line ends; none where the texts are the same."""
    groups = _InPieces(before, after).get_grouped_opcodes(3)
    for number, group in enumerate(groups):
        if not number:
            yield f"--- {old}"
            yield f"+++ {new}"
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (f" {line}" for line in before[i1:i2])
                continue
            yield from (f"-{line}" for line in before[i1:i2])
            yield from (f"+{line}" for line in after[j1:j2])


def _range(start: int, stop: int) -> str:
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


class _InPieces(difflib.SequenceMatcher[str]):
    """Matches the texts piece by piece, between the lines that both hold exactly once."""

    def __init__(self, before: Sequence[str], after: Sequence[str]) -> None:
        super().__init__(None, "", "")
        self._before, self._after = before, after

    def get_matching_blocks(self) -> list[difflib.Match]:
        blocks: list[difflib.Match] = []
        for i1, i2, j1, j2 in _pieces(self._before, self._after):
            for block in _matched(self._before[i1:i2], self._after[j1:j2]):
                _append(blocks, i1 + block.a, j1 + block.b, block.size)
            _append(blocks, i2, j2, int(i2 < len(self._before)))  # the line that both hold once
        return [*blocks, difflib.Match(len(self._before), len(self._after), 0)]


def _pieces(before: Sequence[str], after: Sequence[str]) -> Iterator[Piece]:
    """What lies before, between and after the lines that both texts hold once, in the order of both."""
    often, often_after = Counter(before), Counter(after)
    place = {line: number for number, line in enumerate(after) if often_after[line] == 1}
    i1 = j1 = 0
    for i2, line in enumerate(before):
        j2 = place.get(line, -1) if often[line] == 1 else -1
        if j2 >= j1:
            yield i1, i2, j1, j2
            i1, j1 = i2 + 1, j2 + 1
    yield i1, len(before), j1, len(after)


def _matched(before: Sequence[str], after: Sequence[str]) -> list[difflib.Match]:
    if len(before) * len(after) > _MOST_WORK:
        return []
    return difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()


def _append(blocks: list[difflib.Match], a: int, b: int, size: int) -> None:
    if not size:
        return
    if blocks and (blocks[-1].a + blocks[-1].size, blocks[-1].b + blocks[-1].size) == (a, b):
        last = blocks.pop()
        a, b, size = last.a, last.b, last.size + size
    blocks.append(difflib.Match(a, b, size))
