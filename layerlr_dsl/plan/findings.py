"""Everything there is to say of a file against a model and a clock, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from layerlr_dsl.catalogue.findings import unsaid
from layerlr_dsl.language.checker import in_order
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.plan import findings_model as model
from layerlr_dsl.plan import findings_time as time
from layerlr_dsl.plan.findings_moving import factors, moving
from layerlr_dsl.plan.findings_optimizers import (
    bad_products,
    clashing,
    fixed_rates,
    implausible_rates,
    lacking,
    lapses,
    refused,
    several_groups,
)
from layerlr_dsl.plan.findings_schedules import below_least
from layerlr_dsl.plan.findings_stages import without_lr_in_stages

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan
    from layerlr_dsl.plan.resolution import Resolution


def findings(plan: Plan, resolution: Resolution, before: Sequence[Diagnostic] = ()) -> tuple[Diagnostic, ...]:
    """LR1xx that only a model can show, LR2xx and LR3xx, and what was found `before`, each place once."""
    found = [*resolution.timed.found, *resolution.ruling.found]
    found.extend(_all(plan, resolution))
    codes = {d.code for d in found}
    found = [d for d in found if not unsaid(d.code, codes, resolution.rules.complete)]
    if not found:
        return tuple(before)
    own = {(d.code, d.span) for d in found} if before else ()
    found += [d for d in before if (d.code, d.span) not in own]
    return tuple(in_order(found, resolution.rules.sources))


def _all(plan: Plan, resolution: Resolution) -> Iterator[Diagnostic]:
    yield from model.unmatched(resolution)
    yield from model.narrow_stars(resolution)
    yield from model.ambiguous(resolution)
    yield from model.where_faults(resolution)
    yield from model.faulty_facts(resolution)
    yield from model.overridden(resolution)
    yield from model.tied_conflicts(resolution)
    yield from model.without_lr(resolution)
    yield from without_lr_in_stages(plan)
    yield from model.frozen_by_model(resolution)
    yield from refused(resolution)
    yield from moving(plan)
    yield from factors(plan)
    yield from several_groups(resolution)
    yield from lacking(resolution)
    yield from time.nothing_trains(plan, resolution)
    yield from time.behind_training(plan, resolution)
    yield from model.holes(resolution)
    yield from fixed_rates(resolution)
    yield from clashing(resolution)
    yield from lapses(resolution)
    yield from bad_products(resolution)
    yield from implausible_rates(resolution)
    yield from time.only_frozen(resolution)
    yield from time.unfreeze_without_freeze(resolution)
    yield from time.masked_ends(resolution)
    yield from time.late_turns(resolution)
    yield from time.freezes_that_thaw_nothing(resolution)
    yield from time.base_stays_frozen(resolution)
    yield from below_least(plan)
