"""What `layerlr explain` tells: explanations that read alike, gathered."""

from __future__ import annotations

from collections.abc import Mapping

from layerlr_dsl.cli.exits import Findings, Refusal
from layerlr_dsl.cli.resolving import Resolved
from layerlr_dsl.cli.selectors import selected_rows
from layerlr_dsl.plan.explain import explain
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.render.explain import Explained


def explained(
    plan: Plan, parameter: str, resolved: Resolved, tick: int, fired: Mapping[int, int]
) -> list[Explained]:
    """The explanation of a parameter, or of all that a selector covers; it may use the file's groups.

    Raises Refusal for a name that the model does not have, Findings for a faulty selector.
    """
    inventory = plan.inventory
    row = inventory.index_of.get(parameter)
    if row is not None:
        return [_gathered(plan, {row: parameter}, tick, fired)]
    names = _covered(plan, parameter, resolved)
    kinds: dict[object, list[int]] = {}
    for one in names:  # within a class of the resolver, rules do the same to all
        kinds.setdefault((plan.matches.class_of[one], plan.group_of[one]), []).append(one)
    alike: dict[object, list[int]] = {}
    for rows in kinds.values():
        alike.setdefault(_key(plan, rows[0], tick, fired), []).extend(rows)
    gathered = [{row: names[row] for row in sorted(rows)} for rows in alike.values()]
    return [_gathered(plan, one, tick, fired) for one in gathered]


def _gathered(plan: Plan, names: Mapping[int, str], tick: int, fired: Mapping[int, int]) -> Explained:
    inventory = plan.inventory
    numel = sum(inventory.numel(row) for row in names)
    told = explain(plan, next(iter(names.values())), tick, fired)
    ties = {}
    for row, name in names.items():
        if row in inventory.aliases:
            every = (inventory.names[row], *(alias.name for alias in inventory.aliases[row]))
            ties[name] = tuple(other for other in every if other != name)
    return Explained(tuple(names.values()), ties, numel, told)


def _key(plan: Plan, row: int, tick: int, fired: Mapping[int, int]) -> object:
    told = explain(plan, plan.inventory.names[row], tick, fired)
    options = tuple(
        (
            name,
            repr(option.value),
            tuple((step.place, step.status, repr(step.value), step.filled) for step in option.steps),
        )
        for name, option in told.options.items()
    )
    return (told.group, told.optimizer, told.schedule, told.lr, told.frozen_by_model, options)


def _covered(plan: Plan, selector: str, resolved: Resolved) -> dict[int, str]:
    try:
        return selected_rows(plan.inventory, selector, resolved.rules.source, resolved.entry.root)
    except Findings as fault:
        if any(finding.code != "LR201" for finding in fault.findings):
            raise
        help = fault.findings[0].help
        raise Refusal(f"the model has no parameter `{selector}`", help or _nearest(plan, selector)) from None


def _nearest(plan: Plan, name: str) -> str | None:
    from layerlr_dsl.tools.nearest import nearest

    near = nearest(name, plan.inventory.index_of)
    return f"did you mean `{near}`?" if near else "`layerlr inspect SPEC` shows the model's names"
