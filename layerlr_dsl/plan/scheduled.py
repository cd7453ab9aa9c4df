"""Schedules at their place in a run: made for the clock of the stage that they stand under."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from fractions import Fraction
from math import ceil

from layerlr_dsl.catalogue.schedules import names
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Findings, error
from layerlr_dsl.language.expressions import Fault, Scope, Value
from layerlr_dsl.language.lets import Lets
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.clock import Clock, UnknownTime
from layerlr_dsl.plan.factories import Faulty, TimeArguments, curve
from layerlr_dsl.plan.moving import Course, Moving, fold
from layerlr_dsl.plan.ranges import corners
from layerlr_dsl.plan.schedules import Plateau, Schedule, Sequence, parts_of
from layerlr_dsl.plan.stages import Stretch, Stretches
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.records import record


@record
class NamedFactor:
    """`schedule NAME`, where NAME is a `let` that moves: what it gives is the factor."""

    name: str = field(compare=False)
    span: Span = field(compare=False, repr=False)
    key: str
    course: Course = field(compare=False, repr=False)
    scale: float
    stays: Callable[[int], Iterable[Value] | None] = field(compare=False, repr=False)
    """Values between which it stays up to a tick, before the scale; None where nobody can be sure."""
    absolute: bool = False

    def factor(self, tick: int) -> float:
        """Raises Fault for what is no factor."""
        factor = self.course(tick) * self.scale
        if factor < 0 or isinstance(factor, bool):
            message = (
                f"a factor is a number of 0 or more, and the schedule `{self.name}` is {spelled(factor)}"
            )
            raise Fault("LR107", message, self.span, "bound it with max(0, ...)")
        return float(factor)

    def surely_until(self, tick: int) -> bool:
        """Whether it is known to be a factor up to a tick without looking at each."""
        found = self.stays(tick)
        return found is not None and all(isinstance(x, float | int) and x * self.scale >= 0 for x in found)

    def rate(self, peak: float, tick: int) -> float:
        return peak * self.factor(tick)

    def text(self) -> str:
        return self.name


@record
class Scheduled:
    """A schedule on the clock of a stage (0: the run's)."""

    stage: int
    nominal: Schedule
    """On the clock that the stage has where no metric condition has come true."""
    clock: Clock = field(compare=False)
    sequence: s.ScheduleSequence = field(compare=False, repr=False)
    lets: Lets = field(compare=False, repr=False)
    _made: dict[Clock, Schedule] = field(compare=False, repr=False, default_factory=dict)

    def on(self, stretch: Stretch) -> Schedule:
        """The schedule on the clock that its stage really has."""
        if stretch.clock == self.clock:
            return self.nominal
        made = self._made.get(stretch.clock)
        if made is None:
            made = self._made[stretch.clock] = sequence(self.sequence, self.lets, stretch.clock, cut=True)
        return made

    def rate(self, peak: float, tick: int, stretches: Stretches) -> float:
        """What is left of a rate at a tick of the run."""
        stretch = stretches[self.stage]
        return self.on(stretch).rate(peak, tick - stretch.start)

    def text(self) -> str:
        return self.nominal.text()

    @property
    def name(self) -> str:
        return self.nominal.name

    def plateaus(self) -> Iterator[tuple[int, Plateau]]:
        """The parts that wait for a metric, each with its place."""
        return ((n, part) for n, part in enumerate(parts_of(self.nominal)) if isinstance(part, Plateau))

    def running(self, tick: int, stretches: Stretches) -> int:
        """The place of the part that runs at a tick of the run."""
        stretch = stretches[self.stage]
        schedule = self.on(stretch)
        return schedule.place(tick - stretch.start) if isinstance(schedule, Sequence) else 0

    def __reduce__(self) -> tuple[object, ...]:
        return placed, (self.sequence, self.lets, self.stage, self.clock)


def placed(written: s.ScheduleSequence, lets: Lets, stage: int, clock: Clock) -> Scheduled:
    """A schedule as it is written, on the clock of a stage. Raises Faulty."""
    return Scheduled(stage, sequence(written, lets, clock), clock, written, lets)


def sequence(written: s.ScheduleSequence, lets: Lets, clock: Clock, *, cut: bool = False) -> Schedule:
    """`A for D then B`: each part runs over its own stretch as if that were the run. Raises Faulty.

    cut: parts that the clock has no time left for never come, as in a stage that began late; else they are
    an error.
    """
    if len(written.parts) == 1 and written.parts[0].length is None:
        return _part(written.parts[0].factory, lets, clock)
    from layerlr_dsl.language.printing import text_of

    starts: list[int] = []
    parts: list[Schedule] = []
    at = Fraction(0)
    ticks: int | None
    for part in written.parts:
        start = ceil(at)
        if part.length is not None:
            at += _exact(part.length, lets, clock)
            ticks = ceil(at) - start
        else:
            ticks = None if clock.total is None else clock.total - start
        if ticks is not None and ticks <= 0:
            if cut and parts:
                break
            message = f"nothing of the run is left for `{part.factory.name}`"
            raise Faulty([error("LR120", message, part.span, "shorten the parts before it")])
        starts.append(start)
        parts.append(_part(part.factory, lets, clock.part(ticks)))
    lengths = tuple("" if part.length is None else text_of(part.length) for part in written.parts)
    return Sequence(tuple(starts), tuple(parts), lengths)


def _exact(length: s.Duration, lets: Lets, clock: Clock) -> Fraction:
    try:
        return clock.exact(TimeArguments(lets).length(length))
    except UnknownTime as unknown:
        missing = "the length of the run" if unknown.missing == "epochs" else "the steps of an epoch"
        code = "LR311" if unknown.missing == "epochs" else "LR309"
        message = f"`{length.span.text}` needs {missing}, which is not known"
        raise Faulty([error(code, message, length.span, f"give {unknown.missing}")]) from None


def _part(factory: s.Factory, lets: Lets, clock: Clock) -> Schedule:
    if factory.name in names() or factory.name not in lets:
        return curve(factory, lets, clock)
    return _named(factory, lets, clock)


def _named(factory: s.Factory, lets: Lets, clock: Clock) -> NamedFactor:
    found = Findings()
    if factory.name in lets.shaky:
        raise Faulty(found)
    if factory.arguments:
        message = f"`{factory.name}` is a `let` and takes no arguments"
        found.error("LR120", message, factory.span, f"write `schedule {factory.name}`")
    if factory.name not in lets.moving and not lets.replaced(factory.name):
        message = f"the `let` `{factory.name}` does not move, and a schedule does"
        found.error("LR107", message, factory.name_span, "write `schedule constant`, and multiply the rates")
    if factory.name in lets.of_model:
        message = f"`{factory.name}` is worked out against the model, and a schedule is not"
        found.error("LR131", message, factory.name_span, "write the number in the place of the count")
    if found:
        raise Faulty(found)
    try:
        if factory.name not in lets.moving:  # a number given from outside is a constant factor
            worth = float(lets.worth(factory.name, False))
            name, span = factory.name, factory.name_span
            return NamedFactor(name, span, str(worth), lambda tick: 1.0, worth, lambda tick: (1.0,))
        moving = fold(s.Name(factory.name_span, factory.name), Scope(lets), lets, 0)
        run = (Stretch(0, clock.total, clock),)
        return NamedFactor(
            factory.name,
            factory.name_span,
            moving.text,
            moving.course(run),
            _factor(moving, factory),
            lambda tick: corners((moving,), run, 0, tick),
        )
    except Fault as fault:
        raise Faulty([fault.finding()]) from None
    except UnknownTime as unknown:
        missing = "the length of the run" if unknown.missing == "epochs" else "the steps of an epoch"
        code = "LR311" if unknown.missing == "epochs" else "LR309"
        message = f"`{factory.name}` needs {missing}, which is not known"
        raise Faulty([error(code, message, factory.span, f"give {unknown.missing}")]) from None


def _factor(moving: Moving, factory: s.Factory) -> float:
    if moving.scale is None:
        raise Fault("LR107", f"`{factory.name}` is a tuple, and a schedule is a factor", factory.name_span)
    return moving.scale
