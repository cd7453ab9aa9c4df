"""The plan: a rule file resolved against a model and a clock.

It speaks of names only. Live parameters are bound last, by the training side, since tensors
may be replaced between resolving and training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from layerlr_dsl.language.checked import CheckedRules, CheckedSelector
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.behaviour import NOTHING_FIRED, Behaviour
from layerlr_dsl.plan.cascade import Cascade, OptimizerChoice
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.compiled import Compiled, all_selectors
from layerlr_dsl.plan.schedules import Schedule
from layerlr_dsl.plan.selection import Matches
from layerlr_dsl.plan.timeline import NEVER, Event, Fired
from layerlr_dsl.tools.nearest import nearest

if TYPE_CHECKING:
    import torch

    from layerlr_dsl.plan.explain import Explanation
    from layerlr_dsl.training.schedule import LayerSchedule

GroupKind = Literal["trains", "frozen", "model"]


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that behave alike at all times.

    `options` are complete, as they stand at the start and before the schedule; `given` are those that
    the file gives. `kind` is "frozen" for what the plan freezes for ever and "model" for what came
    frozen with the model; the plan owns `requires_grad` only where `planned`.
    """

    name: str
    parameters: tuple[str, ...]
    numel: int
    optimizer: int
    schedule: Schedule | None
    options: Mapping[str, Value]
    given: frozenset[str]
    kind: GroupKind
    planned: bool
    behaviour: Behaviour = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group at one tick: options before the schedule, and the thaw warm-up (first tick, ticks) if one runs."""

    options: Mapping[str, Value]
    frozen: bool
    statistics: bool
    warmup: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run in which nothing changes but the schedule. `end` None is an open end."""

    start: int
    end: int | None
    when: str | None
    frozen: tuple[str, ...]
    trainable_numel: int
    trainable_share: float


