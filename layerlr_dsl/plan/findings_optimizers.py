"""LR208: parameters against the optimizers they are given."""

from __future__ import annotations

from collections.abc import Iterator

from layerlr_dsl.language import optimizers
from layerlr_dsl.language.diagnostics import Diagnostic, error
from layerlr_dsl.plan.resolve import Resolution


def refused(resolution: Resolution) -> Iterator[Diagnostic]:
    """Parameters that their optimizer does not take, the first of each rule: a class may hold several shapes."""
    builder, inventory = resolution.builder, resolution.inventory
    picky = [choice.info.refuses is not None for choice in builder.optimizers]
    if not any(picky):
        return
    said: set[int | None] = set()
    for row, number in enumerate(resolution.matches.class_of[: len(inventory)]):
        cascade = resolution.cascades[number]
        own = cascade.own_optimizer
        if not picky[cascade.optimizer] or own in said or row in inventory.lazy:
            continue
        why = optimizers.refused(builder.optimizers[cascade.optimizer].info, len(inventory.shapes[row]))
        if why is not None:
            said.add(own)
            rules = resolution.rules
            span = rules.clauses[own].span if own is not None else rules.optimizer.span
            help = "add `where ndim == 2` to the selector, or choose another optimizer for the rest"
            yield error("LR208", f"{why}: `{inventory.names[row]}`", span, help)


def several_groups(resolution: Resolution) -> Iterator[Diagnostic]:
    """Optimizers that take one parameter group only, and are given more."""
    for number, choice in enumerate(resolution.builder.optimizers):
        groups = [group.name for group in resolution.groups if group.optimizer == number]
        if choice.info.refuses == optimizers.SEVERAL_GROUPS and len(groups) > 1:
            shown = ", ".join(f"`{name}`" for name in groups[:4]) + (", ..." if len(groups) > 4 else "")
            yield error(
                "LR208",
                f"{choice.info.name} takes one parameter group only, and these rules make {len(groups)}: {shown}",
                choice.span,
                "give all parameters the same options, or choose another optimizer",
            )
