"""Sizes and shares in words, the same everywhere; numbers themselves are spelled by `language.numbers`."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable

from layerlr_dsl.tools.numbers import spelled

HELD = "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"


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


def install(extra: str) -> str:
    """The command that installs an extra, quoted as every shell takes it, Windows' own too."""
    return f'pip install "layerlr-dsl[{extra}]"'


def share(part: float) -> str:
    """`100%`, `4.5%`, `<0.1%`, `0%`; what is not all or nothing is never rounded to it."""
    percent = part * 100
    if part <= 0 or part >= 1:
        return f"{percent:.0f}%"
    if percent < 0.1:
        return "<0.1%"
    return f"{min(percent, 99.9):.1f}%" if percent >= 99 or percent < 9.95 else f"{percent:.0f}%"


def in_digits(value: float) -> str:
    """What a clock or a count of bytes gave, in three digits, or all before the point: `0.0123`, `46.2`, `1,130`."""
    return f"{value:,.0f}" if value >= 100 else spelled(value, 3)


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """A text in lines, later ones indented; a number stays with its `±`."""
    lines = textwrap.wrap(text.replace(" ± ", HELD), width, subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace(HELD, " ± ") for line in lines]


def next_plan(file: object, models: Iterable[str] = ()) -> str:
    """`next: layerlr plan FILE`, with the `--model`s that a file needs which names none itself."""
    told = [f"--model {shlex.quote(one)}" for one in models]
    return " ".join(["next: layerlr plan", shlex.quote(str(file)), *told])
