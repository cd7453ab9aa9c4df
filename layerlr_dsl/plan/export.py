"""A plan as plain data, for `plan --format json` and for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from layerlr_dsl.language.diagnostics import as_json

if TYPE_CHECKING:
    from layerlr_dsl.plan.cascade import Cascade
    from layerlr_dsl.plan.plan import Group, Phase, Plan


def number(value: Fraction | int | None) -> int | float | None:
    """A fraction as a JSON number, whole where it is."""
    if value is None:
        return None
    return value.numerator if value.denominator == 1 else float(value)


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan in the published schema (version 1)."""
    inventory, clock = plan.inventory, plan.clock
    return {
        "version": 1,
        "model": {"source": inventory.source, "parameters": len(inventory), "numel": inventory.total_numel},
        "epochs": number(clock.run_epochs),
        "steps_per_epoch": number(clock.steps_per_epoch),
        "total_steps": clock.total if clock.counts_steps else None,
        "groups": [_group(plan, group) for group in plan.groups],
        "phases": [_phase(plan, phase) for phase in plan.phases],
        "parameters": _parameters(plan),
        "diagnostics": [as_json(d) for d in plan.diagnostics],
    }


def _group(plan: Plan, group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "parameters": list(group.parameters),
        "numel": group.numel,
        "options": _plain(group.options),
        "schedule": None if group.schedule is None else group.schedule.text(),
        "optimizer": plan.optimizers[group.optimizer].called,
        "kind": group.kind,
        "moving": list(group.behaviour.moving),
    }


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}


def _phase(plan: Plan, phase: Phase) -> dict[str, Any]:
    return {
        "from": _place(plan, phase.start),
        "until": None if phase.end is None else _place(plan, phase.end),
        "when": phase.when,
        "frozen": list(phase.frozen),
        "trainable_numel": phase.trainable_numel,
        "trainable_share": phase.trainable_share,
        "stage": phase.stage,
    }


def _place(plan: Plan, tick: int) -> dict[str, Any]:
    epoch = number(plan.clock.epoch_of(tick)) if plan.clock.knows_epochs else None
    return {"epoch": epoch, "step": tick if plan.clock.counts_steps else None}


def _parameters(plan: Plan) -> dict[str, Any]:
    inventory = plan.inventory
    options = [_plain(behaviour.options(0)) for behaviour in plan.behaviours]
    moving = [list(behaviour.moving) for behaviour in plan.behaviours]
    rules = [_rules(plan, cascade) for cascade in plan.cascades]
    out: dict[str, Any] = {}
    for row, name in enumerate(inventory.names):
        number_of = plan.matches.class_of[row]
        out[name] = {
            "group": plan.groups[plan.group_of[row]].name,
            "aliases": [alias.name for alias in inventory.aliases.get(row, ())],
            "requires_grad": inventory.requires_grad[row],
            "options": options[plan.behaviour_of_class[number_of]],
            "moving": moving[plan.behaviour_of_class[number_of]],
            "rules": rules[number_of],
        }
    return out


def _rules(plan: Plan, cascade: Cascade) -> dict[str, list[str]]:
    """For each option the places of the rules that give it, the winner last."""
    clauses = plan.rules.clauses
    out: dict[str, list[str]] = {}

    def add(option: str, clause: int) -> None:
        places = out.setdefault(option, [])
        place = clauses[clause].span.place
        if not places or places[-1] != place:
            places.append(place)

    for effect in cascade.effects:
        add(effect.option, effect.clause)
    for freeze in cascade.freezes:
        add("frozen", freeze.clause)
    for one in cascade.selected:
        for setting in clauses[one.clause].settings:
            if setting.option in ("optimizer", "schedule"):
                add(setting.option, one.clause)
    return out
