"""Parameter groups and optimizers from a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerlr_dsl.training.binding import bind, can_train

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from layerlr_dsl.plan.plan import Group, Plan

DEFAULT = "default"
"""What the file's own optimizer is called where there are several."""


def param_groups(plan: Plan, model: nn.Module) -> list[dict[str, Any]]:
    """Ordinary torch groups: `params`, `param_names`, `name` and the options that the rules give.

    Options are as they stand at the start, before the schedule; what the rules leave open comes from
    the optimizer's own defaults. Raises ModelMismatch if `model` is not the one that was planned for,
    ValueError if the rules ask for several optimizers.
    """
    used = sorted({group.optimizer for group in plan.groups})
    if len(used) > 1:
        names = " and ".join(plan.optimizers[index].info.name for index in used)
        raise ValueError(
            f"the rules ask for several optimizers ({names}), and groups alone belong to one: "
            "use plan.optimizer(model)"
        )
    parameters = bind(plan, model)
    return [_group(group, parameters, _given(group)) for group in plan.groups if _holds(group, parameters)]


def build_optimizer(plan: Plan, model: nn.Module) -> Optimizer:
    """The optimizer that the rules ask for; several of them come as one torch.optim.Optimizer.

    Of several, `parts` has the file's own under "default" and those that rules choose under their names.
    Raises ModelMismatch if `model` is not the one that was planned for.
    """
    from layerlr_dsl.optim.build import build
    from layerlr_dsl.optim.several import Several, told_apart
    from layerlr_dsl.training.pace import unscheduled
    from layerlr_dsl.training.state import StateByName

    parameters = bind(plan, model)
    built: list[Optimizer] = []
    names = []
    for index, choice in enumerate(plan.optimizers):
        groups = [
            _group(group, parameters, _given(group))
            for group in plan.groups
            if group.optimizer == index and _holds(group, parameters)
        ]
        if groups:
            unchecked = set().union(*groups) - choice.info.options.keys()
            built.append(build(choice.info.name, groups, choice.settings, unchecked))
            names.append(choice.called if index else DEFAULT)
    one = len(built) == 1 and not any(choice.name for choice in plan.optimizers)
    order = [group.name for group in plan.groups]
    optimizer = built[0] if one else Several(built, order, told_apart(names))
    # Nobody but the file has said anything, so options that it gives no more are its own to take back.
    options = {group.name: group.options.keys() for group in plan.groups}
    decided = [frozenset(options[group["name"]]) for group in optimizer.param_groups]
    StateByName(optimizer, decided).install(optimizer)
    unscheduled(plan).install(optimizer)
    return optimizer


def _given(group: Group) -> dict[str, Any]:
    return {option: value for option, value in group.options.items() if option in group.given}


def _group(group: Group, parameters: dict[str, nn.Parameter], options: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in group.parameters if can_train(parameters[name])]
    return {
        "params": [parameters[name] for name in names],
        "param_names": names,
        "name": group.name,
        **options,
    }


def _holds(group: Group, parameters: dict[str, nn.Parameter]) -> bool:
    # A fused optimizer refuses to be built with a quantised weight.
    return any(can_train(parameters[name]) for name in group.parameters)
