"""Everything there is to say of a file against a model and a clock, in the order of the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from layerlr_dsl.language.checker import in_order
from layerlr_dsl.language.diagnostics import Diagnostic, causes
from layerlr_dsl.plan.findings import moving, optimizers, overriding, selectors, time

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan
    from layerlr_dsl.plan.resolution import Resolution


FAMILIES = (selectors, overriding, moving, optimizers, time)


def findings(plan: Plan, resolution: Resolution, before: Sequence[Diagnostic] = ()) -> tuple[Diagnostic, ...]:
    """LR1xx that only a model can show, LR2xx and LR3xx, and what was found `before`, each place once."""
    found = [*resolution.timed.found, *resolution.ruling.found]
    found.extend(one for family in FAMILIES for one in family.check.found(plan, resolution))
    found = causes(found, resolution.rules.complete)
    if not found:
        return tuple(before)
    own = {(d.code, d.span) for d in found} if before else ()
    found += [d for d in before if (d.code, d.span) not in own]
    return tuple(in_order(found, resolution.rules.sources))
