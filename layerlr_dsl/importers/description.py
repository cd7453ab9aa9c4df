"""What another tool's configuration says of rates, decay and freezing, in no tool's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from fractions import Fraction
from typing import Any, TypeAlias

from layerlr_dsl.language import syntax as s
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.records import record

Line: TypeAlias = int | None
"""Where it stands in the source, 1-based; None for what stands nowhere."""
Lets: TypeAlias = tuple[tuple[str, Any], ...]
"""Names and what stands for them, in the order in which they need each other."""


class SourceFault(ValueError):
    """A source that cannot be imported: what is wrong, where, and what to do about it."""

    def __init__(self, message: str, line: Line = None, help: str | None = None) -> None:
        self.message = message
        self.line = line
        self.help = help
        super().__init__(message)


@record
class LeftOut:
    """Something that the rules do not say though the source does, and why, or what to do instead."""

    what: str
    line: Line = None
    matters: bool = True
    """False for what has nothing to do with rates, decay and freezing."""

    def __str__(self) -> str:
        return escape(self.what)


@record
class Rule:
    """Parameters and the options they get. `which` is exact; `shorter` are tried in its place with a model."""

    which: s.Selector
    options: dict[str, Any]
    """Plain values, syntax trees, an optimizer's factory or a schedule."""
    line: Line = None
    origin: str = ""
    """What the source calls this: told where nothing matches."""
    shorter: tuple[s.Selector, ...] = ()
    quoted: frozenset[str] = frozenset()


@record
class Freeze:
    """Parameters that do not train."""

    which: s.Selector
    line: Line = None
    origin: str = ""
    shorter: tuple[s.Selector, ...] = ()


@record
class Stage:
    """A part of the run with rules of its own; `length` None: to the end of the run."""

    name: str
    rules: tuple[Rule | Freeze, ...]
    length: s.Duration | None = None
    until: s.Condition | None = None
    fresh: bool = False
    line: Line = None


@record
class OverTime:
    """The schedule, the lets that it needs, and the length of the run in epochs, or in steps."""

    schedule: s.ScheduleSequence | None = None
    lets: Lets = ()
    epochs: Fraction | int | float | None = None
    steps: int | None = None


@record
class Description:
    """All that rules can say of a source, in the order in which they are to stand in a file."""

    kind: str
    rules: tuple[Rule | Freeze, ...] = ()
    optimizer: s.Factory | None = None
    lets: Lets = ()
    schedule: s.ScheduleSequence | None = None
    epochs: Fraction | int | float | None = None
    steps: int | None = None
    steps_per_epoch: int | None = None
    stages: tuple[Stage, ...] = ()
    model: str | None = None
    left_out: tuple[LeftOut, ...] = field(default=())
    lines: Mapping[str, Line] = field(default_factory=dict)
    """Where the source says what the other fields hold: `optimizer`, `schedule`, `epochs`, `steps`."""
