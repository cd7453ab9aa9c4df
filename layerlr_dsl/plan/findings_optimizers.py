"""Parameters against the optimizers they are given, and options against what an optimizer can take."""

from __future__ import annotations

from collections.abc import Iterator

from layerlr_dsl.language import optimizers
from layerlr_dsl.language.diagnostics import Diagnostic, error
from layerlr_dsl.language.expressions import show
from layerlr_dsl.plan.cascade import finite
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


def fixed_rates(resolution: Resolution) -> Iterator[Diagnostic]:
    """LR117: schedules over parameters whose optimizer reads its rate once."""
    said: set[int | None] = set()
    for cascade in resolution.cascades:
        schedule, info = cascade.schedule, resolution.builder.optimizers[cascade.optimizer].info
        why = optimizers.windowed(info, "lr")
        if (
            schedule is None
            or schedule.text() == "constant"
            or why is None
            or cascade.schedule_clause in said
        ):
            continue
        said.add(cascade.schedule_clause)
        rules, clause = resolution.rules, cascade.schedule_clause
        written = rules.schedule.span if rules.schedule is not None else None
        span = written if clause is None else rules.clauses[clause].span
        message = f"a schedule cannot move the rate of `{cascade.kind.row.name}`: {why}"
        yield error("LR117", message, span, "leave the schedule out, or write `-> schedule constant`")


def clashing(resolution: Resolution) -> Iterator[Diagnostic]:
    """LR107: options that a constructor refuses together, and a group takes in silence."""
    said: set[int] = set()
    for number, cascade in enumerate(resolution.cascades):
        info = resolution.builder.optimizers[cascade.optimizer].info
        given = [e for e in cascade.effects if e.option in optimizers.CLASHING]
        if not given or given[-1].clause in said:
            continue
        behaviour = resolution.behaviours[resolution.behaviour_of_class[number]]
        for tick in (0, *behaviour.changes()):
            clash = optimizers.conflict(info, behaviour.options(tick))
            if clash is not None:
                said.add(given[-1].clause)
                message = f"`{clash[0]}` {clash[1]}, for `{cascade.kind.row.name}`"
                yield error("LR107", message, given[-1].setting.span)
                break


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


def bad_products(resolution: Resolution) -> Iterator[Diagnostic]:
    """Options that `*=` drives out of their domain."""
    said: set[int] = set()
    for number, cascade in enumerate(resolution.cascades):
        products = [e for e in cascade.effects if e.multiply]
        if not products:
            continue
        behaviour = resolution.behaviours[resolution.behaviour_of_class[number]]
        chosen = resolution.builder.optimizers[cascade.optimizer].info
        for tick in (0, *behaviour.changes()):
            options = behaviour.options(tick)
            # The last factor in force is the one to name: each on its own may be in order.
            last = {e.option: e for e in products if behaviour.active(e.window, tick, {})}
            for effect in last.values():
                value = options[effect.option]
                why = optimizers.problem(chosen, effect.option, value) if finite(value) else "must be finite"
                if why is not None and effect.clause not in said:
                    said.add(effect.clause)
                    message = f"`{effect.option}` {why}, and this makes it {show(value)} for `{cascade.kind.row.name}`"
                    code = "LR107" if finite(value) else "LR108"
                    yield error(code, message, effect.setting.span)
