"""The terminal cells that a printable text takes, and cutting and breaking it by them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import takewhile


def cell_width(char: str) -> int:
    """Terminal cells that one printable character takes: 0, 1 or 2."""
    if char.isascii():
        return 1
    if char == "\u200d" or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def cells(text: str) -> int:
    """Terminal cells of a printable text without colours."""
    if text.isascii():
        return len(text)
    return sum(map(cell_width, text))


def pad(text: str, width: int) -> str:
    """`text` filled up with blanks to `width` cells."""
    return text + " " * (width - cells(text))


def pad_left(text: str, width: int) -> str:
    return " " * (width - cells(text)) + text


LEAST_NAME = 14


def shorten(text: str, width: int, ellipsis: str = "…") -> str:
    """`text` cut in the middle to at most `width` cells: both ends of a dotted name tell something."""
    if cells(text) <= width:
        return text
    room = width - cells(ellipsis)
    if room <= 0:
        return clip(text, width)
    head = clip(text, (room + 1) // 2)
    tail = clip(text[::-1], room - cells(head))[::-1]
    return head + ellipsis + tail


def shorten_name(text: str, width: int, ellipsis: str = "…") -> str:
    """A dotted name cut to at most `width` cells: what is outermost goes first, but no number, then the middle.

    Of several names, `a, b, c`, as many are left as there is room for, the first in any case.
    """
    if cells(text) <= width:
        return text
    first, several, _ = text.partition(", ")
    if several and "{" not in first and width > LEAST_NAME:
        *whole, _ = text.split(", ")
        while len(whole) > 1:
            if cells(shown := f"{', '.join(whole)}, {ellipsis}") <= width and shown.count("{") == shown.count(
                "}"
            ):
                return shown
            whole.pop()
        return f"{shorten_name(first, width - cells(f', {ellipsis}'), ellipsis)}, {ellipsis}"
    head, dot, rest = text.partition(".")
    while dot and head.isidentifier():
        text = ellipsis + rest
        if cells(text) <= width:
            break
        head, dot, rest = rest.partition(".")
    return shorten(text, width, ellipsis)


def shorten_all(texts: Sequence[str], width: int, ellipsis: str = "…") -> list[str]:
    """Texts cut to `width` cells in the one way that keeps most of them distinct: as names, or at one place.

    Where all are long and begin alike, what they share at the beginning is the place.
    """
    long = [text for text in texts if cells(text) > width]
    shared = sum(1 for _ in takewhile(lambda signs: len(set(signs)) == 1, zip(*long, strict=False)))
    ways = [
        [shorten_name(text, width, ellipsis) for text in texts],
        [_cut_start(text, width, ellipsis) for text in texts],
        [shorten(text, width, ellipsis) for text in texts],
        [_cut_start(text[::-1], width, ellipsis[::-1])[::-1] for text in texts],
        [_cut_after(text, shared, width, ellipsis) for text in texts],
    ]
    return max(ways, key=lambda way: len(set(way)))


def _cut_after(text: str, shared: int, width: int, ellipsis: str) -> str:
    if cells(text) <= width:
        return text
    rest = ellipsis + text[shared:]
    return rest if cells(rest) <= width else clip(rest, width - cells(ellipsis)) + ellipsis


def _cut_start(text: str, width: int, ellipsis: str) -> str:
    if cells(text) <= width:
        return text
    room = width - cells(ellipsis)
    return clip(text, width) if room <= 0 else ellipsis + clip(text[::-1], room)[::-1]


def clip(text: str, width: int) -> str:
    """As many leading characters as fit in `width` cells."""
    used = 0
    for at, char in enumerate(text):
        used += cell_width(char)
        if used > width:
            return text[:at]
    return text


def wrap(text: str, width: int, taken: int = 0, indent: str = "") -> list[str]:
    """Break `text` at blanks into lines of `width` cells, of which line one has `taken` in use already.

    Lines after the first start with `indent`. A word longer than a line is broken; line breaks are kept.
    """
    lines: list[str] = []
    room = max(width - cells(indent), 8)
    for paragraph in text.split("\n"):
        line, floor = (indent, cells(indent)) if lines else ("", 0)
        used, gap = floor or taken, ""
        for word in _words(paragraph, room):
            need = cells(gap) + cells(word)
            if used > floor and used + need > width:
                lines.append(line)
                line, floor, gap = indent, cells(indent), ""
                used, need = floor, cells(word)
            line += gap + word
            used, gap = used + need, " "
        lines.append(line)
    return lines


def _words(text: str, width: int) -> list[str]:
    words: list[str] = []
    for word in text.split(" "):
        while cells(word) > width:
            head = clip(word, width) or word[:1]
            words.append(head)
            word = word[len(head) :]
        words.append(word)
    return words
