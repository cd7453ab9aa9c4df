"""`layerlr explain FILE PARAMETER`: which rules decide about a parameter."""

from __future__ import annotations

from collections.abc import Mapping

import click

from layerlr_dsl.cli.exits import HasErrors, Refusal
from layerlr_dsl.cli.inputs import single
from layerlr_dsl.cli.options import Models, Run, format_option, models_option, root_option, run_options
from layerlr_dsl.cli.resolving import Resolved, Resolver, planned
from layerlr_dsl.cli.selectors import selected_rows
from layerlr_dsl.cli.terminal import Screen, write, write_json
from layerlr_dsl.cli.times import event_option, fired_by, tick_at
from layerlr_dsl.plan.explain import explain
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.render.explain import Explained


@click.command("explain")
@click.argument("file", type=click.Path(readable=False), metavar="FILE")
@click.argument("parameter", metavar="PARAMETER")
@models_option
@run_options
@root_option
@click.option(
    "--at",
    "moment",
    default="epoch 0",
    show_default=True,
    metavar="TIME",
    help="When: 'epoch 3', 'step 1200', '50%'.",
)
@event_option
@format_option("text", "json")
def command(
    file: str,
    parameter: str,
    model: Models | None,
    run: Run,
    root: str | None,
    moment: str,
    events: tuple[str, ...],
    form: str,
) -> int:
    """Tell which rules decide about a parameter, option by option.

    Shows every rule that matches, in the order of the file: `>` marks the one that wins, the others
    are overridden, outside their window, or what a later `*=` multiplies. PARAMETER may be a selector;
    parameters that are treated alike are then shown together.

    \b
    Examples:
        layerlr explain my.lr layer4.0.conv1.weight
        layerlr explain my.lr fc.bias --at "epoch 3"
        layerlr explain my.lr "layer4 where ndim > 1"
    """
    from layerlr_dsl.render.explain import as_json, render

    resolved, plan = planned(single(file, root), Resolver(model, run, lenient=True))
    tick, fired = tick_at(plan, moment), fired_by(plan, events)
    found = explained(plan, parameter, resolved, tick, fired)
    if form == "json":
        write_json(as_json(found))
    else:
        write("\n".join(render(found, moment.strip(), Screen.of_stdout())))
    return 0


def explained(
    plan: Plan, parameter: str, resolved: Resolved, tick: int, fired: Mapping[int, int]
) -> list[Explained]:
    """The explanation of a parameter, or of all that a selector covers; it may use the file's groups.

    Raises Refusal for a name that the model does not have, HasErrors for a faulty selector.
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
    except HasErrors as fault:
        if any(finding.code != "LR201" for finding in fault.findings):
            raise
        help = fault.findings[0].help
        raise Refusal(f"the model has no parameter `{selector}`", help or _nearest(plan, selector)) from None


def _nearest(plan: Plan, name: str) -> str | None:
    from layerlr_dsl.tools.nearest import nearest

    near = nearest(name, plan.inventory.index_of)
    return f"did you mean `{near}`?" if near else "`layerlr inspect SPEC` shows the model's names"
