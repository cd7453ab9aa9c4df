"""Parameter groups and optimizers from a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerlr_dsl.training.binding import can_train
from layerlr_dsl.training.holding import bind, is_part, of_held

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from layerlr_dsl.plan.plan import Group, Plan

NOTHING = "nothing"
"""The name of the one group of a part that holds nothing that could train."""
DEFAULT = "default"
"""What the file's own optimizer is called where there are several."""


def param_groups(plan: Plan, model: nn.Module) -> list[dict[str, Any]]:
    """Ordinary torch groups: `params`, `param_names`, `name` and the options that the rules give.

    Options are as they stand at the start, before the schedule; what the rules leave open comes from
    the optimizer's own defaults. For a part that holds nothing there is one group, empty. Raises ModelMismatch if
    `model` is not the one that was planned for, ValueError if the rules ask for several optimizers.
    """
    parameters = bind(plan, model)
    whole, plan = plan, of_held(plan, parameters)
    used = sorted({group.optimizer for group in plan.groups})
    if len(used) > 1:
        names = " and ".join(plan.optimizers[index].info.name for index in used)
        raise ValueError(
            f"the rules ask for several optimizers ({names}), and groups alone belong to one: "
            "use plan.optimizer(model)"
        )
    groups = [_group(group, parameters, _given(group)) for group in plan.groups if _holds(group, parameters)]
    return groups if groups or not is_part(whole, parameters) else [_nothing()]


def build_optimizer(plan: Plan, model: nn.Module) -> Optimizer:
    """The optimizer that the rules ask for; several of them come as one torch.optim.Optimizer.

    Of several, `parts` has the file's own under "default" and those that rules choose under their names.
    Raises ModelMismatch if `model` is not the one that was planned for.
    """
    from layerlr_dsl.optim.several import Several
    from layerlr_dsl.training.pace import unscheduled
    from layerlr_dsl.training.state import StateByName

    parameters = bind(plan, model)
    groups = _by_optimizer(of_held(plan, parameters), parameters)
    if not groups and is_part(plan, parameters):
        groups = {min((group.optimizer for group in plan.groups), default=0): [_nothing()]}
    built = {index: _built(plan, index, own) for index, own in groups.items()}
    several = any(choice.name for choice in plan.optimizers)
    called = _called(plan)
    optimizer = (
        Several(
            list(built.values()), [group.name for group in plan.groups], [called[index] for index in built]
        )
        if several or len(built) != 1
        else next(iter(built.values()))
    )
    # Nobody but the file has said anything, so options that it gives no more are its own to take back.
    options = {NOTHING: frozenset[str](), **{group.name: frozenset(group.options) for group in plan.groups}}
    decided = [options[group["name"]] for group in optimizer.param_groups]
    StateByName(optimizer, decided).install(optimizer)
    unscheduled(plan).install(optimizer)
    return optimizer


def _by_optimizer(plan: Plan, parameters: dict[str, nn.Parameter]) -> dict[int, list[dict[str, Any]]]:
    """The groups that each of the plan's optimizers has, in their order."""
    found: dict[int, list[dict[str, Any]]] = {}
    for index in range(len(plan.optimizers)):
        own = [group for group in plan.groups if group.optimizer == index and _holds(group, parameters)]
        if own:
            found[index] = [_group(group, parameters, _given(group)) for group in own]
    return found


def _built(plan: Plan, index: int, groups: list[dict[str, Any]]) -> Optimizer:
    from layerlr_dsl.optim.build import build

    choice = plan.optimizers[index]
    unchecked = set().union(*groups) - choice.info.options.keys()
    return build(choice.info.name, groups, choice.settings, unchecked)


def _called(plan: Plan) -> dict[int, str]:
    """What each of the plan's optimizers is called; the same in every process, whatever part it holds."""
    from layerlr_dsl.optim.several import told_apart

    used = sorted({group.optimizer for group in plan.groups})
    names = [plan.optimizers[index].called if index else DEFAULT for index in used]
    return dict(zip(used, told_apart(names), strict=True))


def _nothing() -> dict[str, Any]:
    # torch refuses an optimizer without any group.
    return {"params": [], "param_names": [], "name": NOTHING}


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
