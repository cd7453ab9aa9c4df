"""One spelling for each number, the same in every table, message and file that layerlr writes.

A number has two spellings, `0.00001` and `1e-5`: the shorter one is written, the plain one where
they are as long.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

_WHOLE = re.compile(r"[0-9]+")
_LONGEST_RUN = 10
"""More zeros in a row are never the shorter spelling."""
_EXACT = 10
"""Digits in messages: enough for any number that a person typed, too few for the noise of floats."""

_LARGEST_DIVISOR = 10_000


def spelled(value: object, digits: int = _EXACT) -> str:
    """A value as one would write it in a rule file: `1e-5`, `(0.9, 0.999)`, `true`, `"sum"`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (tuple, list)):
        inner = ", ".join(spelled(item, digits) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, Fraction) and value.denominator == 1:
        return str(value.numerator)
    if isinstance(value, (float, Fraction)):
        return _rounded(float(value), digits)
    return "none" if value is None else str(value)


def in_words(value: object, digits: int = _EXACT) -> str:
    """As `spelled`, with texts as they are: what tables and names show."""
    return value if isinstance(value, str) else spelled(value, digits)


def plural(number: int | float | Fraction, noun: str) -> str:
    """`1 epoch`, `11 epochs`, `0.5 epochs`, `12,345 parameters`."""
    shown = f"{number:,}" if isinstance(number, int) else spelled(number, 6)
    return f"{shown} {noun}" if number == 1 else f"{shown} {noun}s"


def ratio(value: object) -> int | Fraction | None:
    """The plain ratio that a number stands for: 25 / 3 is a float that is not quite 25 thirds. None for no number."""
    try:
        exact = Fraction(str(value)).limit_denominator(_LARGEST_DIVISOR)
    except (ValueError, ZeroDivisionError):
        return None
    return exact.numerator if exact.denominator == 1 else exact


def respelled(literal: str) -> str:
    """The one spelling of a number of a rule file, exactly: `1E-05` is `1e-5`, `.50` is `0.5`.

    What has a point or an exponent is no whole number, and stays none: `5.` is `5.0`. A percentage is
    none in any spelling, so `5.0%` is `5%`.
    """
    if literal.endswith("%"):
        return respelled(literal[:-1]).removesuffix(".0") + "%"
    if _WHOLE.fullmatch(literal):
        return literal.lstrip("0") or "0"
    spelling = _shorter(*_digits(literal))
    return f"{spelling}.0" if _WHOLE.fullmatch(spelling) else spelling


def _rounded(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return str(value)
    sign = "-" if value < 0 else ""
    significant, exponent = _digits(f"{abs(value):.{digits - 1}e}")
    if abs(value) >= 10.0**digits:  # a plain spelling would show digits that are not known
        return sign + _scientific(significant, exponent)
    return sign + _shorter(significant, exponent)


def _digits(literal: str) -> tuple[str, int]:
    """The significant digits of a literal, and the power of ten that they are multiplied with."""
    mantissa, _, power = literal.lower().partition("e")
    before, _, after = mantissa.partition(".")
    every = (before + after).lstrip("0")
    significant = every.rstrip("0")
    exponent = int(power or 0) - len(after) + len(every) - len(significant)
    return (significant, exponent) if significant else ("0", 0)


def _shorter(significant: str, exponent: int) -> str:
    scientific = _scientific(significant, exponent)
    if abs(exponent) > len(significant) + _LONGEST_RUN:
        return scientific
    plain = _plain(significant, exponent)
    return scientific if len(scientific) < len(plain) else plain


def _plain(significant: str, exponent: int) -> str:
    if exponent >= 0:
        return significant + "0" * exponent
    padded = significant.rjust(1 - exponent, "0")
    return f"{padded[:exponent]}.{padded[exponent:]}"


def _scientific(significant: str, exponent: int) -> str:
    rest = f".{significant[1:]}" if len(significant) > 1 else ""
    return f"{significant[0]}{rest}e{exponent + len(significant) - 1}"
