"""Schedules against the rates that they move."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Diagnostic, warning
from layerlr_dsl.language.expressions import Fault
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.clock import UnknownTime
from layerlr_dsl.plan.factories import Faulty
from layerlr_dsl.plan.findings.checks import Checks
from layerlr_dsl.plan.schedules import Curve, parts_of
from layerlr_dsl.tools.numbers import plural, spelled

if TYPE_CHECKING:
    from layerlr_dsl.plan.behaviour import Behaviour
    from layerlr_dsl.plan.plan import Group, Plan
    from layerlr_dsl.plan.scheduled import Scheduled

check = Checks()


@check
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
