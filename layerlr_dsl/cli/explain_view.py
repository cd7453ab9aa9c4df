"""What `layerlr explain` tells: explanations, those that read alike gathered into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from layerlr_dsl.cli.checking import Checked
from layerlr_dsl.cli.exits import Findings, Refusal
from layerlr_dsl.cli.selecting import selected_rows
from layerlr_dsl.plan.explain import Explanation, explain
from layerlr_dsl.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Explained:
    """Parameters that the same rules decide about in the same way, told by the first of them."""

    names: tuple[str, ...]
    numel: int
    told: Explanation


def explained(
    plan: Plan, parameter: str, checked: Checked, tick: int, fired: Mapping[int, int]
) -> list[Explained]:
    """The explanation of a parameter, or of all that a selector covers; it may use the file's groups.

    Raises Refusal for a name that the model does not have, Findings for a faulty selector.
    """
    inventory = plan.inventory
    row = inventory.index_of.get(parameter)
    if row is not None:
        return [Explained((parameter,), inventory.numel(row), explain(plan, parameter, tick, fired))]
    kinds: dict[object, list[int]] = {}
    for one in _covered(plan, parameter, checked):  # within a class of the resolver, rules do the same to all
        kinds.setdefault((plan.matches.class_of[one], plan.group_of[one]), []).append(one)
    alike: dict[object, list[int]] = {}
    for rows in kinds.values():
        alike.setdefault(_key(plan, rows[0], tick, fired), []).extend(rows)
    return [_gathered(plan, sorted(rows), tick, fired) for rows in alike.values()]


def _gathered(plan: Plan, rows: list[int], tick: int, fired: Mapping[int, int]) -> Explained:
    names = tuple(plan.inventory.names[row] for row in rows)
    numel = sum(plan.inventory.numel(row) for row in rows)
    return Explained(names, numel, explain(plan, names[0], tick, fired))


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


def _covered(plan: Plan, selector: str, checked: Checked) -> tuple[int, ...]:
    try:
        return selected_rows(plan.inventory, selector, checked.rules.source, checked.entry.root)
    except Findings as fault:
        if any(finding.code != "LR201" for finding in fault.findings):
            raise
        help = fault.findings[0].help
        raise Refusal(f"the model has no parameter `{selector}`", help or _nearest(plan, selector)) from None


def _nearest(plan: Plan, name: str) -> str | None:
    from layerlr_dsl.language.nearest import nearest

    near = nearest(name, plan.inventory.index_of)
    return f"did you mean `{near}`?" if near else "`layerlr inspect SPEC` shows the model's names"
