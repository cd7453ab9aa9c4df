"""Characters that may not stand in a rule file: the invisible, and those that look like another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, error
from layerlr_dsl.language.source import Source, Span

LOOKALIKES = {
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
    "→": "->", "⇒": "->", "➔": "->", "⟶": "->",
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-",
    "×": "*", "·": "*", "∗": "*", "÷": "/",
    "≤": "<=", "≥": ">=", "≠": "!=", "，": ",", "；": ";", "（": "(", "）": ")",
}  # fmt: skip
# Control characters, lone surrogates, and the signs that make a line read otherwise than it is written.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\x85\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_MOST_RUNS = 1000


def forbidden(source: Source) -> Iterator[Diagnostic]:
    """LR010 for every run of them, in texts and comments too."""
    for run in islice(_FORBIDDEN.finditer(source.text), _MOST_RUNS):
        first = character_not_allowed(Span(source, run.start(), run.start() + 1))
        span = Span(source, run.start(), run.end())
        fix = Fix("remove it", (Edit(span, ""),))
        yield error("LR010", first.message, span, "remove it", fix=fix)


def has_forbidden(text: str) -> bool:
    """Whether `forbidden` has something to say of a piece of a source."""
    return _FORBIDDEN.search(text) is not None


def character_not_allowed(span: Span) -> Diagnostic:
    """LR010: the character of `span` means nothing where it stands."""
    import unicodedata  # deferred: few files need it

    character = span.text
    name = unicodedata.name(character, "control character").lower()
    visible = character.isprintable() and not character.isspace()
    shown = f"`{character}`" if visible else f"U+{ord(character):04X}"
    meant = LOOKALIKES.get(character) or (" " if unicodedata.category(character) == "Zs" else None)
    message = f"{shown} ({name}) is not allowed here"
    if meant is None:
        return error("LR010", message, span, "remove it, or put the name it belongs to in double quotes")
    what = "a space" if meant == " " else f"`{meant}`"
    fix = Fix(f"replace it by {what}", (Edit(span, meant),), safe=True)
    return error("LR010", message, span, f"write {what}", fix=fix)
