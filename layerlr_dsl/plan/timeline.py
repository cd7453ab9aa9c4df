"""Windows on the clock: marks, the metric conditions they may wait for, and what is active when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import CheckedRules
from layerlr_dsl.language.diagnostics import Diagnostic, Findings, Related, warning
from layerlr_dsl.language.expressions import evaluate
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.plan.clock import Clock, Length, Unit, UnknownTime
from layerlr_dsl.plan.stages import NEVER, Calendar, Fired, Stage, Stretches
from layerlr_dsl.plan.stepwise import Period, Recent
from layerlr_dsl.tools.numbers import plural, spelled
from layerlr_dsl.tools.records import record

NOMINAL_EPOCHS = Fraction(100)


def moment_in_words(epoch: int) -> str:
    return f"epoch {epoch}"


def stretch_in_words(epochs: int) -> str:
    return plural(epochs, "epoch")


def whole_epochs_in_words(epochs: int) -> str:
    return "whole epochs"


_MOST_LATE = 3
"""Turns that never come are shown up to here; the message has their number."""


@record
class Mark:
    """A place in time: so many ticks, and such a share of its length, after a stage's start, or after an event.

    stage: 0 for the whole run.
    """

    ticks: Fraction
    event: int | None = None
    stage: int = 0
    share: Fraction = Fraction(0)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Marks are looked up far more often than made, and fractions are slow to hash.
        object.__setattr__(self, "_hash", hash((self.ticks, self.event, self.stage, self.share)))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[object, ...]:
        return Mark, (self.ticks, self.event, self.stage, self.share)  # hashes differ between processes

    def __bool__(self) -> bool:
        """As a duration: whether it takes any time."""
        return bool(self.ticks or self.share)


def after(mark: Mark, step: Mark, times: int, stage: int) -> Mark:
    """A mark, and `times` steps behind it."""
    share = mark.share + step.share * times if step.share else mark.share
    return Mark(mark.ticks + step.ticks * times, mark.event, stage, share)


START = Mark(Fraction(0))
AT_ONCE = START
"""A duration that takes no time."""


@record
class Event:
    """A metric condition: it comes true at the `patience`-th report in a row without an improvement.

    Reports are counted from `opens` on. An improvement is a change of more than `delta` in `direction`.
    """

    index: int
    metric: str
    direction: str
    patience: int
    delta: float
    opens: Mark
    text: str
    span: Span = field(compare=False)


@record
class Interval:
    """A half-open window between two marks, inside a stage (0: the run); `closes` None stays open."""

    opens: Mark
    closes: Mark | None
    stage: int = 0
    always: bool = field(init=False, repr=False, compare=False)
    """Whether it is open at every time of the run."""
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        always = self.stage == 0 and self.closes is None and self.opens == START
        object.__setattr__(self, "always", always)
        object.__setattr__(self, "_hash", hash((self.opens, self.closes, self.stage)))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[object, ...]:
        return Interval, (self.opens, self.closes, self.stage)  # hashes differ between processes

    @property
    def conditional(self) -> bool:
        """Whether a metric condition opens or closes it."""
        return self.opens.event is not None or (self.closes is not None and self.closes.event is not None)


ALWAYS = Interval(START, None)


def rounded_up(clock: Clock, ticks: Fraction, span: Span, words: Callable[[int], str]) -> Diagnostic:
    """LR310 for what a clock of whole epochs cannot place exactly."""
    whole = words(ceil(ticks))
    return warning(
        "LR310",
        f"`{span.text}` is rounded up to {whole}: the steps of an epoch are not known",
        span,
        "give steps_per_epoch (on the command line --steps-per-epoch)",
    )


@dataclass
class Timeline:
    """Turns the times of a file into marks on one clock, collecting events and findings."""

    rules: CheckedRules
    clock: Clock
    nominal: bool = False
    """The length of the run was made up, so nothing may be said that rests on it."""
    events: list[Event] = field(default_factory=list)
    found: Findings = field(default_factory=Findings)
    late: list[Diagnostic] = field(default_factory=list)
    """Of what lies beyond the run."""
    calendar: Calendar = field(init=False)
    _rounded: set[tuple[Source, int]] = field(default_factory=set)
    _nominal: Stretches | None = None
    """The run and its stages where no condition has come true."""
    _stretches: Recent[Stretches] = field(default_factory=Recent)
    _periods: dict[Interval, Period] = field(default_factory=dict)
    """When each window is open, where no condition has come true."""
    _supposed: Recent[dict[Interval, Period]] = field(default_factory=Recent)
    """The same where some have."""

    def __post_init__(self) -> None:
        self.calendar = Calendar(self.clock)
        for statement in self.rules.stages:
            self._add_stage(statement)

    def _add_stage(self, statement: s.StageStatement) -> None:
        number = len(self.calendar.stages) + 1
        length = None
        if statement.length is not None:
            length = self.length(statement.length)
            try:
                self.clock.exact(length)
            except UnknownTime as unknown:
                self._unknown(unknown, statement.length.span)
                length = (
                    Length(Fraction(1), "epochs") if self.clock.knows_epochs else Length(Fraction(1), "steps")
                )
        if statement.until is not None and length is None and self.clock.length is None:
            message = f"stage {statement.name} lasts to the end of the run at most, whose length is not known"
            help = f"give epochs, or write `stage {statement.name} for 20 epochs until ...`"
            self.found.error("LR311", message, statement.until.span, help)
        until = (
            None if statement.until is None else self._event(statement.until, Mark(Fraction(0), None, number))
        )
        stage = Stage(statement.name, length, until, statement.fresh, statement.span)
        self.calendar = Calendar(self.clock, (*self.calendar.stages, stage))

    def stretches(self, fired: Fired) -> Stretches:
        """The run and its stages, given the conditions that have come true."""
        if fired:
            return self._stretches.of(frozenset(fired.items()), lambda: self.calendar.stretches(fired))
        if self._nominal is None or len(self._nominal) != len(self.calendar.stages) + 1:
            self._nominal = self.calendar.stretches(fired)
        return self._nominal

    def clock_of(self, stage: int) -> Clock:
        """The clock that a statement under a stage counts by, as far as it is known beforehand."""
        return self.stretches({})[stage].clock

    def window(self, written: s.Window | None, stage: int = 0) -> Interval:
        start = START if not stage else Mark(Fraction(0), None, stage)
        if written is None:
            return ALWAYS if not stage else Interval(start, None, stage)
        part = self.found.part()
        opens = start if written.opens is None else self.mark(written.opens, start, stage)
        closes = None if written.closes is None else self.mark(written.closes, opens, stage)
        if not part.errors:  # a mark that could not be placed says nothing of the window
            self._check_window(written, opens, closes, stage)
        return Interval(opens, closes, stage)

    def mark(self, time: s.Time, opens: Mark, stage: int = 0) -> Mark:
        """A mark; a condition counts its reports from `opens`."""
        if isinstance(time, s.Condition):
            return Mark(Fraction(0), self._event(time, opens), stage)
        value = self.number(time.value)
        unit: Unit = {"epoch": "epochs", "step": "steps", "percent": "percent"}[time.unit]  # type: ignore[assignment]
        return self._mark(Length(value, unit), time.span, moment_in_words, stage)

    def _mark(self, length: Length, span: Span, words: Callable[[int], str], stage: int) -> Mark:
        ticks = self._ticks(length, span, words, stage)
        if stage and length.unit == "percent":  # a stage's length may hang on when it begins
            return Mark(Fraction(0), None, stage, length.value / 100)
        return Mark(ticks, None, stage)

    def step(self, duration: s.Duration, stage: int = 0) -> Mark:
        """How far apart the turns of a sequence are, as a mark that far behind the start."""
        return self._mark(self.length(duration), duration.span, whole_epochs_in_words, stage)

    def length(self, duration: s.Duration) -> Length:
        return Length(self.number(duration.value), duration.unit)

    def lasting(self, duration: s.Duration, stage: int = 0) -> Mark:
        """A duration as a mark that far behind the start; no time where it cannot be placed (a finding says so)."""
        return self._mark(self.length(duration), duration.span, stretch_in_words, stage)

    def ticks(self, lasting: Mark, fired: Fired) -> int:
        """How many ticks a duration has, rounded up."""
        if not lasting.share:
            return ceil(lasting.ticks)
        return ceil(lasting.ticks + lasting.share * (self.stretches(fired)[lasting.stage].clock.length or 0))

    def number(self, expression: s.Expression) -> Fraction:
        return Fraction(evaluate(expression, self.rules.exact_scope))

    def exact(self, mark: Mark, fired: Fired) -> Fraction | None:
        """The place of a mark in ticks; None while it waits for an event."""
        if mark.event is not None:
            at = fired.get(mark.event)
            return None if at is None else at + mark.ticks
        if not mark.stage:
            return mark.ticks
        stretch = self.stretches(fired)[mark.stage]
        if stretch.start == NEVER:
            return None
        return stretch.start + mark.ticks + mark.share * (stretch.clock.length or 0)

    def tick(self, mark: Mark, fired: Fired) -> int:
        """The first tick at or after a mark; NEVER while it waits for an event."""
        if mark.event is None and not mark.stage:
            return -(-mark.ticks.numerator // mark.ticks.denominator)
        exact = self.exact(mark, fired)
        return NEVER if exact is None else ceil(exact)

    def active(self, window: Interval, tick: int, fired: Fired) -> bool:
        """Whether a window is open at a tick."""
        opens, closes = self.period(window, fired)
        return opens <= tick < closes

    def period(self, window: Interval, fired: Fired) -> Period:
        """The ticks at which a window opens and closes, within its stage; NEVER where nobody knows."""
        known = self._periods if not fired else self._supposed.of(frozenset(fired.items()), dict)
        found = known.get(window)
        if found is None:
            found = known[window] = self._period(window, fired)
        return found

    def waits(self, window: Interval) -> bool:
        """Whether a metric condition decides when a window is open."""
        in_stage = window.stage and any(stage.until is not None for stage in self.calendar.stages)
        return bool(window.conditional or in_stage)

    def _period(self, window: Interval, fired: Fired) -> Period:
        opens = self.tick(window.opens, fired)
        closes = NEVER if window.closes is None else self.tick(window.closes, fired)
        if not window.stage:
            return opens, closes
        stretches = self.stretches(fired)
        later = stretches[window.stage + 1].start if window.stage + 1 < len(stretches) else NEVER
        return max(opens, stretches[window.stage].start), min(closes, later)

    # ------------------------------------------------------------ findings

    def _ticks(self, length: Length, span: Span, words: Callable[[int], str], stage: int) -> Fraction:
        clock = self.clock_of(stage)
        try:
            ticks = clock.exact(length)
        except UnknownTime as unknown:
            self._unknown(unknown, span)
            return Fraction(0)
        if not (self.nominal and length.unit == "percent"):
            self._round_up(clock, ticks, span, words)
        return ticks

    def _round_up(self, clock: Clock, ticks: Fraction, span: Span, words: Callable[[int], str]) -> None:
        """Note, once a place, what a clock of whole epochs cannot place exactly."""
        place = (span.source, span.start)
        if not clock.counts_steps and ticks.denominator != 1 and place not in self._rounded:
            self._rounded.add(place)
            self.found.add(rounded_up(clock, ticks, span, words))

    def _unknown(self, unknown: UnknownTime, span: Span) -> None:
        if unknown.missing == "steps_per_epoch":
            code, help = "LR309", "give steps_per_epoch (on the command line --steps-per-epoch)"
            message = f"`{span.text}` needs the number of steps in an epoch"
        else:
            code, help = "LR311", "give epochs, or write `epochs 30` in the file"
            message = f"`{span.text}` is relative to the length of the run, which is not known"
        self.found.error(code, message, span, help)

    def _event(self, condition: s.Condition, opens: Mark) -> int:
        patience = int(self.number(condition.patience))
        delta = 0.0 if condition.delta is None else float(self.number(condition.delta))
        metric = condition.metric
        plural = "epoch" if patience == 1 else "epochs"
        by = f" by {spelled(delta)}" if delta else ""
        text = f"{metric} stops {condition.direction} for {patience} {plural}{by}"
        new = Event(
            len(self.events), metric, condition.direction, patience, delta, opens, text, condition.span
        )
        for old in self.events:
            same = (old.metric, old.direction, old.patience, old.delta, old.opens)
            if same == (new.metric, new.direction, new.patience, new.delta, new.opens):
                return old.index
        self.events.append(new)
        return new.index

    def _check_window(self, written: s.Window, opens: Mark, closes: Mark | None, stage: int) -> None:
        first, last = self._since_start(opens), None if closes is None else self._since_start(closes)
        if first is not None and last is not None:
            assert written.closes is not None
            if last < first:
                text = f"`{written.closes.span.text}` lies before `{written.opens.span.text if written.opens else 0}`"
                message = f"the window ends before it opens: {text}"
                self.found.error("LR303", message, written.span, "swap them")
                return
            why = self._holds_nothing(first, last)
            if why is not None:
                message = f"the window never opens: {why}"
                help = "widen the window or remove the statement"
                self.found.warning("LR302", message, written.span, help)
                return
        self.check_end(written.opens, first, written.closes, last, stage)

    def _holds_nothing(self, first: Fraction, last: Fraction) -> str | None:
        if first == last:
            return "it ends where it starts"
        if not self.nominal and ceil(first) == ceil(last):
            return f"it holds no {'step' if self.clock.counts_steps else 'whole epoch'}"
        return None

    def check_end(
        self,
        opens_time: s.Time | None,
        opens: Fraction | None,
        closes_time: s.Time | None,
        closes: Fraction | None,
        stage: int = 0,
    ) -> None:
        """Warn of a window that opens after the run, or its stage, or ends after it."""
        clock = self.clock_of(stage)
        total = clock.length
        if self.nominal or total is None:
            return
        what = f"stage {self.calendar.stages[stage - 1].name}" if stage else "the run"
        end = clock.words(total)
        if opens_time is not None and opens is not None and opens >= total:
            message = f"`{opens_time.span.text}` is never reached: {what} ends at {end}"
            help = f"move it into {'the stage' if stage else 'the run'}, or give more {self._unit}"
            self.late.append(warning("LR302", message, opens_time.span, help))
        elif closes_time is not None and closes is not None and closes > total:
            lasts = (
                plural(total / clock.ticks_per_epoch, "epoch")
                if clock.knows_epochs
                else plural(ceil(total), "step")
            )
            message = f"`{closes_time.span.text}` lies after the end of {what}, which has {lasts}"
            help = f"the window stays open to the end; shorten it, or give more {self._unit}"
            self.late.append(warning("LR304", message, closes_time.span, help))

    @property
    def _unit(self) -> str:
        return "epochs" if self.clock.knows_epochs else "steps"

    def all_found(self) -> Iterator[Diagnostic]:
        """Every finding; what lies beyond the run has one cause, and is one finding of each kind."""
        yield from self.found
        alike: dict[tuple[str, str | None], list[Diagnostic]] = {}
        for one in self.late:
            alike.setdefault((one.code, one.help), []).append(one)
        for first, *others in alike.values():
            more = f"; {plural(len(others), 'other place')} likewise" if others else ""
            related = tuple(Related("likewise", one.span) for one in others if one.span is not None)
            yield replace(first, message=first.message + more, related=related[:_MOST_LATE])

    def never_thaw(self, turns: Iterable[tuple[str, Span, Mark]], stage: int = 0) -> Iterator[Diagnostic]:
        """A warning of the turns of `unfreeze A then B` that lie after the run, or its stage.

        turns: what thaws, where that is written, and when.
        """
        clock = self.clock_of(stage)
        total = clock.length
        if self.nominal or total is None:
            return
        placed = ((name, span, self._since_start(mark)) for name, span, mark in turns)
        late = [(name, span, at) for name, span, at in placed if at is not None and at >= total]
        if not late:
            return
        (name, first, at), *others = late
        what = f"stage {self.calendar.stages[stage - 1].name}" if stage else "the run"
        more = f", nor do the {len(others)} behind it" if len(others) > 1 else ", nor does the one behind it"
        message = (
            f"`{name}` never thaws: its turn is {clock.words(at)}, and {what} ends at {clock.words(total)}"
        )
        related = tuple(Related(f"its turn is {clock.words(when)}", span) for _, span, when in others)
        help = f"shorten `every`, or give more {self._unit}"
        yield warning("LR302", message + (more if others else ""), first, help, related[:_MOST_LATE])

    def _since_start(self, mark: Mark) -> Fraction | None:
        """How far a mark lies behind the start of its stage, as long as that can be; None where it waits."""
        if mark.event is not None:
            return None
        return mark.ticks + mark.share * (self.clock_of(mark.stage).length or 0)

    def check_stages(self) -> None:
        """Stages against the length of the run: too long, or with time left over."""
        if not self.calendar.stages or self.nominal or self.clock.length is None:
            return
        stretches = self.stretches({})
        self._check_lengths(stretches)
        for stage, stretch in zip(self.calendar.stages, stretches[1:], strict=True):
            length = None if stage.length is None else self.clock.exact(stage.length)
            if length is not None and stretch.start != NEVER and stretch.start + length > self.clock.length:
                message = (
                    f"stage {stage.name} ends at {self.clock.words(stretch.start + length)}, after the run"
                )
                help = f"the run ends at {self.clock.words(self.clock.length)}: shorten a stage, or lengthen the run"
                self.found.error("LR313", message, stage.span, help)
                return
        over = self.calendar.over(stretches)
        if over is not None:
            left = f"the run goes on to {self.clock.words(self.clock.length)}"
            message = f"the last stage ends at {self.clock.words(over)}, and {left}"
            help = "leave out its `for`, and it lasts to the end; as it is, its last state holds"
            self.found.warning("LR314", message, self.calendar.stages[-1].span, help)

    def _check_lengths(self, stretches: Stretches) -> None:
        """Stages that hold no tick, and ends that only whole epochs can have."""
        for number, (stage, stretch) in enumerate(zip(self.calendar.stages, stretches[1:], strict=True)):
            before = stretches[number]
            if number and stretch.start == NEVER and before.end is not None:
                message = f"stage {stage.name} never begins: the run ends at {self.clock.words(before.end)}"
                help = f"shorten the stages before it, or give more {self._unit}"
                self.late.append(warning("LR302", message, stage.span, help))
            elif stretch.start < NEVER and stretch.end == stretch.start:
                what = "step" if self.clock.counts_steps else "whole epoch"
                message = f"stage {stage.name} holds no {what}, so nothing under it ever does anything"
                self.found.warning("LR302", message, stage.span, "give it more time, or remove it")
            length = self.rules.stages[number].length
            ends = None if stage.length is None else stretch.start + self.clock.exact(stage.length)
            if length is not None and ends is not None and stretch.start < NEVER:
                self._round_up(self.clock, ends, length.span, moment_in_words)
