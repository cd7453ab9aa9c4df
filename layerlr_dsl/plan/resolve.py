"""Rules x inventory x clock -> plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from layerlr_dsl.language.checked import CheckedRules
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.findings import findings
from layerlr_dsl.plan.matching import Compiled
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plan.resolution import resolution_of
from layerlr_dsl.tools.collector import collector_paused

P = TypeVar("P", bound=Plan)


def resolve(
    rules: CheckedRules,
    inventory: Inventory,
    clock: Clock,
    *,
    lenient: bool = False,
    before: Sequence[Diagnostic] = (),
    kind: type[P] = Plan,  # type: ignore[assignment]
) -> P:
    """The plan, with every finding in its `diagnostics`; it is of use only where none is an error.

    `lenient` leaves unchecked what is relative to a run of unknown length, instead of refusing it.
    `before` is what was found already, `kind` the class of the plan.
    """
    with collector_paused():
        return _planned(Compiled(rules), inventory, clock, lenient, before, kind)


def _planned(
    compiled: Compiled,
    inventory: Inventory,
    clock: Clock,
    lenient: bool,
    before: Sequence[Diagnostic],
    kind: type[P],
) -> P:
    resolution = resolution_of(compiled, inventory, clock, lenient)
    ruled = resolution.ruling
    plan = kind(
        rules=compiled.rules,
        inventory=inventory,
        clock=clock,
        optimizers=ruled.optimizers,
        groups=tuple(resolution.groups),
        events=tuple(resolution.timed.timeline.events),
        diagnostics=(),
        timed=resolution.timed,
        matches=resolution.matches,
        cascades=ruled.cascades,
        behaviours=ruled.behaviours,
        behaviour_of_class=ruled.behaviour_of_class,
        group_of=tuple(resolution.group_of),
        decider=resolution.decider,
    )
    return replace(plan, diagnostics=findings(plan, resolution, before))
