"""Parameters against the optimizers they are given, and options against what an optimizer can take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.language.check_optimizers import implausible_rate
from layerlr_dsl.language.diagnostics import Diagnostic, Related, error, info
from layerlr_dsl.language.expressions import Fault, Value
from layerlr_dsl.plan.behaviour import Behaviour
from layerlr_dsl.plan.cascade import Cascade, finite
from layerlr_dsl.plan.clock import UnknownTime
from layerlr_dsl.plan.factories import Faulty
from layerlr_dsl.plan.findings.checks import Checks
from layerlr_dsl.tools.numbers import spelled

if TYPE_CHECKING:
    from layerlr_dsl.plan.resolution import Resolution
    from layerlr_dsl.plan.ruling import Ruling

check = Checks()


@check
def refused(resolution: Resolution) -> Iterator[Diagnostic]:
    """Parameters that their optimizer does not take, the first of each rule: a class may hold several shapes."""
    choices, inventory = resolution.ruling.optimizers, resolution.inventory
    picky = [choice.info.refuses is not None for choice in choices]
    if not any(picky):
        return
    said: set[int | None] = set()
    for row, number in enumerate(resolution.matches.class_of[: len(inventory)]):
        cascade = resolution.ruling.cascades[number]
        own = cascade.own_optimizer
        if not picky[cascade.optimizer] or own in said or row in inventory.lazy:
            continue
        why = optimizers.refused(choices[cascade.optimizer].info, len(inventory.shapes[row]))
        if why is not None:
            said.add(own)
            rules = resolution.rules
            span = rules.clauses[own].span if own is not None else rules.optimizer.span
            help = "add `where ndim == 2` to the selector, or choose another optimizer for the rest"
            yield error("LR208", f"{why}: `{inventory.names[row]}`", span, help)


@check
def fixed_rates(resolution: Resolution) -> Iterator[Diagnostic]:
    """LR117: schedules over parameters whose optimizer reads its rate once."""
    said: set[int | None] = set()
    for kind, cascade in zip(resolution.matches.classes, resolution.ruling.cascades, strict=True):
        described = resolution.ruling.optimizers[cascade.optimizer].info
        driving = cascade.schedules[-1] if cascade.schedules else None
        why = optimizers.windowed(described, described.scheduled)
        if driving is None or driving.schedule.text() == "constant" or why is None or driving.clause in said:
            continue
        said.add(driving.clause)
        rules, clause = resolution.rules, driving.clause
        written = rules.schedule.span if rules.schedule is not None else None
        span = written if clause is None else rules.clauses[clause].span
        message = f"a schedule cannot move the rate of `{kind.row.name}`: {why}"
        yield error("LR117", message, span, "leave the schedule out, or write `-> schedule constant`")


@check
def clashing(resolution: Resolution) -> Iterator[Diagnostic]:
    """LR107: options that a constructor refuses together, and a group takes in silence."""
    said: set[int] = set()
    for number, (kind, cascade) in enumerate(
        zip(resolution.matches.classes, resolution.ruling.cascades, strict=True)
    ):
        described = resolution.ruling.optimizers[cascade.optimizer].info
        given = [e for e in cascade.effects if e.option in optimizers.CLASHING]
        if not given or given[-1].clause in said:
            continue
        behaviour = resolution.ruling.behaviours[resolution.ruling.behaviour_of_class[number]]
        for tick in (0, *behaviour.changes()):
            clash = optimizers.conflict(described, _known(behaviour, tick))
            if clash is not None:
                said.add(given[-1].clause)
                message = f"`{clash[0]}` {clash[1]}, for `{kind.row.name}`"
                yield error("LR107", message, given[-1].setting.span)
                break


@check
def lapses(resolution: Resolution) -> Iterator[Diagnostic]:
    """One note for each rule some of whose options lapse under a rule's own optimizer."""
    seen: set[tuple[int, str]] = set()
    for number, cascade in enumerate(resolution.ruling.cascades):
        for effect in cascade.lapsed:
            if (effect.clause, effect.option) in seen or cascade.own_optimizer is None:
                continue
            seen.add((effect.clause, effect.option))
            name = resolution.ruling.optimizers[cascade.optimizer].info.name
            row = resolution.matches.classes[number].row
            chosen = resolution.rules.clauses[cascade.own_optimizer].span
            yield info(
                "LR213",
                f"`{effect.option}` lapses for `{row.name}`: {name} has no such option",
                effect.setting.span,
                related=(Related(f"{name} is chosen here", chosen),),
            )


