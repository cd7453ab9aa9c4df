"""What `layerlr plan --measure` found, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerlr_dsl.render.overview import overview
from layerlr_dsl.render.table import Column, table
from layerlr_dsl.runner.costs import Cost
from layerlr_dsl.runner.savings import MIB, WHY_NOT
from layerlr_dsl.tools.cells import wrap
from layerlr_dsl.tools.screen import Screen
from layerlr_dsl.tools.words import in_digits, share

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan
    from layerlr_dsl.runner.measuring import Measured, PhaseCost


def render(plan: Plan, found: Measured, screen: Screen) -> list[str]:
    """A table of phases, and what it comes to over the run."""
    unit = "epochs" if plan.clock.knows_epochs else "steps"
    columns = [
        Column(unit, elastic=True),
        *(Column(name, right=True) for name in ("a step", "of all thawed")),
    ]
    columns += [Column("activations", right=True), Column("features remembered", right=True)]
    rows = [
        (row.epochs, *_cells(one, found.thawed))
        for row, one in zip(overview(plan).phases, found.phases, strict=True)
    ]
    rows.append(("all thawed", *_cells(None, found.thawed)))
    title = f"a step on {found.inputs} ({found.device}; weights as built)"
    lines = [*wrap(title, screen.width, 0, "  "), "", *table(columns, rows, screen)]
    for sentence in sentences(plan, found):
        lines += ["", *wrap(sentence, screen.width, 0, "  ")]
    return lines


def _cells(one: PhaseCost | None, thawed: Cost) -> tuple[str, ...]:
    step = thawed if one is None else one.step
    return (
        _time(step.seconds),
        step.part(thawed),
        f"{in_digits(step.activations / MIB)} MiB",
        _time(one.remembered) if one is not None and one.remembered is not None else "",
    )


def _time(seconds: float) -> str:
    return f"{in_digits(seconds * 1000)} ms"


def sentences(plan: Plan, found: Measured) -> list[str]:
    """What the freezes save over the run, or that they save nothing."""
    frozen = [one for phase, one in zip(plan.phases, found.phases, strict=True) if phase.frozen]
    if not frozen:
        return ["nothing is frozen, so nothing is saved"]
    told = []
    if not any(one.step.saves(found.thawed) for one in frozen):
        told.append(f"the freezes save no time that can be measured: {WHY_NOT}")
    else:
        part = found.share(plan)
        told += (
            [] if part is None else [f"over the run, steps take {share(part)} of the time with all thawed"]
        )
    if any(one.remembered is not None and Cost(one.remembered, 0).saves(one.step) for one in frozen):
        told.append(
            "features remembered: by `layerlr train --remember-features`, after one pass over the data"
        )
    reasons = dict.fromkeys(one.reason for one in frozen if one.reason is not None)
    if reasons and any(one.step.saves(found.thawed) for one in frozen if one.reason is not None):
        told.append(f"no features remembered where the table has none: {'; '.join(reasons)}")
    return told


def as_json(found: Measured) -> dict[str, Any]:
    """As PlanReport has it."""
    return {
        "inputs": found.inputs,
        "device": found.device,
        "thawed": _cost(found.thawed),
        "phases": [
            {**_cost(one.step), "remembered_seconds": one.remembered, "not_remembered": one.reason}
            for one in found.phases
        ],
    }


def _cost(step: Cost) -> dict[str, Any]:
    return {"seconds": step.seconds, "seconds_error": step.error, "activation_bytes": step.activations}
