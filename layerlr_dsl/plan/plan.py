"""The plan: a rule file resolved against a model and a clock.

It speaks of names only. Live parameters are bound last, by the training side, since tensors
may be replaced between resolving and training.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import Any, Literal

from layerlr_dsl.language.checked import CheckedRules
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.behaviour import Behaviour
from layerlr_dsl.plan.cascade import Cascade, OptimizerChoice
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.course import Product
from layerlr_dsl.plan.matching import Decider, Matches
from layerlr_dsl.plan.scheduled import Scheduled
from layerlr_dsl.plan.stages import NEVER, NOTHING_FIRED, Fired
from layerlr_dsl.plan.stepwise import Recent
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
    tick: int = field(default=0, repr=False)
    """When it looks as it does: its start, or behind a metric condition all that the clock brings before it."""
    fired: Fired = field(default_factory=dict, repr=False)
    """The conditions that have come true by then."""


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
    timed: Timed = field(repr=False)
    matches: Matches = field(repr=False)
    cascades: tuple[Cascade, ...] = field(repr=False)
    behaviours: tuple[Behaviour, ...] = field(repr=False)
    behaviour_of_class: tuple[int, ...] = field(repr=False)
    group_of: tuple[int, ...] = field(repr=False)
    """The group of each parameter, in the order of the inventory."""

    decider: Decider = field(repr=False)

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
        changes = self._changes_given(fired)
        place = bisect_right(changes, tick)
        return changes[place] if place < len(changes) else None

    def words(self, tick: int) -> str:
        """A tick in words: `step 40`, or `epoch 3` where steps are not counted."""
        return f"step {tick}" if self.clock.counts_steps else self.clock.words(tick)

    def looked_at(self) -> list[int]:
        """The ticks at which what moves is checked: all of a run of up to 10,000, else so many evenly spread."""
        total = self.clock.total or 0
        if total <= MOST_LOOKED_AT:
            return list(range(total + 1))
        return sorted({*(total * k // MOST_LOOKED_AT for k in range(MOST_LOOKED_AT)), total})

    def changes(self, fired: Fired = NOTHING_FIRED) -> list[int]:
        """Every tick after 0 at which something changes, thaw warm-ups' ends included."""
        return list(self._changes_given(fired))

    def _changes_given(self, fired: Fired) -> list[int]:
        return self._changes.of(frozenset(fired.items()), lambda: self._every_change(fired))

    def _every_change(self, fired: Fired) -> list[int]:
        ticks = {stretch.start for stretch in self.timeline.stretches(fired)[1:]}
        ticks.add(self.over(fired) or 0)
        for behaviour in self.behaviours:
            ticks.update(behaviour.changes(fired))
            ticks.update(thaw.tick + thaw.warmup for thaw in behaviour.unfolded(fired).thaws)
        return sorted(tick for tick in ticks if 0 < tick < NEVER)

    @cached_property
    def _changes(self) -> Recent[list[int]]:
        return Recent()

    def suppositions(self) -> Iterator[tuple[Event, int, Fired]]:
        """Each metric condition as if it came true as soon as it can, and those before it had.

        With it the tick, and all that have come true by then. What waits in a stage comes before the end of
        that stage.
        """
        ends = {stage.until for stage in self.timeline.calendar.stages}
        fired: dict[int, int] = {}
        for event in sorted(self.events, key=lambda e: (e.opens.stage, e.index in ends)):
            opens = self.timeline.tick(event.opens, fired)
            if opens < NEVER:
                fired = {**fired, event.index: opens}
                yield event, opens, fired

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
    starts = [0, *(tick for tick in _boundaries(plan) if total is None or tick < total)]
    ends: list[int | None] = [*starts[1:], total]
    found = [_phase(plan, start, end, None, NOTHING_FIRED) for start, end in zip(starts, ends, strict=True)]
    for event, opens, fired in plan.suppositions():
        at = max(opens, starts[-1]) if not plan.timeline.calendar.stages else _settled(plan, opens, fired)
        found.append(_phase(plan, opens, total, event.text, fired, at))
    return tuple(found)


def _boundaries(plan: Plan) -> list[int]:
    """The ticks after 0 at which a group changes or a stage begins, by the clock alone."""
    ticks = {stretch.start for stretch in plan.timeline.stretches(NOTHING_FIRED)[1:]}
    for group in plan.groups:
        unfolded = group.behaviour.unfolded()
        if group.kind == "trains":
            ticks.update(unfolded.schedule.changes)
            ticks.update(tick for steps in unfolded.products.values() for tick in steps.changes)
        ticks.update(unfolded.frozen.plainly().changes)
    return sorted(tick for tick in ticks if 0 < tick < NEVER)


def _settled(plan: Plan, tick: int, fired: Fired) -> int:
    """The last change that the clock brings in the stage of a tick."""
    stage = plan.stage(tick, fired)
    return max((t for t in plan.changes(fired) if t > tick and plan.stage(t, fired) == stage), default=tick)


def _phase(
    plan: Plan, start: int, end: int | None, when: str | None, fired: Fired, at: int | None = None
) -> Phase:
    at = start if at is None else at
    held = plan.held(at, fired)
    frozen = [g.kind != "trains" or g.behaviour.freeze(held, fired).frozen for g in plan.groups]
    names = tuple(group.name for group, still in zip(plan.groups, frozen, strict=True) if still)
    trainable = sum(group.numel for group, still in zip(plan.groups, frozen, strict=True) if not still)
    whole = sum(group.numel for group in plan.groups)
    stage = plan.stage_name(at, fired)
    return Phase(start, end, when, names, trainable, trainable / whole if whole else 0.0, stage, at, fired)
