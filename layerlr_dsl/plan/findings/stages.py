"""LR204 stage by stage: what trains in a stage by the optimizer's own rate, though rules give it one in others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerlr_dsl.language.diagnostics import Diagnostic, warning
from layerlr_dsl.plan.behaviour import Behaviour
from layerlr_dsl.plan.findings.checks import Checks
from layerlr_dsl.plan.findings.overriding import top_modules
from layerlr_dsl.plan.stages import NEVER, Fired
from layerlr_dsl.tools.numbers import spelled

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan

check = Checks()


@check
def without_lr_in_stages(plan: Plan) -> Iterator[Diagnostic]:
    """LR204 for each stage that leaves some parameters to the optimizer's own rate."""
    doubtful = {
        number
        for number, behaviour in enumerate(plan.behaviours)
        if (effects := behaviour.courses[behaviour.scheduled or ""].effects)
        and all(effect.window.stage for effect in effects)
    }
    for stage, fired in _begun(plan) if doubtful else ():
        bare = {number for number in doubtful if _is_bare(plan.behaviours[number], stage, fired)}
        names = [
            name
            for name, kind in zip(plan.inventory.names, plan.matches.class_of, strict=False)
            if plan.behaviour_of_class[kind] in bare
        ]
        if names:
            behaviour = plan.behaviours[min(bare)]
            default = spelled(behaviour.courses[behaviour.scheduled or ""].base)
            written = plan.timeline.calendar.stages[stage - 1]
            have = "parameter has" if len(names) == 1 else "parameters have"
            message = (
                f"in stage {written.name} {len(names)} {have} no lr and train with the optimizer's own "
                f"({default}): {top_modules(names)}"
            )
            help = "give them one in this stage, or above the first, or freeze them"
            yield warning("LR204", message, written.span, help)


def _begun(plan: Plan) -> Iterator[tuple[int, Fired]]:
    """Each stage that ever begins, with what must have come true by then."""
    seen: set[int] = set()
    for fired in ({}, *(fired for _, _, fired in plan.suppositions())):
        for number, stretch in enumerate(plan.timeline.stretches(fired)):
            if number and stretch.start < NEVER and stretch.start != stretch.end and number not in seen:
                seen.add(number)
                yield number, fired


def _is_bare(behaviour: Behaviour, stage: int, fired: Fired) -> bool:
    """Whether parameters train in a stage at a time at which no rule gives them a rate."""
    timeline = behaviour.timeline
    stretch = timeline.stretches(fired)[stage]
    inside = [t for t in behaviour.changes(fired) if stretch.start < t < (stretch.end or NEVER)]
    effects = behaviour.courses[behaviour.scheduled or ""].effects
    return any(
        not behaviour.freeze(tick, fired).frozen
        and not any(timeline.active(effect.window, tick, fired) for effect in effects)
        for tick in (stretch.start, *inside)
    )
