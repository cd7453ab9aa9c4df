"""Numbers in English words, as people type them where a number must stand."""

from __future__ import annotations

import re
from fractions import Fraction

from layerlr_dsl.tools.numbers import spelled

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_COUNTS = {
    **{word: number for number, word in enumerate(_SMALL.split())},
    **{word: 10 * number for number, word in enumerate(_TENS.split(), 2)},
}
_MULTIPLES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_PARTS = {
    "half": Fraction(1, 2),
    "quarter": Fraction(1, 4),
    "tenth": Fraction(1, 10),
    "hundredth": Fraction(1, 100),
    "thousandth": Fraction(1, 1000),
    "millionth": Fraction(1, 1_000_000),
}
_WORDS = [*_COUNTS, *_MULTIPLES, *_PARTS, *(f"{part}s" for part in _PARTS if part != "half")]
NUMBER_WORDS = rf"(?:an?[\s-]+)?(?:{'|'.join(_WORDS)})(?:[\s-]+(?:{'|'.join(_WORDS)}))*"
"""A pattern of what `number_of` may be able to read."""


def number_of(text: str) -> str | None:
    """`five` as `5`, `one thousandth` as `1e-3`; None for what is no number in words."""
    value: Fraction | None = None
    words = re.split(r"[\s-]+", text.lower())
    if words[0] in ("a", "an"):
        value, words = Fraction(1), words[1:]
        if not words:
            return None
    for word in words:
        if word in _COUNTS and _follows(value, _COUNTS[word]):
            value = (value or 0) + Fraction(_COUNTS[word])
        elif word in _MULTIPLES:
            value = (Fraction(1) if value is None else value) * _MULTIPLES[word]
        elif (part := _PARTS.get(word.removesuffix("s"))) is not None:
            if value not in (None, 1) and not word.endswith("s"):
                return None  # `ten thousandth`: 0.01, or 0.0001
            value = (Fraction(1) if value is None else value) * part
        else:
            return None
    return None if value is None else spelled(value)


def _follows(value: Fraction | None, count: int) -> bool:
    """Whether a count may stand behind what was read: `twenty five`, `two hundred ten`, not `two three`."""
    if value is None:
        return True
    return count > 0 and value.denominator == 1 and value % (10 if count < 10 else 100) == 0 and value >= 20
