"""Whether parameters are frozen, and their statistics held, over all of time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.stages import NOTHING_FIRED, Fired
from layerlr_dsl.plan.stepwise import Stepwise, sweep
from layerlr_dsl.plan.timeline import Interval, Mark, Timeline
from layerlr_dsl.tools.records import record


@record
class FreezeEffect:
    """`frozen` or not, inside a window; `warmup` lasts so long, for what thaws at its end (or start)."""

    option: ClassVar[str] = "frozen"
    multiply: ClassVar[bool] = False
    clause: int
    frozen: bool
    warmup: Mark
    window: Interval
    span: Span = field(compare=False)
    number: int = field(compare=False)


@record
class StatisticsEffect:
    """Whether normalisation statistics are held, inside a window; an option of its own beside `frozen`.

    own: by `freeze statistics of`, of which an unfreeze says nothing; what a freeze says of them it ends.
    """

    option: ClassVar[str] = "statistics"
    multiply: ClassVar[bool] = False
    clause: int
    held: bool
    own: bool
    window: Interval
    number: int = field(compare=False)


@record
class FreezeState:
    """Whether parameters are frozen, and what their normalisation statistics do.

    statistics: they go on though the parameters are frozen. held: they stand still though those train.
    """

    frozen: bool
    statistics: bool
    effect: FreezeEffect | None
    held: bool = False


@record
class Thaw:
    """The tick at which parameters thaw, how long they warm up, and the stage that cuts it off (0: none does)."""

    tick: int
    warmup: int
    stage: int


@record
class Frozen:
    """What freezes and thaws some parameters, step by step."""

    states: Stepwise[FreezeState]
    thaws: tuple[Thaw, ...]

    def plainly(self) -> Stepwise[tuple[bool, bool, bool]]:
        """Whether they are frozen, their statistics go on, or stand still, whatever statement says so."""
        steps = zip(self.states.ticks, self.states.values, strict=True)
        return Stepwise.of((tick, (state.frozen, state.statistics, state.held)) for tick, state in steps)


@dataclass(slots=True, eq=False)
class Freezing:
    """All that freezes and thaws some parameters: one object for all of which the same is said."""

    freezes: tuple[FreezeEffect, ...]
    statistics: tuple[StatisticsEffect, ...]
    came_frozen: bool
    timeline: Timeline
    conditional: bool = field(init=False)
    """Whether a metric condition decides something here."""
    alike: int = 0
    """The same for two that nobody could tell apart."""
    _nominal: Frozen | None = None
    """Where no condition has come true."""

    def __post_init__(self) -> None:
        self.conditional = any(self.timeline.waits(window) for window in self._windows())

    def over_time(self, fired: Fired = NOTHING_FIRED) -> Frozen:
        """When they are frozen, given the metric conditions that have come true."""
        if fired:
            return self._over_time(fired)
        if self._nominal is None:
            self._nominal = self._over_time(fired)
        return self._nominal

    def _windows(self) -> list[Interval]:
        return [effect.window for said in (self.freezes, self.statistics) for effect in said]

    def _over_time(self, fired: Fired) -> Frozen:
        if not self.freezes and not self.statistics:
            return Frozen(Stepwise.always(FreezeState(self.came_frozen, False, None)), ())
        periods = [self.timeline.period(window, fired) for window in self._windows()]
        states = Stepwise.of((tick, self._state(holding)) for tick, holding in sweep(periods))
        return Frozen(states, tuple(self._thaws(states, fired)))

    def _state(self, holding: Sequence[int]) -> FreezeState:
        """holding: the places of the effects in force, of the freezes and then of the statistics."""
        first = len(self.freezes)
        of_statistics = bisect_left(holding, first)
        winner = self.freezes[holding[of_statistics - 1]] if of_statistics else None
        frozen = self.came_frozen if winner is None else winner.frozen
        said = (self.statistics[number - first] for number in reversed(holding[of_statistics:]))
        hold = next((one for one in said if one.own or frozen), None)
        held = frozen if hold is None else hold.held
        return FreezeState(frozen, frozen and not held, winner, held and not frozen)

    def _thaws(self, states: Stepwise[FreezeState], fired: Fired) -> Iterator[Thaw]:
        steps = zip(states.values, states.values[1:], states.changes, strict=False)
        for before, after, tick in steps:
            if before.frozen and not after.frozen:
                tells = after.effect if after.effect is not None and after.effect.warmup else before.effect
                ticks = 0 if tells is None else self.timeline.ticks(tells.warmup, fired)
                yield Thaw(tick, ticks, 0 if tells is None else tells.window.stage)
