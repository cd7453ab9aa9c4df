"""Schedules against the clock: lengths that whole epochs round up, warm-ups that the run does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import CheckedRules
from layerlr_dsl.language.diagnostics import Diagnostic, warning
from layerlr_dsl.language.expressions import Fault
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.clock import Clock, Length, UnknownTime
from layerlr_dsl.plan.factories import Faulty, TimeArguments
from layerlr_dsl.plan.schedules import ArgumentInfo, Curve, arguments_of, parts_of
from layerlr_dsl.plan.timeline import moment_in_words, rounded_up, stretch_in_words
from layerlr_dsl.tools.numbers import plural, spelled

if TYPE_CHECKING:
    from layerlr_dsl.plan.behaviour import Behaviour
    from layerlr_dsl.plan.plan import Group, Plan
    from layerlr_dsl.plan.scheduled import Scheduled


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


def below_least(plan: Plan) -> Iterator[Diagnostic]:
    """LR320: rates that a decay to `min_lr` cannot lower."""
    found: dict[Span, dict[str, float]] = {}
    for group in plan.groups:
        for tick in (0, *group.behaviour.changes()) if _has_least(group) else ():
            rate, scheduled = _rate(group.behaviour, tick), group.behaviour.schedule_at(tick)
            for argument, least in _least_rates(scheduled):
                if 0 < rate <= least:
                    found.setdefault(argument.span, {}).setdefault(group.name, rate)
    for span, groups in found.items():
        (name, rate), *others = groups.items()
        more = f" and of {plural(len(others), 'more group')}" if others else ""
        message = (
            f"`{span.excerpt}` does not lie below the rate of {name} ({spelled(rate)}){more}: it never falls"
        )
        help = "lower min_lr, or write floor=, a share of each group's own rate"
        yield warning("LR320", message, span, help)


def _has_least(group: Group) -> bool:
    schedules = group.behaviour.courses[group.behaviour.scheduled or ""].schedules
    return group.kind == "trains" and any(list(_least_rates(one.schedule)) for one in schedules)


def _least_rates(scheduled: Scheduled | None) -> Iterator[tuple[s.Argument, float]]:
    """Each `min_lr` of a schedule as it is written, and what it is worth."""
    if scheduled is None:
        return
    for part, made in zip(scheduled.sequence.parts, parts_of(scheduled.nominal), strict=True):
        if isinstance(made, Curve) and made.min_lr is not None:
            least = made.min_lr
            yield from ((argument, least) for argument in part.factory.arguments if argument.name == "min_lr")


def _rate(behaviour: Behaviour, tick: int) -> float:
    """What the rules give at a tick; 0 for what moves and has no value there, which its own finding says."""
    try:
        rate = behaviour.options(tick)[behaviour.scheduled or ""]
    except (Fault, Faulty, UnknownTime):
        return 0.0
    return float(rate) if isinstance(rate, (int, float)) else 0.0


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
