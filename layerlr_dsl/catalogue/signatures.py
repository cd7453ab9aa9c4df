"""What an optimizer's constructor says of its options, read without calling it.

Needs the class itself but nothing of torch, so it serves both the shipped table's generator
and optimizers of other packages.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import field
from math import inf
from numbers import Real
from typing import Literal

from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.records import record

Kind = Literal["number", "boolean", "pair", "triple", "string", "optional"]

IMPLEMENTATION_FLAGS = frozenset({"foreach", "fused", "capturable", "differentiable", "compiled"})


class Missing:
    """The default of an option that has none."""

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING = Missing()
PARAMETER_GROUPS = "parameter groups"
"""What an optimizer refuses that is built from a model."""


@record
class Interval:
    """The numbers that an option takes; `closed_low` and `closed_high` say which ends are in."""

    low: float = -inf
    high: float = inf
    closed_low: bool = False
    closed_high: bool = False

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Read `[0, 1)` or `(-inf, 0]`, as mathematics writes it."""
        low, _, high = text[1:-1].partition(",")
        return cls(float(low), float(high), text[0] == "[", text[-1] == "]")

    def __contains__(self, value: float) -> bool:
        above = value >= self.low if self.closed_low else value > self.low
        below = value <= self.high if self.closed_high else value < self.high
        return above and below

    def __str__(self) -> str:
        """As a message says it: `>= 0`, `in [0, 1)`."""
        if self.high == inf:
            return "finite" if self.low == -inf else f"{'>=' if self.closed_low else '>'} {spelled(self.low)}"
        if self.low == -inf:
            return f"{'<=' if self.closed_high else '<'} {spelled(self.high)}"
        opening, closing = "(["[self.closed_low], ")]"[self.closed_high]
        return f"in {opening}{spelled(self.low)}, {spelled(self.high)}{closing}"


@record
class OptionInfo:
    """One option of an optimizer.

    kind: "optional" is a boolean that may also be left to the optimizer (`foreach`).
    group: it may differ between parameter groups. algorithmic: it changes what is computed,
    not merely how. domains: one interval for a number, one an element for a pair or triple,
    none where anything finite will do. fixed: why it cannot change in mid-run, where it cannot.
    """

    name: str
    default: object | None
    kind: Kind
    group: bool = True
    algorithmic: bool = True
    domains: tuple[Interval, ...] = ()
    integer: bool = False
    choices: tuple[str, ...] = ()
    fixed: str | None = None


@record
class OptimizerInfo:
    """An optimizer as a rule file names it.

    target: where its class is, as `module:Class`. refuses: what it does not take, in words
    ("not 2-D", "several parameter groups", "parameter groups"), or None. needs: what each of its groups
    must be given, though its signature has no option of that name.
    """

    name: str
    target: str
    options: Mapping[str, OptionInfo] = field(hash=False)
    refuses: str | None = None
    needs: tuple[str, ...] = ()
    scheduled: str = "lr"
    """The option that schedules and thaw warm-ups drive."""


def key(name: str) -> str:
    """What two spellings of an optimizer's name have in common."""
    return name.lower().replace("_", "").replace("-", "")


def options_of(cls: type) -> Iterator[OptionInfo]:
    """The options in the signature of `cls`, in its order, those no rule file can write left out."""
    parameters = list(inspect.signature(cls).parameters.values())[1:]
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        default = MISSING if parameter.default is parameter.empty else parameter.default
        yield from option(parameter.name, default, str(parameter.annotation))


def option(name: str, default: object, annotation: str) -> Iterator[OptionInfo]:
    """One option, unless no rule file could write its value."""
    kind = kind_of(default, annotation)
    if kind is not None:
        yield OptionInfo(
            name,
            tuple(default) if isinstance(default, list) else default,
            kind,
            group=name != "differentiable",
            algorithmic=name not in IMPLEMENTATION_FLAGS,
        )


def kind_of(default: object, annotation: str) -> Kind | None:
    """The kind of value that an option with this default and annotation takes; None if no rule can write it."""
    if isinstance(default, bool):
        return "boolean"
    if isinstance(default, Real):
        return "number"
    if isinstance(default, str):
        return "string"
    if isinstance(default, (tuple, list)):
        return {2: "pair", 3: "triple"}.get(len(default))  # type: ignore[return-value]
    if default is not None and default is not MISSING:
        return None
    words: tuple[tuple[str, Kind], ...] = (
        ("bool", "optional"),
        ("str", "string"),
        ("float", "number"),
        ("int", "number"),
    )
    return next((kind for word, kind in words if word in annotation), None)
