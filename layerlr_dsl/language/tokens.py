"""Tokens: the pieces that a text is made of, each of a kind that the grammar names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Token:
    """The text `[start, end)` of a source, taken as a terminal of the grammar."""

    kind: str
    text: str
    start: int
    end: int
