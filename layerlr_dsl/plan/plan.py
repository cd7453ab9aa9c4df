"""The plan: a rule file resolved against a model and a clock.

It speaks of names only. Live parameters are bound last, by the training side, since tensors
may be replaced between resolving and training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import Any, Literal

from layerlr_dsl.language.checked import CheckedRules, CheckedSelector
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.behaviour import NOTHING_FIRED, Behaviour
from layerlr_dsl.plan.cascade import Cascade, OptimizerChoice
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.compiled import Compiled, all_selectors
from layerlr_dsl.plan.course import Product
from layerlr_dsl.plan.scheduled import Scheduled
from layerlr_dsl.plan.selection import Matches
from layerlr_dsl.plan.stages import NEVER, Fired
from layerlr_dsl.plan.timed import Timed
from layerlr_dsl.plan.timeline import Event, Timeline
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.records import record

MOST_LOOKED_AT = 10_000
GroupKind = Literal["trains", "frozen", "model"]


@record
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
    schedule: Scheduled | None
    options: Mapping[str, Value]
    given: frozenset[str]
    kind: GroupKind
    planned: bool
    behaviour: Behaviour = field(repr=False, compare=False)


@record
class GroupState:
    """A group at one tick: options before the schedule, and the thaw warm-up (first tick, ticks) if one runs.

    products: the options as they are made, for those that move on until the next change. statistics: they go
    on though the group is frozen; held: they stand still though it trains.
    """

    options: Mapping[str, Value]
    frozen: bool
    statistics: bool
    warmup: tuple[int, int] | None
    products: Mapping[str, Product] = field(default_factory=dict, repr=False)
    schedule: Scheduled | None = None
    held: bool = False


@record
class Phase:
    """A stretch of the run in which nothing changes but the schedule. `end` None is an open end."""

    start: int
    end: int | None
    when: str | None
    frozen: tuple[str, ...]
    trainable_numel: int
    trainable_share: float
    stage: str | None = None


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
    timed: Timed = field(repr=False)
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
        at = self.held(tick, fired)
        return tuple(_group_state(group, at, fired, defaults) for group in self.groups)

    @property
    def timeline(self) -> Timeline:
        """The windows and stages of the rules on the clock."""
        return self.timed.timeline

    def held(self, tick: int, fired: Fired = NOTHING_FIRED) -> int:
        """A tick, or the last one of the last stage where that is over: its state holds."""
        over = self.over(fired)
        return tick if over is None or tick < over else max(over - 1, 0)

    def over(self, fired: Fired = NOTHING_FIRED) -> int | None:
        """The tick at which the last stage is over before the run is; None where it is not."""
        return self.timeline.calendar.over(self.timeline.stretches(fired))

    def stage(self, tick: int, fired: Fired = NOTHING_FIRED) -> int:
        """The number of the stage at a tick, from 1; 0 where the rules have none."""
        return self.timeline.calendar.stage_at(tick, self.timeline.stretches(fired))

    def stage_name(self, tick: int, fired: Fired = NOTHING_FIRED) -> str | None:
        """The name of the stage at a tick; None where the rules have none."""
        number = self.stage(tick, fired)
        return self.timeline.calendar.stages[number - 1].name if number else None

    def next_change(self, tick: int, fired: Fired = NOTHING_FIRED) -> int | None:
        """The first tick after `tick` at which `state` may differ; None if there is none."""
        later = [t for t in self.changes(fired) if t > tick]
        return min(later, default=None)

    def looked_at(self) -> list[int]:
        """The ticks at which what moves is checked: all of a run of up to 10,000, else so many evenly spread."""
        total = self.clock.total or 0
        if total <= MOST_LOOKED_AT:
            return list(range(total + 1))
        return sorted({*(total * k // MOST_LOOKED_AT for k in range(MOST_LOOKED_AT)), total})

    def changes(self, fired: Fired = NOTHING_FIRED) -> list[int]:
        """Every tick after 0 at which some group changes, thaw warm-ups' ends included."""
        starts = (stretch.start for stretch in self.timeline.stretches(fired)[1:])
        ticks = {start for start in starts if 0 < start < NEVER}
        over = self.over(fired)
        if over:
            ticks.add(over)
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
        return _phases(self)

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
        tick = self.held(tick, fired)
        made = [self.options_of(behaviour, tick, fired) for behaviour in self.behaviours]
        out: dict[str, Mapping[str, Value]] = {}
        aliases = self.inventory.aliases
        for row, name in enumerate(self.inventory.names):
            out[name] = options = made[self.behaviour_of_class[self.matches.class_of[row]]]
            for alias in aliases.get(row, ()):
                out[alias.name] = options
        return out

    def tick(self, *, epoch: float | Fraction | None = None, step: int | None = None) -> int:
        """A time as a tick of this plan's clock. Raises ValueError."""
        if (epoch is None) == (step is None):
            raise ValueError("give either epoch or step")
        if step is not None:
            if not self.clock.counts_steps:
                raise ValueError("step needs steps_per_epoch: resolve(model, steps_per_epoch=...), or steps=")
            if step < 0:
                raise ValueError(f"step is {step}: it cannot be negative")
            return int(step)
        assert epoch is not None
        exact = epoch if isinstance(epoch, Fraction) else Fraction(str(epoch))
        if exact < 0:
            raise ValueError(f"epoch is {epoch}: it cannot be negative")
        if not self.clock.knows_epochs:
            raise ValueError("epoch needs steps_per_epoch: the length of the run is given in steps alone")
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
        for event in self.events:
            if event.metric in events:
                opens = self.timeline.tick(event.opens, fired)
                if opens < NEVER:
                    fired[event.index] = max(opens, self._event_tick(events[event.metric]))
        return fired

    def _event_tick(self, when: float) -> int:
        """An epoch; a step where the clock knows no epochs."""
        exact = Fraction(str(when))
        return self.clock.tick_of_epoch(exact) if self.clock.knows_epochs else ceil(exact)

    def options_of(self, behaviour: Behaviour, tick: int, fired: Fired) -> Mapping[str, Value]:
        """A class's options as the optimizer would have them, and whether it is frozen."""
        return {**behaviour.applied(tick, fired), "frozen": behaviour.freeze(tick, fired).frozen}