@check
def several_groups(resolution: Resolution) -> Iterator[Diagnostic]:
    """Optimizers that take one parameter group only, and are given more."""
    for number, choice in enumerate(resolution.ruling.optimizers):
        groups = [group.name for group in resolution.groups if group.optimizer == number]
        if choice.info.refuses == optimizers.SEVERAL_GROUPS and len(groups) > 1:
            shown = ", ".join(f"`{name}`" for name in groups[:4]) + (", ..." if len(groups) > 4 else "")
            yield error(
                "LR208",
                f"{choice.info.name} takes one parameter group only, and these rules make {len(groups)}: {shown}",
                choice.span,
                "give all parameters the same options, or choose another optimizer",
            )


@check
def lacking(resolution: Resolution) -> Iterator[Diagnostic]:
    """Optimizers that read something in their groups which the rules do not give."""
    for number, choice in enumerate(resolution.ruling.optimizers):
        groups = [group for group in resolution.groups if group.optimizer == number]
        for option in choice.info.needs:
            without = [group.parameters[0] for group in groups if option not in group.options]
            if without:
                message = f'{choice.info.name} needs "{option}" for every parameter: `{without[0]}` has none'
                yield error("LR208", message, choice.span, f'give it in quotes: `** -> "{option}" true`')


def _known(behaviour: Behaviour, tick: int) -> dict[str, Value]:
    """The options at a tick; what moves and has no value is left to its own finding."""
    try:
        return behaviour.options(tick)
    except (Fault, Faulty, UnknownTime):
        return {}


def _fixed(behaviour: Behaviour, option: str) -> Iterator[tuple[int, Value]]:
    """What an option is worth from which tick on, as far as it does not move."""
    steps = behaviour.unfolded().products.get(option)
    for tick, product in zip(steps.ticks, steps.values, strict=True) if steps is not None else ():
        if not product.movers and product.scale is not None:
            yield tick, product.scale


def _told_apart(ruled: Ruling) -> Iterator[tuple[int, Cascade, Behaviour]]:
    """The first of all classes to which the rules do the same: its number, what is said of it, what comes of it."""
    seen: set[tuple[int, tuple[int, ...]]] = set()
    for number, cascade in enumerate(ruled.cascades):
        key = (ruled.behaviour_of_class[number], tuple([effect.number for effect in cascade.effects]))
        if key not in seen:
            seen.add(key)
            yield number, cascade, ruled.behaviours[key[0]]


@check
def implausible_rates(resolution: Resolution) -> Iterator[Diagnostic]:
    """LR129 for rates that only the model makes so: by captures, and by factors on top of a rate."""
    said: set[int] = set()
    for number, cascade, behaviour in _told_apart(resolution.ruling):
        chosen = resolution.ruling.optimizers[cascade.optimizer].info
        rates = cascade.of(chosen.scheduled)
        if not any(isinstance(e.value, (int, float)) and e.value > 1 for e in rates):
            continue
        for tick, value in _fixed(behaviour, chosen.scheduled):
            if not optimizers.implausible(chosen, chosen.scheduled, value) or not finite(value):
                continue
            active = [e for e in rates if behaviour.active(e.window, tick, {})]
            if not active:
                continue
            expression = active[-1].setting.expression
            if expression is not None and active[-1].clause not in said:
                said.add(active[-1].clause)
                whose = f" for `{resolution.matches.classes[number].row.name}`"
                yield implausible_rate(chosen.scheduled, value, expression.span, chosen.name, whose)


@check
def bad_products(resolution: Resolution) -> Iterator[Diagnostic]:
    """Options that `*=` drives out of their domain."""
    said: set[int] = set()
    sound: set[tuple[int, str, object]] = set()
    for number, cascade, behaviour in _told_apart(resolution.ruling):
        products = [e for e in cascade.effects if e.multiply]
        if not products:
            continue
        chosen = resolution.ruling.optimizers[cascade.optimizer].info
        for option in dict.fromkeys([e.option for e in products]):
            for tick, value in _fixed(behaviour, option):
                key = (cascade.optimizer, option, value)
                if key in sound:
                    continue
                why = optimizers.problem(chosen, option, value) if finite(value) else "must be finite"
                if why is None:
                    sound.add(key)
                    continue
                # The last factor in force is the one to name: each on its own may be in order.
                active = [e for e in products if e.option == option and behaviour.active(e.window, tick, {})]
                if active and active[-1].clause not in said:
                    said.add(active[-1].clause)
                    name = resolution.matches.classes[number].row.name
                    message = f"`{option}` {why}, and this makes it {spelled(value)} for `{name}`"
                    code = "LR107" if finite(value) else "LR108"
                    yield error(code, message, active[-1].setting.span)
