"""A second implementation of selectors, the cascade and windows: slow, short and obvious.

It works on names as text, one parameter, one option and one tick at a time, and shares no code
with the package. Python's `re` does the matching; captures are tried number by number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
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


@cache
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
    """A rule (options), or a freeze (frozen True) or unfreeze (frozen False).

    `regex` is one more item of the selector. Where its one pattern has a capture `i`, `least` asks for
    `i >= least`, and `by_depth` gives the rate `by_depth ^ (last(i) - i)`. Where the selector is written
    as a group, `last(i)` looks at what the group covers, else at the items before `except` and `where`.
    """

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    max_ndim: int | None = None
    sets: dict[str, float] = field(default_factory=dict)
    factors: dict[str, float] = field(default_factory=dict)
    frozen: bool | None = None
    start: Fraction = Fraction(0)
    end: Fraction | None = None
    regex: str | None = None
    least: int | None = None
    by_depth: float | None = None
    optimizer: str | None = None
    grouped: bool = False

    def selects(self, name: str, ndim: int) -> bool:
        if self.max_ndim is not None and ndim > self.max_ndim:
            return False
        if self.least is not None and not any(way["i"] >= self.least for way in self.ways(name)):
            return False
        by_regex = self.regex is not None and re.fullmatch(self.regex, name)
        included = by_regex or any(covers(p, name) for p in self.include)
        return bool(included) and not any(covers(p, name) for p in self.exclude)

    def ways(self, name: str) -> list[dict[str, int]]:
        return [way for p in self.include for way in covers(p, name)]

    def given(self, name: str, model: dict[str, int]) -> dict[str, float]:
        if self.by_depth is None:
            return self.sets
        seen = [n for n, ndim in model.items() if not self.grouped or self.selects(n, ndim)]
        last = max(way["i"] for other in seen for way in self.ways(other))
        return {**self.sets, "lr": self.by_depth ** (last - self.ways(name)[0]["i"])}

    def active(self, step: int, steps_per_epoch: int) -> bool:
        end = inf if self.end is None else ceil(self.end * steps_per_epoch)
        return ceil(self.start * steps_per_epoch) <= step < end


@dataclass(frozen=True)
class Sequence:
    """`unfreeze A then B then C every N epochs starting at epoch T`."""

    turns: tuple[str, ...]
    every: Fraction
    first: Fraction

    def clauses(self) -> list[Clause]:
        out = []
        for turn, pattern in enumerate(self.turns):
            mark = self.first + turn * self.every
            out.append(Clause((pattern,), frozen=True, end=mark))
            out.append(Clause((pattern,), frozen=False, start=mark))
        return out


DEFAULTS = {
    "adamw": {"lr": 1e-3, "weight_decay": 0.01},
    "sgd": {"lr": 1e-3, "weight_decay": 0.0, "momentum": 0.0},
}


def optimizer_of(clauses: list[Clause], name: str, ndim: int) -> str:
    """The last rule that chooses one wins."""
    chosen = [c.optimizer for c in clauses if c.optimizer is not None and c.selects(name, ndim)]
    return chosen[-1] if chosen else "adamw"


def options(
    clauses: list[Clause], model: dict[str, int], name: str, step: int, steps_per_epoch: int
) -> dict[str, float | bool]:
    """What a parameter has at a step: the last rule that matches wins, option by option."""
    ndim = model[name]
    now: dict[str, float | bool] = {**DEFAULTS[optimizer_of(clauses, name, ndim)], "frozen": False}
    for clause in clauses:
        if clause.selects(name, ndim) and clause.active(step, steps_per_epoch):
            now.update(clause.given(name, model))
            for option, factor in clause.factors.items():
                now[option] = now[option] * factor
            if clause.frozen is not None:
                now["frozen"] = clause.frozen
    return now
