"""The stretches of time that schedules are given, on the clock: what whole epochs round up, what the run does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from layerlr_dsl.catalogue.schedules import ArgumentInfo, arguments_of
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import CheckedRules
from layerlr_dsl.language.diagnostics import Diagnostic, warning
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.clock import Clock, Length
from layerlr_dsl.plan.factories import TimeArguments
from layerlr_dsl.plan.timeline import moment_in_words, rounded_up, stretch_in_words


def schedule_lengths(
    written: s.ScheduleSequence, rules: CheckedRules, clock: Clock, *, nominal: bool, lenient: bool
) -> Iterator[Diagnostic]:
    """Findings on the stretches of time that a schedule, which could be made, is given.

    `nominal` says that the length of the run was made up; `lenient` that nobody steps by this clock yet: a
    share of the run, which any run that counts its steps takes exactly, is then left unchecked.
    """
    alone = len(written.parts) == 1
    for part in written.parts:
        infos = arguments_of(part.factory.name) or {}
        for argument in part.factory.arguments:
            info = infos[argument.name]
            if info.kind in ("length", "lengths"):
                for length, span in _lengths(argument, info, rules):
                    if not info.exact and not (lenient and length.unit == "percent"):
                        words = moment_in_words if info.kind == "lengths" else stretch_in_words
                        yield from _rounded(length, span, words, clock)
                    known = clock.length is not None and (not nominal or length.unit == "percent")
                    if argument.name == "warmup" and known and alone:
                        yield from _too_long(length, span, clock)


def _rounded(length: Length, span: Span, words: Callable[[int], str], clock: Clock) -> Iterator[Diagnostic]:
    ticks = clock.exact(length)
    if not clock.counts_steps and ticks.denominator != 1:
        yield rounded_up(clock, ticks, span, words)


def _too_long(length: Length, span: Span, clock: Clock) -> Iterator[Diagnostic]:
    if clock.exact(length) >= (clock.length or 0):
        message = f"`{span.text}` takes up the whole run: no group ever reaches its own rate"
        yield warning("LR304", message, span, "shorten the warm-up, or give more epochs")


def _lengths(argument: s.Argument, info: ArgumentInfo, rules: CheckedRules) -> Iterator[tuple[Length, Span]]:
    value = TimeArguments(rules.lets).value(argument, info)
    if isinstance(value, Length):
        yield value, argument.span
    elif isinstance(value, tuple):
        written = argument.value if isinstance(argument.value, tuple) else argument.value.items  # type: ignore[union-attr]
        yield from zip(value, (one.span for one in written), strict=True)
