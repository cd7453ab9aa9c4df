"""Whole statements as people write them who come from elsewhere, and what they say in this language.

A statement that cannot be read is held against the forms of the phrasebook, from its first sign to its end, before
anything else is said of it. What a form rewrites is offered as a fix; only what can mean nothing else is
applied by `--fix` without being asked.
"""

from __future__ import annotations

import re

from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, error
from layerlr_dsl.language.failure import Failure
from layerlr_dsl.language.faults import shortened
from layerlr_dsl.language.phrasebook import PHRASES, Match, Phrase
from layerlr_dsl.language.source import Span

_LONGEST = 200
"""Longer statements are nobody's phrase, and would take these patterns long."""
_STATEMENT = re.compile(r'(?:[^\n;#"]|"[^"\n]*")+')


def foreign_phrase(f: Failure) -> Diagnostic | None:
    """A whole statement of another language: said and rewritten as one."""
    written = _STATEMENT.match(f.source.text, f.start)
    if written is None or f.at > written.end():
        return None
    text = written[0].rstrip()
    if len(text) > _LONGEST:
        return None
    for phrase in PHRASES:
        found = phrase.written.fullmatch(text)
        if found is not None and (said := _said(phrase, found, f)) is not None:
            return said
    return None


def _said(phrase: Phrase, found: Match, f: Failure) -> Diagnostic | None:
    if phrase.meant is None:
        return error("LR001", phrase.message, f.span, phrase.help)
    meant = phrase.meant(found) if callable(phrase.meant) else found.expand(phrase.meant)
    if meant == found[0]:
        return None
    begin, end, replacement = _difference(found[0], meant)
    place = Span(f.source, f.start + begin, f.start + end)
    at = place if begin < end else f.span
    help = phrase.help.format(shortened(meant, 100))
    if phrase.example:
        return error("LR001", phrase.message, at, help)
    fix = Fix(f"write `{shortened(meant)}`", (Edit(place, replacement),), safe=phrase.safe)
    return error("LR001", phrase.message, at, help, fix=fix)


_WORD = re.compile(r"\w+|\s+|.")


def _difference(before: str, after: str) -> tuple[int, int, str]:
    """The part of a text that another has in its place, in whole words: from, to, and what stands there."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    same = next(
        (n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    rest = min(len(old), len(new)) - same
    tail = next((n for n in range(rest) if old[-1 - n] != new[-1 - n]), rest)
    begin = sum(map(len, old[:same]))
    end = len(before) - sum(map(len, old[len(old) - tail :]))
    return begin, end, "".join(new[same : len(new) - tail])
