"""How numbers are written elsewhere: in words, with a decimal comma, with digits in groups, with a sign."""

from __future__ import annotations

import re

from layerlr_dsl.language.phrasebook.phrase import Match, Phrase, phrase
from layerlr_dsl.tools.number_words import NUMBER_WORDS, number_of

_DECIMAL_COMMA = re.compile(r"(?<=[\s=])(\d+),(\d+(?:e-?\d+)?)(?![\w.,])", re.IGNORECASE)
_BEFORE = r"\b(?:until|from|at|every|for|warmup|epochs?|steps?|steps_per_epoch|lr|weight_decay|momentum|eps)\s+|=\s*"
_IN_WORDS = re.compile(rf"(?P<before>{_BEFORE})(?P<words>{NUMBER_WORDS})\b", re.IGNORECASE)


def _in_digits(found: Match) -> str:
    return _IN_WORDS.sub(lambda one: one["before"] + (number_of(one["words"]) or one["words"]), found[0])


NUMBERS: tuple[Phrase, ...] = (
    phrase(
        rf"(?!(?:epochs|steps\w*)\s+[1-9]\d{{0,2}}(?:,\d{{3}})+$)[^\n]*{_DECIMAL_COMMA.pattern}.*",
        "a number has a decimal point, and a comma lists what is apart",
        lambda found: _DECIMAL_COMMA.sub(r"\1.\2", found[0]),
    ),
    phrase(
        r"(?P<head>[^\n]*[\s=])(?P<number>[1-9]\d{0,2}(?:[ '_]\d{3})+)(?P<rest>(?![\w.,]).*)",
        "the digits of a number may be set apart by `_` alone",
        lambda found: found["head"] + re.sub(r"\D", "_", found["number"]) + found["rest"],
    ),
    phrase(
        r"(?P<head>[^\n]*->(?:[^\n]*,)?\s*\w+\s+)\+(?P<rest>\.?\d.*)",
        "a number has no plus sign",
        r"\g<head>\g<rest>",
        safe=True,
    ),
    phrase(rf"[^\n]*(?:{_IN_WORDS.pattern}).*", "numbers are written in digits", _in_digits),
)
