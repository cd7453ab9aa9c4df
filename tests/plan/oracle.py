"""A second implementation of selectors, the cascade and windows: slow, short and obvious.

It works on names as text, one parameter, one option and one tick at a time, and shares no code
with the package. Python's `re` does the matching; captures are tried number by number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import ceil, inf

SEGMENT = {"*": "[^.]*", "?": "[^.]"}


def _segment(text: str, numbers: dict[str, int]) -> str:
    out, at = "", 0
    while at < len(text):
        rest = text[at:]
        if found := re.match(r"\{(\d+)\.\.(\d+)\}", rest):
            low, high = map(int, found.groups())
            out += r"(?<!\d)(?:" + "|".join(f"0*{n}" for n in range(low, high + 1)) + r")(?!\d)"
        elif found := re.match(r"\{([^}]*)\}", rest):
            out += "(?:" + "|".join(_segment(choice, numbers) for choice in found[1].split(",")) + ")"
        elif found := re.match(r"<(\w+)>", rest):
            out += rf"(?<!\d)0*{numbers[found[1]]}(?!\d)"
        elif found := re.match(r"\[([!^]?)([^\]]+)\]", rest):
            out += f"[{'^.' if found[1] else ''}{re.escape(found[2]).replace(chr(92) + '-', '-')}]"
        else:
            found = re.match(r".", rest)
            assert found is not None
            out += SEGMENT.get(found[0], re.escape(found[0]))
        at += found.end()
    return out


def covers(pattern: str, name: str) -> list[dict[str, int]]:
    """Every way in which a pattern covers a parameter's name, as capture -> number."""
    captures = sorted(set(re.findall(r"<(\w+)>", pattern)))
    present = sorted({int(n) for n in re.findall(r"\d+", name)})
    ways = []
    for values in product(present, repeat=len(captures)):
        numbers = dict(zip(captures, values, strict=True))
        regex = ""
        for segment in re.split(r"\.(?![^{]*\})", pattern):
            regex += r"(?:[^.]+\.)*" if segment == "**" else _segment(segment, numbers) + r"\."
        # A selector covers the whole subtree of what it matches, and a dot is always a boundary.
        if re.match(regex, name + "."):
            ways.append(numbers)
    return ways


@dataclass(frozen=True)
class Clause:
    """A rule (options), or a freeze (frozen True) or unfreeze (frozen False)."""

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    max_ndim: int | None = None
    sets: dict[str, float] = field(default_factory=dict)
    factors: dict[str, float] = field(default_factory=dict)
    frozen: bool | None = None
    start: Fraction = Fraction(0)
    end: Fraction | None = None

    def selects(self, name: str, ndim: int) -> bool:
        if self.max_ndim is not None and ndim > self.max_ndim:
            return False
        return any(covers(p, name) for p in self.include) and not any(covers(p, name) for p in self.exclude)

    def active(self, step: int, steps_per_epoch: int) -> bool:
        end = inf if self.end is None else ceil(self.end * steps_per_epoch)
        return ceil(self.start * steps_per_epoch) <= step < end


def options(
    clauses: list[Clause], defaults: dict[str, float], name: str, ndim: int, step: int, steps_per_epoch: int
) -> dict[str, float | bool]:
    """What a parameter has at a step: the last rule that matches wins, option by option."""
    now: dict[str, float | bool] = {**defaults, "frozen": False}
    for clause in clauses:
        if clause.selects(name, ndim) and clause.active(step, steps_per_epoch):
            now.update(clause.sets)
            for option, factor in clause.factors.items():
                now[option] = now[option] * factor
            if clause.frozen is not None:
                now["frozen"] = clause.frozen
    return now
