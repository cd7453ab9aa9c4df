"""The run cut into stretches in which nothing changes but the schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerlr_dsl.plan.behaviour import NOTHING_FIRED
from layerlr_dsl.plan.stages import NEVER, Fired

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Phase, Plan


def phases(plan: Plan) -> tuple[Phase, ...]:
    """Phases by the clock alone, then one for each metric condition, as if those before it had come true."""
    total = plan.clock.total
    starts = [0]
    states = [_signature(plan, 0, NOTHING_FIRED)]
    for tick in _boundaries(plan):
        if total is not None and tick >= total:
            break
        state = _signature(plan, tick, NOTHING_FIRED)
        if state != states[-1]:
            starts.append(tick)
            states.append(state)
    ends: list[int | None] = [*starts[1:], total]
    found = [_phase(plan, start, end, None, NOTHING_FIRED) for start, end in zip(starts, ends, strict=True)]
    last = starts[-1]
    fired: dict[int, int] = {}
    for event in plan.events:
        opens = plan.timeline.tick(event.opens, fired)
        if opens == NEVER:
            continue
        fired[event.index] = opens
        found.append(_phase(plan, max(opens, 0), total, event.text, dict(fired), at=max(last, opens)))
    return tuple(found)


def _boundaries(plan: Plan) -> list[int]:
    changes = {tick for group in plan.groups for tick in group.behaviour.changes()}
    starts = {stretch.start for stretch in plan.timeline.stretches(NOTHING_FIRED)[1:]}
    return sorted({tick for tick in changes | starts if 0 < tick < NEVER})


def _signature(plan: Plan, tick: int, fired: Fired) -> list[object]:
    states = [(s.products, s.schedule, s.frozen, s.statistics, s.held) for s in plan.state(tick, fired)]
    return [plan.stage(tick, fired), *states]


def _phase(
    plan: Plan, start: int, end: int | None, when: str | None, fired: Fired, at: int | None = None
) -> Phase:
    from layerlr_dsl.plan.plan import Phase

    states = plan.state(start if at is None else at, fired)
    frozen = tuple(g.name for g, s in zip(plan.groups, states, strict=True) if s.frozen)
    trainable = sum(g.numel for g, s in zip(plan.groups, states, strict=True) if not s.frozen)
    whole = sum(g.numel for g in plan.groups)
    stage = plan.stage_name(start if at is None else at, fired)
    return Phase(start, end, when, frozen, trainable, trainable / whole if whole else 0.0, stage)