@dataclass(frozen=True, eq=False)
class Plan:
    """What every parameter does at every time of a run. Made by `Rules.resolve`."""

    rules: CheckedRules = field(repr=False)
    inventory: Inventory = field(repr=False)
    clock: Clock
    optimizers: tuple[OptimizerChoice, ...] = field(repr=False)
    groups: tuple[Group, ...]
    events: tuple[Event, ...]
    diagnostics: tuple[Diagnostic, ...]
    compiled: Compiled = field(repr=False)
    matches: Matches = field(repr=False)
    cascades: tuple[Cascade, ...] = field(repr=False)
    behaviours: tuple[Behaviour, ...] = field(repr=False)
    behaviour_of_class: tuple[int, ...] = field(repr=False)
    group_of: tuple[int, ...] = field(repr=False)
    """The group of each parameter, in the order of the inventory."""

    capture_numbers: dict[int, dict[str, tuple[int, ...]]] = field(repr=False, default_factory=dict)
    """By id of a checked selector: the distinct values of its captures, ascending."""

    def __getstate__(self) -> dict[str, Any]:
        by_selector = [
            (selector, self.capture_numbers[id(selector)])
            for selector in all_selectors(self.rules)
            if id(selector) in self.capture_numbers
        ]
        return {**self.__dict__, "capture_numbers": by_selector}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy has selectors of its own."""
        numbers = {id(selector): values for selector, values in state["capture_numbers"]}
        self.__dict__.update(state, capture_numbers=numbers)

    def numbers(self, selector: CheckedSelector, capture: str) -> tuple[int, ...]:
        """Every value that a capture of a selector is bound to, ascending."""
        return self.capture_numbers.get(id(selector), {}).get(capture, ())

    # ------------------------------------------------------------ over time

    def state(
        self, tick: int, fired: Fired = NOTHING_FIRED, defaults: Mapping[str, Any] | None = None
    ) -> tuple[GroupState, ...]:
        """Every group at a tick (an optimizer step where the clock counts steps, else an epoch).

        `fired` gives the tick at which each metric condition came true, by its number in `events`.
        `defaults` stand in for options that the file leaves to the optimizer.
        """
        return tuple(_group_state(group, tick, fired, defaults) for group in self.groups)

    def next_change(self, tick: int, fired: Fired = NOTHING_FIRED) -> int | None:
        """The first tick after `tick` at which `state` may differ; None if there is none."""
        later = [t for t in self.changes(fired) if t > tick]
        return min(later, default=None)

    def changes(self, fired: Fired = NOTHING_FIRED) -> list[int]:
        """Every tick after 0 at which some group changes, thaw warm-ups' ends included."""
        ticks: set[int] = set()
        for behaviour in self._group_behaviours:
            own = behaviour.changes(fired)
            ticks.update(own)
            if any(effect.warmup for effect in behaviour.freezes):
                ticks.update(sum(w) for t in own if (w := behaviour.warmup(t, fired)) is not None)
        return sorted(ticks)

    @cached_property
    def _group_behaviours(self) -> list[Behaviour]:
        return list({id(group.behaviour): group.behaviour for group in self.groups}.values())

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """The run in stretches in which nothing changes; what a metric condition brings comes last."""
        from layerlr_dsl.plan.phases import phases

        return phases(self)

    # ------------------------------------------------------------ for one parameter

    def at(
        self,
        *,
        epoch: float | Fraction | None = None,
        step: int | None = None,
        events: Mapping[str, float] | None = None,
    ) -> Mapping[str, Mapping[str, Value]]:
        """Each parameter's options at a time: lr as the optimizer would have it, `frozen`, and the rest.

        Tied parameters appear under each of their names. A frozen parameter reports the rate that it
        would have. `events` maps a metric to the epoch at which the conditions on it come true.
        Raises ValueError unless exactly one of `epoch` and `step` is given, and not negative, and for a
        metric that no rule waits for.
        """
        tick = self.tick(epoch=epoch, step=step)
        self._waited_for(events or {})
        fired = self.fire(events or {})
        made = [self._options(behaviour, tick, fired) for behaviour in self.behaviours]
        out: dict[str, Mapping[str, Value]] = {}
        aliases = self.inventory.aliases
        grads = self.inventory.requires_grad
        for row, name in enumerate(self.inventory.names):
            number = self.matches.class_of[row]
            options = made[self.behaviour_of_class[number]]
            if not grads[row] and not self.cascades[number].planned:
                options = {**options, "frozen": True}
            out[name] = options
            for alias in aliases.get(row, ()):
                out[alias.name] = options
        return out

    def tick(self, *, epoch: float | Fraction | None = None, step: int | None = None) -> int:
        """A time as a tick of this plan's clock. Raises ValueError."""
        if (epoch is None) == (step is None):
            raise ValueError("give either epoch or step")
        if step is not None:
            if not self.clock.counts_steps:
                raise ValueError("step needs steps_per_epoch: resolve(model, steps_per_epoch=...)")
            if step < 0:
                raise ValueError(f"step is {step}: it cannot be negative")
            return int(step)
        assert epoch is not None
        exact = epoch if isinstance(epoch, Fraction) else Fraction(str(epoch))
        if exact < 0:
            raise ValueError(f"epoch is {epoch}: it cannot be negative")
        return self.clock.tick_of_epoch(exact)

    def _waited_for(self, events: Mapping[str, float]) -> None:
        """Raise ValueError for a metric that no rule waits for."""
        metrics = list(dict.fromkeys(event.metric for event in self.events))
        for metric in events:
            if metric not in metrics:
                near = nearest(metric, metrics)
                waits = (
                    f"; did you mean {near!r}?" if near else f": they wait for {', '.join(metrics) or 'none'}"
                )
                raise ValueError(f"no rule waits for the metric {metric!r}{waits}")

    def fire(self, events: Mapping[str, float]) -> dict[int, int]:
        """From metric -> epoch to event -> tick; no event comes true before its window opens."""
        fired: dict[int, int] = {}
        timeline = self.behaviours[0].timeline if self.behaviours else None
        for event in self.events:
            if event.metric in events and timeline is not None:
                opens = timeline.tick(event.opens, fired)
                if opens < NEVER:
                    fired[event.index] = max(
                        opens, self.clock.tick_of_epoch(Fraction(str(events[event.metric])))
                    )
        return fired

    def _options(self, behaviour: Behaviour, tick: int, fired: Fired) -> Mapping[str, Value]:
        options = behaviour.options(tick, fired)
        factor = 1.0 if behaviour.schedule is None else behaviour.schedule.factor(tick)
        warmup = behaviour.warmup(tick, fired)
        if warmup is not None:
            factor *= (tick - warmup[0]) / warmup[1]
        if factor != 1.0 and "lr" in options:
            options["lr"] *= factor
        options["frozen"] = behaviour.freeze(tick, fired).frozen
        return options

    def explain(self, name: str, epoch: float | Fraction = 0) -> Explanation:
        """Every rule that matches a parameter, option by option. Raises KeyError for an unknown name."""
        from layerlr_dsl.plan.explain import explain

        return explain(self, name, self.tick(epoch=epoch))

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data, in the published schema."""
        from layerlr_dsl.plan.export import plan_json

        return plan_json(self)

    # ------------------------------------------------------------ the torch side

    def param_groups(self, model: torch.nn.Module) -> list[dict[str, Any]]:
        """Ordinary torch parameter groups over the live parameters of `model`.

        Raises ValueError where the file asks for several optimizers (use `optimizer`), and where the
        model is not the one that was resolved.
        """
        from layerlr_dsl.training.groups import param_groups

        return param_groups(self, model)

    def optimizer(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """The optimizer that the file asks for, several as one where rules choose their own."""
        from layerlr_dsl.training.groups import build_optimizer

        return build_optimizer(self, model)

    def schedule(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> LayerSchedule:
        """A learning-rate scheduler that sets each group's rate, freezes and thaws."""
        from layerlr_dsl.training.schedule import LayerSchedule

        return LayerSchedule(self, model, optimizer)


def _group_state(group: Group, tick: int, fired: Fired, defaults: Mapping[str, Any] | None) -> GroupState:
    behaviour = group.behaviour
    if group.kind != "trains":
        return GroupState(
            group.options, True, group.planned and behaviour.freeze(tick, fired).statistics, None
        )
    options = behaviour.options(tick, fired, defaults)
    state = behaviour.freeze(tick, fired)
    return GroupState(options, state.frozen, state.statistics, behaviour.warmup(tick, fired))
