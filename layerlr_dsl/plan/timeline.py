"""Windows on the clock: marks, the metric conditions they may wait for, and what is active when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import CheckedRules
from layerlr_dsl.language.diagnostics import Diagnostic, error, has_errors, warning
from layerlr_dsl.language.expressions import evaluate, show
from layerlr_dsl.language.numbers import plural
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.clock import Clock, Length, UnknownTime

NEVER = 2**62
"""A tick that no run reaches: the end of a window that stays open."""
NOMINAL_EPOCHS = Fraction(100)


def moment_in_words(epoch: int) -> str:
    return f"epoch {epoch}"


def stretch_in_words(epochs: int) -> str:
    return plural(epochs, "epoch")


def whole_epochs_in_words(epochs: int) -> str:
    return "whole epochs"


Fired = Mapping[int, int]
"""Metric conditions that have come true: number of the event -> tick."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in time: so many epochs after the start of the run, or after an event."""

    epochs: Fraction
    event: int | None = None


START = Mark(Fraction(0))


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Interval:
    """A half-open window between two marks; `closes` None stays open."""

    opens: Mark
    closes: Mark | None
    always: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "always", self.closes is None and self.opens == START)


ALWAYS = Interval(START, None)


def rounded_up(clock: Clock, epochs: Fraction, span: Span, words: Callable[[int], str]) -> Diagnostic:
    """LR310 for what a clock of whole epochs cannot place exactly."""
    whole = words(clock.tick_of_epoch(epochs))
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
    found: list[Diagnostic] = field(default_factory=list)
    _rounded: set[tuple[int, int]] = field(default_factory=set)

    def window(self, written: s.Window | None) -> Interval:
        if written is None:
            return ALWAYS
        before = len(self.found)
        opens = START if written.opens is None else self.mark(written.opens, START)
        closes = None if written.closes is None else self.mark(written.closes, opens)
        if not has_errors(self.found[before:]):  # a mark that could not be placed says nothing of the window
            self._check_window(written, opens, closes)
        return Interval(opens, closes)

    def mark(self, time: s.Time, opens: Mark) -> Mark:
        """A mark; a condition counts its reports from `opens`."""
        if isinstance(time, s.Condition):
            return Mark(Fraction(0), self._event(time, opens))
        value = self.number(time.value)
        unit = {"epoch": "epochs", "step": "steps", "percent": "percent"}[time.unit]
        return Mark(self._epochs(Length(value, unit), time.span, moment_in_words))  # type: ignore[arg-type]

    def after(self, mark: Mark, duration: s.Duration, times: int) -> Mark:
        """`times` durations after a mark."""
        epochs = self._epochs(self.length(duration), duration.span, whole_epochs_in_words)
        return Mark(mark.epochs + epochs * times, mark.event)

    def length(self, duration: s.Duration) -> Length:
        return Length(self.number(duration.value), duration.unit)

    def ticks(self, duration: s.Duration) -> int:
        """A duration in ticks, rounded up; 0 where it cannot be placed (a finding says so)."""
        epochs = self._epochs(self.length(duration), duration.span, stretch_in_words)
        return self.clock.tick_of_epoch(epochs)

    def number(self, expression: s.Expression) -> Fraction:
        return Fraction(evaluate(expression, self.rules.exact_scope))

    def tick(self, mark: Mark, fired: Fired) -> int:
        """The first tick at or after a mark; NEVER while it waits for an event."""
        if mark.event is None:
            return self.clock.tick_of_epoch(mark.epochs)
        at = fired.get(mark.event)
        if at is None:
            return NEVER
        return at if not mark.epochs else self.clock.tick_of_epoch(self.clock.epoch_of(at) + mark.epochs)

    # ------------------------------------------------------------ findings

    def _epochs(self, length: Length, span: Span, words: Callable[[int], str]) -> Fraction:
        try:
            epochs = self.clock.epochs_of(length)
        except UnknownTime as unknown:
            self._unknown(unknown, span)
            return Fraction(0)
        if (
            not self.clock.counts_steps
            and epochs.denominator != 1
            and not (self.nominal and length.unit == "percent")
            and (id(span.source), span.start) not in self._rounded
        ):
            self._rounded.add((id(span.source), span.start))
            self.found.append(rounded_up(self.clock, epochs, span, words))
        return epochs

    def _unknown(self, unknown: UnknownTime, span: Span) -> None:
        if unknown.missing == "steps_per_epoch":
            code, help = "LR309", "give steps_per_epoch (on the command line --steps-per-epoch)"
            message = f"`{span.text}` needs the number of steps in an epoch"
        else:
            code, help = "LR311", "give epochs, or write `epochs 30` in the file"
            message = f"`{span.text}` is relative to the length of the run, which is not known"
        self.found.append(error(code, message, span, help))

    def _event(self, condition: s.Condition, opens: Mark) -> int:
        patience = int(self.number(condition.patience))
        delta = 0.0 if condition.delta is None else float(self.number(condition.delta))
        metric = condition.metric
        plural = "epoch" if patience == 1 else "epochs"
        by = f" by {show(delta)}" if delta else ""
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

    def _check_window(self, written: s.Window, opens: Mark, closes: Mark | None) -> None:
        if closes is not None and opens.event is None and closes.event is None:
            assert written.closes is not None
            if closes.epochs < opens.epochs:
                text = f"`{written.closes.span.text}` lies before `{written.opens.span.text if written.opens else 0}`"
                self.found.append(
                    error("LR303", f"the window ends before it opens: {text}", written.span, "swap them")
                )
                return
            if closes.epochs == opens.epochs:
                message = "the window never opens: it ends where it starts"
                self.found.append(
                    warning("LR302", message, written.span, "widen the window or remove the statement")
                )
                return
            if not self.nominal and self.tick(closes, {}) == self.tick(opens, {}):
                unit = "step" if self.clock.counts_steps else "whole epoch"
                message = f"the window never opens: it holds no {unit}"
                self.found.append(
                    warning("LR302", message, written.span, "widen the window or remove the statement")
                )
                return
        self.check_end(written.opens, opens, written.closes, closes)

    def check_end(
        self, opens_time: s.Time | None, opens: Mark, closes_time: s.Time | None, closes: Mark | None
    ) -> None:
        """Warn of a window that opens after the run or ends after it."""
        total = self.clock.epochs
        if self.nominal or total is None:
            return
        if opens_time is not None and opens.event is None and opens.epochs >= total:
            self.found.append(
                warning(
                    "LR302",
                    f"`{opens_time.span.text}` is never reached: the run ends at epoch {show(total)}",
                    opens_time.span,
                    "move it into the run, or give more epochs",
                )
            )
        elif (
            closes_time is not None and closes is not None and closes.event is None and closes.epochs > total
        ):
            self.found.append(
                warning(
                    "LR304",
                    f"`{closes_time.span.text}` lies after the end of the run, which has {plural(total, 'epoch')}",
                    closes_time.span,
                    "the window stays open to the end; shorten it, or give more epochs",
                )
            )

    def never_thaws(self, selector: s.Selector, mark: Mark) -> None:
        """Warn of a turn of `unfreeze A then B` that lies after the run."""
        total = self.clock.epochs
        if not self.nominal and total is not None and mark.event is None and mark.epochs >= total:
            self.found.append(
                warning(
                    "LR302",
                    f"`{selector.span.text}` never thaws: its turn is epoch {show(mark.epochs)}, "
                    f"and the run ends at epoch {show(total)}",
                    selector.span,
                    "shorten `every`, or give more epochs",
                )
            )
