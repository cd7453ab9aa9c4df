"""What a value comes to: by what its selector captures, and over time where it moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerlr_dsl.language.expressions import Fault, Scope, Value
from layerlr_dsl.language.patterns import Bindings
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.clock import UnknownTime
from layerlr_dsl.plan.course import Effect
from layerlr_dsl.plan.moving import Moving, fold
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plan.stages import Stretch
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.records import record

MOST_ROWS = 16
_SHARES = {"start": 0.0, "25%": 0.25, "50%": 0.5, "75%": 0.75, "end": 1.0}


@record
class ValueTable:
    """The value written at `span`: a heading, and a row for each case it distinguishes."""

    span: Span
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(plan: Plan) -> Iterator[ValueTable]:
    """Of every `let` that moves, and of every value of a rule that is not the same everywhere and always."""
    yield from _of_lets(plan)
    yield from _of_rules(plan)


def _of_lets(plan: Plan) -> Iterator[ValueTable]:
    """Over the whole run; what a `let` makes of captures and parameters is said where a rule names it."""
    lets = plan.rules.lets
    for name in sorted(lets.moving):
        try:
            values = tuple(_over_time(plan, fold(lets[name], Scope(lets), lets, stage=0)))
        except (Fault, UnknownTime):
            continue
        yield ValueTable(lets[name].span, tuple(_SHARES), (values,))


def _of_rules(plan: Plan) -> Iterator[ValueTable]:
    """In the order of the file."""
    by_setting: dict[int, dict[tuple[Any, ...], Effect]] = {}
    for cascade in plan.cascades:
        for effect in cascade.effects:
            if effect.setting.constant is None and effect.setting.expression is not None:
                cases = by_setting.setdefault(effect.setting.number, {})
                cases.setdefault((_key(effect.bindings), repr(effect.value)), effect)
    for _, cases in sorted(by_setting.items()):
        made = _table(plan, [effect for _, effect in sorted(cases.items(), key=lambda case: case[0])])
        if made is not None:
            yield made


def _key(bindings: Bindings) -> tuple[Any, ...]:
    return tuple(sorted(dict(bindings).items()))


def _table(plan: Plan, effects: list[Effect]) -> ValueTable | None:
    expression = effects[0].setting.expression
    assert expression is not None
    names = sorted(dict(effects[0].bindings))
    moving = any(isinstance(effect.value, Moving) for effect in effects)
    if not moving and not names:
        return None
    try:
        rows = [_row(plan, names, effect, moving) for effect in effects[:MOST_ROWS]]
    except (Fault, UnknownTime):
        return None
    if len(effects) > MOST_ROWS:
        rows.append(("...",) * len(rows[0]))
    return ValueTable(
        expression.span, (*names, *(_SHARES if moving else ("value",))), tuple(dict.fromkeys(rows))
    )


def _row(plan: Plan, names: list[str], effect: Effect, moving: bool) -> tuple[str, ...]:
    bound = dict(effect.bindings)
    values = _over_time(plan, effect.value) if moving else [spelled(effect.value, 4)]
    return (*(str(bound[name]) for name in names), *values)


def _over_time(plan: Plan, value: Value | Moving) -> Iterator[str]:
    stretches = plan.timeline.stretches({})
    for share in _SHARES.values():
        at = value
        if isinstance(at, Moving):
            at = at.at(_tick(stretches[at.stage], share), stretches)
        yield spelled(at, 4)


def _tick(stretch: Stretch, share: float) -> int:
    """A share of the way through a stage. Raises UnknownTime where its length is not known."""
    if stretch.end is None:
        raise UnknownTime("epochs")
    return stretch.start + int((stretch.end - stretch.start) * share)
