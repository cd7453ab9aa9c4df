"""Numbers in words, the same everywhere."""

from __future__ import annotations

from fractions import Fraction


def count(number: int, noun: str) -> str:
    """`1 file`, `2 files`, `12,345 parameters`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def short(number: int) -> str:
    """`512`, `64 k`, `11.7 M`, `70 B`: three digits at most."""
    if number < 1000:
        return str(number)
    value = float(number)
    for unit in ("k", "M", "B", "T"):
        value /= 1000
        if value < 999.5 or unit == "T":
            return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"
    raise AssertionError


def share(part: float) -> str:
    """`100%`, `4.5%`, `<0.1%`, `0%`; what is not all or nothing is never rounded to it."""
    percent = part * 100
    if part <= 0 or part >= 1:
        return f"{percent:.0f}%"
    if percent < 0.1:
        return "<0.1%"
    return f"{min(percent, 99.9):.1f}%" if percent >= 99 or percent < 9.95 else f"{percent:.0f}%"


def value(option: object, digits: int = 6) -> str:
    """An option's value as a rule file spells it: `0.001`, `1e-5`, `(0.9, 0.999)`, `true`."""
    if isinstance(option, bool):
        return "true" if option else "false"
    if isinstance(option, float):
        return number(option, digits)
    if isinstance(option, (tuple, list)):
        return "(" + ", ".join(value(item, digits) for item in option) + ")"
    if option is None:
        return "none"
    return str(option)


def number(option: float, digits: int = 6) -> str:
    """A float in the shorter of its two spellings, with so many digits: `0.05`, `1e-5`."""
    plain = f"{option:.{digits}g}"
    if "e" in plain:
        return _tidy(plain)
    scientific = _tidy(f"{option:.{digits - 1}e}")
    return scientific if len(scientific) < len(plain) else plain


def _tidy(scientific: str) -> str:
    mantissa, exponent = scientific.split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def fraction(number: Fraction | int | float) -> str:
    """An exact number without trailing zeros: `3`, `0.5`, `2.33333`."""
    return f"{float(number):.6g}"
