"""From the names of a plan to the live objects of a model and an optimizer.

This happens last and can be done again: `to_empty`, `load_state_dict(assign=True)` and `fully_shard`
put new Parameter objects in the place of old ones, names stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerlr_dsl.model import live
from layerlr_dsl.training import copies
from layerlr_dsl.training.errors import ModelMismatch, listed
from layerlr_dsl.training.holding import bind, of_held, require_ties

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from layerlr_dsl.plan.behaviour import Behaviour
    from layerlr_dsl.plan.plan import Plan
    from layerlr_dsl.plan.stages import Fired

Groups = Sequence[Mapping[str, Any]]


def can_train(parameter: nn.Parameter) -> bool:
    """Whether a parameter can have a gradient; quantised weights cannot."""
    return parameter.dtype.is_floating_point or parameter.dtype.is_complex


class Binding:
    """The live parameters of a plan, kept up with a model that may replace them.

    parameters: by canonical name. plan: of those alone, where this process holds a part of the model.
    """

    def __init__(self, plan: Plan, model: nn.Module, param_groups: Groups) -> None:
        self.model = model
        self.parameters = bind(plan, model)
        self.plan = of_held(plan, self.parameters)
        if not self._copied(param_groups):
            self._require_trained(param_groups)
        self._places = _places(live.unwrap(model))

    def go_by(self, plan: Plan) -> Plan:
        """Take another plan of the same model; returns it for what is held."""
        self.plan = of_held(plan, self.parameters)
        return self.plan

    def in_place(self) -> bool:
        """Whether every module and parameter still is where it was when this was last asked.

        Quick enough for every step: nothing is named or searched.
        """
        unmoved = True
        for holder, key, held in self._places:
            if holder.get(key) is not held:
                unmoved = False
                break
        if not unmoved or not self._places:
            self._places = _places(live.unwrap(self.model))
        return unmoved

    @property
    def owned(self) -> dict[str, nn.Parameter]:
        """Those whose `requires_grad` is the plan's to set."""
        return {name: p for name, p in self._planned().items() if can_train(p)}

    @property
    def fixed(self) -> dict[str, nn.Parameter]:
        """Those that the plan freezes at some time, and that cannot have a gradient."""
        return {name: p for name, p in self._planned().items() if not can_train(p)}

    def _planned(self) -> dict[str, nn.Parameter]:
        return {
            name: self.parameters[name]
            for group in self.plan.groups
            if group.planned
            for name in group.parameters
        }

    @property
    def trains(self) -> dict[str, nn.Parameter]:
        """Those that train at some time."""
        return {
            name: self.parameters[name]
            for group in self.plan.groups
            if group.kind == "trains"
            for name in group.parameters
            if can_train(self.parameters[name])
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_places": []}  # a copy begins with the places of its own

    def refresh(self, param_groups: Groups) -> bool:
        """Take up parameters that were replaced since; return whether any was.

        Raises ModelMismatch naming those that the optimizer still holds in their old form.
        """
        found = live.named_parameters(self.model)
        present = set(map(id, found.values()))  # under other names perhaps, as pruning leaves them
        require_ties(self.plan.inventory, found, self.parameters)
        if all(id(old) in present or _whole(old, found.get(name)) for name, old in self.parameters.items()):
            return False
        now = bind(self.plan, self.model)
        if lost := [name for name in self.parameters if name not in now]:
            raise ModelMismatch(
                f"{listed(lost)}: the model had them when the schedule was made, and has them no more"
            )
        self.parameters = now
        self._require_trained(param_groups)
        return True

    def known(self) -> list[nn.Parameter]:
        """The parameters of the model as they were when they were bound, and as they are now."""
        return [*self.parameters.values(), *live.named_parameters(self.model).values()]

    def _copied(self, param_groups: Groups) -> bool:
        """Whether DeepSpeed has taken over the optimizer already. Raises TrainingError where that is too early."""
        early = copies.may_come() and copies.are_stepped(self.parameters.values(), param_groups)
        if early:
            copies.refuse_late(self.plan)
        return early

    def _require_trained(self, param_groups: Groups) -> None:
        held = {id(parameter) for group in param_groups for parameter in group["params"]}
        lost = [name for name, p in self.trains.items() if id(p) not in held]
        if not lost:
            return
        labelled = {name for group in param_groups for name in group.get("param_names", ())}
        replaced = [name for name in lost if name in labelled]
        if replaced:
            raise ModelMismatch(
                f"{listed(replaced)}: the optimizer holds another object than the model; it was built before to_empty, "
                "load_state_dict(assign=True), fully_shard or something else that replaced the parameters, and would "
                "train nothing. Build the optimizer and the schedule after that"
            )
        raise ModelMismatch(
            f"{listed(lost)} will train according to the plan, but the optimizer does not hold them; build it from "
            "plan.param_groups(model), or with plan.optimizer(model), which hold what is frozen for now too"
        )

    def follow(self, param_groups: Groups) -> list[int | None]:
        """The plan's group that each live group follows; None for one that holds nothing the plan knows.

        Raises ModelMismatch where a live group mixes parameters that need different rates or options.
        """
        plan = self.plan
        row_of = {name: row for row, group in enumerate(plan.groups) for name in group.parameters}
        group_of = {id(self.parameters[name]): row for name, row in row_of.items()}
        found: list[int | None] = []
        for place, live_group in enumerate(param_groups):
            rows = list(dict.fromkeys(group_of[id(p)] for p in live_group["params"] if id(p) in group_of))
            if not rows and copies.may_come():
                names = live_group.get("param_names", ())
                rows = list(dict.fromkeys(row_of[name] for name in names if name in row_of))
            training = [row for row in rows if plan.groups[row].kind == "trains"]
            if len(training) > 1 and len({_course(plan, row) for row in training}) > 1:
                names = listed([plan.groups[row].name for row in rows])
                raise ModelMismatch(
                    f"group {place} of the optimizer mixes parameters that the rules treat differently ({names}); "
                    "build it from plan.param_groups(model), or with plan.optimizer(model)"
                )
            found.append(min(rows, key=lambda row: plan.groups[row].kind != "trains") if rows else None)
        return found


def _places(root: nn.Module) -> list[tuple[Mapping[str, object], str, object]]:
    return [
        (holder, key, held)
        for module in root.modules()
        for holder in (module._modules, module._parameters)
        for key, held in holder.items()
    ]


def _whole(old: nn.Parameter, now: nn.Parameter | None) -> bool:
    """Whether fully_shard has left a whole parameter in place of a sharded one for a while."""
    return now is not None and hasattr(old, "to_local") and not hasattr(now, "to_local")


def _course(plan: Plan, row: int) -> str:
    """What a group's rate and options do over time, freezing aside, as far as the file gives them."""
    group = plan.groups[row]
    course: list[Any] = []
    tick: int | None = 0
    while tick is not None:
        state = plan.state(tick)[row]
        given = sorted((key, repr(state.products.get(key))) for key in group.given)
        course.append([given, repr(state.schedule), state.warmup])
        tick = plan.next_change(tick)
    return repr(course)


def innermost(optimizer: Optimizer) -> Optimizer:
    """The optimizer behind wrappers such as accelerate's or Lookahead, whose hooks and state are the real ones."""
    while (inner := wrapped(optimizer)) is not None:
        optimizer = inner
    return optimizer


def wrapped(optimizer: Optimizer) -> Optimizer | None:
    """The optimizer that another is a wrapper of, whatever it calls it; None where it is none."""
    from torch.optim import Optimizer

    named = getattr(optimizer, "optimizer", None)
    inner = [other for other in vars(optimizer).values() if isinstance(other, Optimizer)]
    same = (other for other in inner if _lists(other) == _lists(optimizer))
    return next(same, named if isinstance(named, Optimizer) else None)


def holds(wrapper: object, optimizers: Sequence[object]) -> bool:
    """Whether a wrapper of any kind, DeepSpeed's and accelerate's too, is one of the optimizers or around one."""
    found: object | None = wrapper
    while found is not None:
        if any(found is one for one in optimizers):
            return True
        found = getattr(found, "optimizer", None)
    return False


def _lists(optimizer: Optimizer) -> list[int]:
    # Loading puts other groups in the place of the old ones, inside first; the lists in them stay.
    return [id(group["params"]) for group in optimizer.param_groups]


def statistics_go_on(plan: Plan) -> list[tuple[str, Behaviour]]:
    """What is frozen for ever with its statistics going on, at least for a time.

    That is one group for all, however it came about, so each parameter is asked by itself.
    """
    for_ever = {name for group in plan.groups if group.kind == "frozen" for name in group.parameters}
    found = []
    for row, name in enumerate(plan.inventory.names):
        if name in for_ever:
            behaviour = plan.behaviours[plan.behaviour_of_class[plan.matches.class_of[row]]]
            if any(not effect.held for effect in behaviour.statistics):
                found.append((name, behaviour))
    return found


@dataclass(frozen=True, slots=True)
class BareModule:
    """A module without parameters that the rules freeze at some time, such as dropout, or a norm without weights."""

    name: str
    norm: bool
    behaviour: Behaviour

    def frozen(self, tick: int, fired: Fired) -> bool:
        """Whether it is in eval; a norm only as far as its statistics stand still."""
        state = self.behaviour.freeze(tick, fired)
        return (state.frozen and not state.statistics) or state.held if self.norm else state.frozen


def without_parameters(plan: Plan) -> list[BareModule]:
    """The modules without parameters that a freeze or unfreeze covers."""
    from layerlr_dsl.plan.ruling import ruling

    matches = plan.matches
    if not matches.module_rows:
        return []
    ruled = ruling(plan.decider, plan.timed, matches.module_classes)
    covered = zip(matches.module_rows, matches.module_class_of, strict=True)
    found = ((row, ruled.behaviours[ruled.behaviour_of_class[kind]]) for row, kind in covered)
    return [
        BareModule(row.name, bool(row.is_a("norm")), behaviour)
        for row, behaviour in found
        if behaviour.freezes or behaviour.statistics
    ]