def _group_state(group: Group, tick: int, fired: Fired, defaults: Mapping[str, Any] | None) -> GroupState:
    behaviour = group.behaviour
    if group.kind != "trains":
        return GroupState(
            group.options, True, group.planned and behaviour.freeze(tick, fired).statistics, None
        )
    now = behaviour.now(tick, fired, defaults)
    state = now.freeze
    stretches = behaviour.timeline.stretches(fired)
    options = {option: product.at(tick, stretches) for option, product in now.products.items()}
    warmup = behaviour.warmup(tick, fired)
    return GroupState(options, state.frozen, state.statistics, warmup, now.products, now.schedule, state.held)


# ---------------------------------------------------------------- phases


def _phases(plan: Plan) -> tuple[Phase, ...]:
    """Phases by the clock alone, then one for each metric condition, as if those before it had come true."""
    total = plan.clock.total
    starts = [0]
    states = [_signature(plan, 0, NOTHING_FIRED)]
    for tick in _boundaries(plan):
        if total is not None and tick >= total:
            break
        state = _signature(plan, tick, NOTHING_FIRED)
        if state != states[-1]:
            starts.append(tick)
            states.append(state)
    ends: list[int | None] = [*starts[1:], total]
    found = [_phase(plan, start, end, None, NOTHING_FIRED) for start, end in zip(starts, ends, strict=True)]
    last = starts[-1]
    fired: dict[int, int] = {}
    for event in plan.events:
        opens = plan.timeline.tick(event.opens, fired)
        if opens == NEVER:
            continue
        fired[event.index] = opens
        found.append(_phase(plan, max(opens, 0), total, event.text, dict(fired), at=max(last, opens)))
    return tuple(found)


def _boundaries(plan: Plan) -> list[int]:
    changes = {tick for group in plan.groups for tick in group.behaviour.changes()}
    starts = {stretch.start for stretch in plan.timeline.stretches(NOTHING_FIRED)[1:]}
    return sorted({tick for tick in changes | starts if 0 < tick < NEVER})


def _signature(plan: Plan, tick: int, fired: Fired) -> list[object]:
    states = [(s.products, s.schedule, s.frozen, s.statistics, s.held) for s in plan.state(tick, fired)]
    return [plan.stage(tick, fired), *states]


def _phase(
    plan: Plan, start: int, end: int | None, when: str | None, fired: Fired, at: int | None = None
) -> Phase:
    states = plan.state(start if at is None else at, fired)
    frozen = tuple(g.name for g, s in zip(plan.groups, states, strict=True) if s.frozen)
    trainable = sum(g.numel for g, s in zip(plan.groups, states, strict=True) if not s.frozen)
    whole = sum(g.numel for g in plan.groups)
    stage = plan.stage_name(start if at is None else at, fired)
    return Phase(start, end, when, frozen, trainable, trainable / whole if whole else 0.0, stage)
