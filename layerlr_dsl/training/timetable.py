"""What a plan has at each tick, given the metrics that were reported so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from layerlr_dsl.plan.stages import NEVER
from layerlr_dsl.training.binding import statistics_go_on, without_parameters
from layerlr_dsl.training.freezing import Frozen

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import GroupState, Plan
    from layerlr_dsl.plan.stages import Stretches
    from layerlr_dsl.training.reporting import Reports


class Timetable:
    """A plan over time. defaults: of the user's own optimizer, for options that the rules leave to it."""

    def __init__(self, plan: Plan, reports: Reports, defaults: Mapping[str, Any] | None) -> None:
        self.plan = plan
        self.reports = reports
        self.defaults = defaults
        self._going_on = statistics_go_on(plan)
        self._modules = without_parameters(plan)

    @property
    def stretches(self) -> Stretches:
        """The run and its stages."""
        return self.plan.timeline.stretches(self.reports.fired)

    def held(self, tick: int) -> int:
        """The tick whose state holds: the last one of the last stage after that, the first before a run begins."""
        return self.plan.held(max(tick, 0), self.reports.fired)

    def states(self, tick: int) -> tuple[GroupState, ...]:
        """Every group of the plan."""
        return self.plan.state(self.held(tick), self.reports.fired, self.defaults)

    def frozen(self, tick: int, states: Sequence[GroupState]) -> Frozen:
        """What is frozen where the groups are in these states."""
        frozen: set[str] = set()
        updating: set[str] = set()
        held: set[str] = set()
        for group, state in zip(self.plan.groups, states, strict=True):
            if group.planned and state.frozen:
                frozen.update(group.parameters)
                if state.statistics and group.kind == "trains":
                    updating.update(group.parameters)
            elif state.held:
                held.update(group.parameters)
        now = self.held(tick), self.reports.fired
        updating.update(name for name, behaviour in self._going_on if behaviour.freeze(*now).statistics)
        modules = frozenset(module.name for module in self._modules if module.frozen(*now))
        return Frozen(frozenset(frozen), frozenset(updating), frozenset(held), modules)

    def later(self, tick: int) -> int:
        """The next tick at which the rules change something, NEVER if there is none."""
        now, fired = self.held(tick), self.reports.fired
        later = self.plan.next_change(now, fired)
        changes = (at for module in self._modules for at in module.behaviour.changes(fired) if at > now)
        return min(NEVER if later is None else later, min(changes, default=NEVER))

    def waits(self) -> bool:
        """Whether a metric condition may still change something."""
        return len(self.reports.fired) < len(self.plan.events)

    def freezes_later(self, tick: int) -> bool:
        """Whether the rules freeze or thaw anything after a tick."""
        now = self.frozen(tick, self.states(tick)).parameters
        later = self.later(tick)
        while later < NEVER:
            if self.frozen(later, self.states(later)).parameters != now:
                return True
            later = self.later(later)
        return self.waits()

    # ------------------------------------------------------------ stages

    def over(self, tick: int) -> bool:
        """Whether the last stage is over before the run is."""
        over = self.plan.over(self.reports.fired)
        return over is not None and tick >= over

    def stage(self, tick: int) -> int:
        """The number of the stage at a tick, from 1; 0 where the rules have none."""
        return self.plan.stage(self.held(tick), self.reports.fired)

    def stage_name(self, tick: int) -> str | None:
        """None where the rules have no stages."""
        return self.plan.stage_name(self.held(tick), self.reports.fired)

    def begins_fresh(self, before: int, stage: int) -> bool:
        """Whether a stage asks for a fresh optimizer, or one since `before` that holds no step and is passed over."""
        return any(one.fresh for one in self.plan.timeline.calendar.stages[before:stage])

    def stages(self, tick: int) -> list[list[Any]]:
        """Each stage's name and the tick at which it began; None for those to come."""
        return [
            [name, stretch.start if stretch.start <= tick else None]
            for name, stretch in zip(self.stage_names, self.stretches[1:], strict=True)
        ]

    @property
    def stage_names(self) -> list[str]:
        """In their order."""
        return [stage.name for stage in self.plan.timeline.calendar.stages]

    def require_stages(self, saved: Sequence[Sequence[Any]]) -> None:
        """Raise ValueError for a state that was saved under another list of stages."""
        names = [name for name, _ in saved]
        if names != self.stage_names:
            raise ValueError(
                f"this state was saved with {_listed(names)}, and the rules have {_listed(self.stage_names)}"
            )


def _listed(names: Sequence[str]) -> str:
    return f"the stages {', '.join(names)}" if names else "no stages"
