"""What a process holds of the model that a plan was made for: all of it, or a part.

Rules are resolved once for the whole model; a stage of a pipeline or a process with some of the experts binds what it
has. A layer that somebody forgot must not pass for a part, so it counts as one only where that can be meant: it is
given by name, several processes train, or the rules were resolved on something that stands for the model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from layerlr_dsl.model import live
from layerlr_dsl.model.part import Part
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.training.errors import ModelMismatch, listed

if TYPE_CHECKING:
    from torch import nn

    from layerlr_dsl.model.inventory import Inventory
    from layerlr_dsl.plan.plan import Group, Plan


def bind(plan: Plan, model: nn.Module) -> dict[str, nn.Parameter]:
    """The live parameter behind each canonical name of the plan that the model holds, in the inventory's order.

    Raises ModelMismatch listing what the model lacks, unless it may be a part of the whole; what a part has that the
    plan does not know; what has another shape; and what was tied, or came apart, since the rules were resolved. What a
    whole model has beyond the plan is left out.
    """
    found = live.named_parameters(model)
    held = _held(plan.inventory, found)
    require_ties(plan.inventory, found, held)
    if is_part(plan, held):
        _require_part(plan, model, found, held)
    elif named(model):
        _require_known(plan.inventory, found, held)
    _require_shapes(plan.inventory, held)
    return held


def require_ties(
    inventory: Inventory, found: Mapping[str, nn.Parameter], held: Mapping[str, nn.Parameter]
) -> None:
    """Raise ModelMismatch where two names have become one tensor since the rules were resolved, or one tensor two.

    Either way one of the names would be frozen, or left out, as nobody has said. found: the model's parameters by
    each of their names; held: by the plan's.
    """
    first: dict[int, str] = {}
    tied = [f"{name} and {first[id(p)]}" for name, p in held.items() if first.setdefault(id(p), name) != name]
    if tied:
        raise ModelMismatch(
            f"{listed(tied)}: one tensor now, and two when the rules were resolved; tie weights first (tie_weights), then "
            "resolve the rules"
        )
    names = inventory.names
    pairs = [(names[row], alias.name) for row, others in inventory.aliases.items() for alias in others]
    apart = [
        f"{other} and {name}"
        for name, other in pairs
        if name in held and other in found and found[other] is not held[name]
    ]
    if apart:
        raise ModelMismatch(
            f"{listed(apart)}: two tensors now, and one when the rules were resolved; to_empty and "
            "load_state_dict(assign=True) undo ties. Tie them again (tie_weights), or resolve the rules as they are now"
        )


def is_part(plan: Plan, names: Collection[str]) -> bool:
    """Whether these are not all parameters of a plan."""
    return len(names) < len(plan.inventory)


def named(model: nn.Module) -> bool:
    """Whether the user has said by name what a part holds."""
    return isinstance(model, Part) and model.named


def of_held(plan: Plan, names: Collection[str]) -> Plan:
    """A plan for what is held: groups with these parameters alone, in the same order. The plan itself for all."""
    if not is_part(plan, names):
        return plan
    groups = (_of_held(plan.inventory, group, names) for group in plan.groups)
    return replace(plan, groups=tuple(group for group in groups if group.parameters))


def _of_held(inventory: Inventory, group: Group, names: Collection[str]) -> Group:
    return replace(group, parameters=tuple(name for name in group.parameters if name in names))


def _held(inventory: Inventory, found: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    """By canonical name, in the order of the inventory; what is tied may be there under another of its names."""
    names = inventory.names
    rows = {row: name for row, name in enumerate(names) if name in found}
    for row, others in inventory.aliases.items():
        if row not in rows:
            rows.update((row, alias.name) for alias in others if alias.name in found)
    return {names[row]: found[rows[row]] for row in sorted(rows)}


def _require_part(
    plan: Plan, model: nn.Module, found: Mapping[str, nn.Parameter], held: Mapping[str, nn.Parameter]
) -> None:
    from layerlr_dsl.training.parallel import ranks

    inventory = plan.inventory
    if not (named(model) or ranks() > 1 or not inventory.live):
        missing = [name for name in inventory.names if name not in held]
        raise ModelMismatch(
            f"the plan was made for another model ({inventory.source}): the model lacks {listed(missing)}"
            f"{_and_shapes(inventory, held)}; resolve the rules on this model. If it is meant to be a part of the "
            "model, hand over a mapping from names to parameters: dict(part.named_parameters())"
        )
    _require_known(inventory, found, held)


def _require_known(inventory: Inventory, found: Collection[str], held: Collection[str]) -> None:
    """Raise ModelMismatch for names that the plan does not know."""
    tied = {alias.name for others in inventory.aliases.values() for alias in others}
    unknown = [name for name in found if name not in held and name not in tied]
    if not unknown:
        return
    near = nearest(unknown[0], inventory.names)
    raise ModelMismatch(
        f"the plan ({inventory.source}) knows no {listed(unknown)}{f' (is it {near}?)' if near else ''}: a part must have the "
        "names of the whole model. Where a runtime renames, hand over a mapping from the plan's names to the parameters"
    )


def _require_shapes(inventory: Inventory, held: Mapping[str, nn.Parameter]) -> None:
    if shapes := _and_shapes(inventory, held):
        raise ModelMismatch(
            f"the plan was made for another model ({inventory.source}){shapes}; resolve the rules on this model"
        )


def _and_shapes(inventory: Inventory, held: Mapping[str, nn.Parameter]) -> str:
    """The parameters that have another shape, as the end of a sentence; empty where there are none."""
    from torch.nn.parameter import is_lazy

    reshaped = []
    for row, name in enumerate(inventory.names):
        if name not in held or row in inventory.lazy or is_lazy(held[name]):
            continue
        shape, planned = tuple(live.shape(held[name])), tuple(inventory.shapes[row])
        if shape != planned:
            reshaped.append(f"{name} ({shape}, planned {planned})")
    return f"; other shapes: {listed(reshaped)}" if reshaped else ""
