"""The functions of a page: schedules, and values that move, each written once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from layerlr_dsl.eject.curves import Lines, body_of
from layerlr_dsl.eject.layout import function
from layerlr_dsl.eject.terms import T, Term, name, number
from layerlr_dsl.eject.values import Expressions
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.expressions import Scope
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.moving import Moving, fold
from layerlr_dsl.plan.scheduled import NamedFactor, Scheduled
from layerlr_dsl.plan.schedules import Plateau, Schedule, Sequence
from layerlr_dsl.plan.stages import Stretch, Stretches

_ONLY_CALL = re.compile(r"(\w+)\(t\)")
_INLINE = 40
"""Expressions up to so many characters stand where they are used."""
RESERVED = frozenset(
    (
        "t",
        "m",
        "p",
        "peak",
        "least",
        "target",
        "re",
        "nn",
        "float",
        "min",
        "max",
        "pow",
        "abs",
        "sum",
        "cos",
        "sin",
        "exp",
        "log",
        "log2",
        "sqrt",
        "floor",
        "ceil",
        "pi",
        "inf",
        "isfinite",
        "options_at",
        "model",
        "name",
        "group",
        "parameter",
        "False",
        "True",
        "None",
        "and",
        "or",
        "not",
        "if",
        "else",
        "lambda",
    )
)


@dataclass(frozen=True, slots=True)
class Curve:
    """A schedule as a function of the page: of `peak` too where `absolute`, of the metrics too where `waits`."""

    function: str
    absolute: bool
    waits: bool

    def of(self, t: Term, peak: Term | None = None) -> Term:
        """What it leaves of 1, or of a peak."""
        arguments = [peak.text] if self.absolute and peak is not None else []
        return name(f"{self.function}({', '.join([*arguments, t.text, *['m'] * self.waits])})")


@dataclass
class Functions:
    """Collects functions and names them."""

    stretches: Stretches
    lines: list[str] = field(default_factory=list)
    plateaus: list[tuple[Scheduled, int, Plateau]] = field(default_factory=list)
    _names: dict[tuple[str, ...], str] = field(default_factory=dict)
    _curves: dict[Scheduled, Curve] = field(default_factory=dict)

    def define(
        self, wanted: str, doc: str, body: Lines, parameters: str = "t: int", returns: str = "float"
    ) -> str:
        """Add a function, or find the one that does the same. Returns its name."""
        key = (parameters, *body)
        if key not in self._names:
            self._names[key] = self._free(wanted)
            self.lines += ["", "", *function(self._names[key], parameters, doc, body, returns)]
        return self._names[key]

    def _free(self, wanted: str) -> str:
        taken = RESERVED.union(self._names.values())
        number = 1
        found = wanted
        while found in taken:
            number += 1
            found = f"{wanted}_{number}"
        return found

    # ------------------------------------------------------------ values that move

    def moving(self, value: Moving, wanted: str) -> Term:
        """What a value does over time, without its scale, as an expression of `t`."""
        stretch = self.stretches[value.stage]
        term = Expressions(value.lets, stretch.clock, self.define).term(value.expression)
        if not stretch.start and len(term.text) <= _INLINE:
            return term
        return self._later(term, stretch, wanted, value.expression.span.excerpt)

    def _later(self, term: Term, stretch: Stretch, wanted: str, doc: str) -> Term:
        """An expression on the clock of a stage."""
        if _ONLY_CALL.fullmatch(term.text):
            return name(term.text.replace("(t)", f"({(T - number(stretch.start)).text})"))
        returns = "tuple[float, ...]" if term.text.startswith("(") and "," in term.text else "float"
        defined = self.define(wanted, doc, [f"return {term.text}"], returns=returns)
        return name(f"{defined}({(T - number(stretch.start)).text})")

    # ------------------------------------------------------------ schedules

    def curve(self, scheduled: Scheduled) -> Curve:
        """A schedule on its own clock."""
        if scheduled not in self._curves:
            stretch = self.stretches[scheduled.stage]
            self._curves[scheduled] = self._curve(scheduled.on(stretch), scheduled, 0, stretch.clock)
        return self._curves[scheduled]

    def _curve(self, schedule: Schedule, scheduled: Scheduled, place: int, clock: Clock) -> Curve:
        if isinstance(schedule, Sequence):
            return self._sequence(schedule, scheduled, clock)
        if isinstance(schedule, NamedFactor):
            return self._named(schedule, scheduled, clock)
        span = scheduled.sequence.parts[place].span
        doc = f"{span.excerpt} ({span.place})"
        body = body_of(schedule)  # type: ignore[arg-type]
        waits = isinstance(schedule, Plateau)
        if isinstance(schedule, Plateau):
            body = self._lowered(schedule, scheduled, place, body)
        parameters = "peak: float, t: int" if schedule.absolute else "t: int"
        parameters += ", m: Metrics" if waits else ""
        return Curve(self.define(schedule.name, doc, body, parameters), schedule.absolute, waits)

    def _lowered(self, schedule: Plateau, scheduled: Scheduled, place: int, body: Lines) -> Lines:
        number_of = len(self.plateaus)
        self.plateaus.append((scheduled, place, schedule))
        taken = f"m.left[{number_of}]"
        lines = [
            re.sub(r"^( *return )(.+)$", lambda found: f"{found[1]}{_factor(found[2])}{taken}", line)
            for line in body
        ]
        if schedule.min_lr is None:
            return lines
        lines[-1] = f"return max({lines[-1].removeprefix('return ')}, min({schedule.min_lr!r}, peak))"
        return lines

    def _named(self, schedule: NamedFactor, scheduled: Scheduled, clock: Clock) -> Curve:
        lets = scheduled.lets
        if schedule.name not in lets.moving:
            term = number(schedule.scale)
        else:
            folded = fold(s.Name(schedule.span, schedule.name), Scope(lets), lets, 0)
            term = Expressions(lets, clock, self.define).term(folded.expression)
            term = term * number(float(schedule.scale))
        doc = f"schedule {schedule.name} ({schedule.span.place})"
        return Curve(self.define(schedule.name, doc, [f"return {term.text}"]), False, False)

    def _sequence(self, schedule: Sequence, scheduled: Scheduled, clock: Clock) -> Curve:
        ends = (*schedule.starts[1:], clock.total)
        lengths = [
            None if end is None else end - start for start, end in zip(schedule.starts, ends, strict=True)
        ]
        parts = [
            self._curve(part, scheduled, place, clock.part(lengths[place]))
            for place, part in enumerate(schedule.parts)
        ]
        waits = any(part.waits for part in parts)
        lines = []
        for place, (part, start) in enumerate(zip(parts, schedule.starts, strict=True)):
            share = part.of(T - number(start), name("peak"))
            value = name("peak") * share if schedule.absolute and not part.absolute else share
            if place + 1 < len(parts):
                lines += [f"if t < {schedule.starts[place + 1]}:", f"    return {value.text}"]
            else:
                lines.append(f"return {value.text}")
        span = scheduled.sequence.span
        parameters = "peak: float, t: int" if schedule.absolute else "t: int"
        parameters += ", m: Metrics" if waits else ""
        defined = self.define("schedule", f"{span.excerpt} ({span.place})", lines, parameters)
        return Curve(defined, schedule.absolute, waits)


def _factor(text: str) -> str:
    return "" if text == "1.0" else f"{text} * " if re.fullmatch(r"[\w.]+", text) else f"({text}) * "
