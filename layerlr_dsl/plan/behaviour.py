"""How a class of parameters behaves over all of time, in a form that can be compared.

Two parameters belong in one group exactly when their behaviours are equal. Where no metric
condition is involved, a behaviour is the list of what holds between its marks, so rules that
say the same in different words compare equal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from layerlr_dsl.catalogue.optimizers import MISSING, OptimizerInfo
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.plan.cascade import Cascade, FreezeEffect, OptimizerChoice, StatisticsEffect
from layerlr_dsl.plan.course import Course, Effect, Product, not_hidden
from layerlr_dsl.plan.moving import Moving
from layerlr_dsl.plan.scheduled import Scheduled
from layerlr_dsl.plan.stages import NEVER, Fired
from layerlr_dsl.plan.timeline import Interval, Timeline

NOTHING_FIRED: Fired = {}


@dataclass(frozen=True, slots=True)
class FreezeState:
    """Whether parameters are frozen, and what their normalisation statistics do.

    statistics: they go on though the parameters are frozen. held: they stand still though those train.
    """

    frozen: bool
    statistics: bool
    effect: FreezeEffect | None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Now:
    """What holds from a tick to the next change: options, the schedule that drives some, the frozen state."""

    products: Mapping[str, Product]
    schedule: Scheduled | None
    freeze: FreezeState


@dataclass(slots=True, eq=False)
class Behaviour:
    """What a class of parameters does over time."""

    optimizer: int
    courses: Mapping[str, Course]
    explicit: frozenset[str]
    """Options that the file gives at some time, by a rule or by its `optimizer` statement."""
    freezes: tuple[FreezeEffect, ...]
    statistics: tuple[StatisticsEffect, ...]
    came_frozen: bool
    timeline: Timeline
    scheduled: str | None
    """The option that schedules drive."""
    marks: tuple[Interval, ...] = field(init=False)
    """Every window that is not always open."""
    conditional: bool = field(init=False)
    """Whether a metric condition decides something here."""
    _turns: list[int] = field(init=False)
    """Where no condition has come true: the changes."""
    _now: dict[int, Now] = field(default_factory=dict)
    """Where no condition has come true: what holds after so many changes."""
    _forever: bool | None = None

    def __post_init__(self) -> None:
        windows = [e.window for course in self.courses.values() for e in course.effects]
        windows += [e.window for course in self.courses.values() for e in course.schedules]
        windows += [e.window for e in self.freezes]
        windows += [e.window for e in self.statistics]
        self.marks = tuple(dict.fromkeys([w for w in windows if not w.always]))
        self._turns = self._changes(NOTHING_FIRED) if self.marks else []
        waits = any(stage.until is not None for stage in self.timeline.calendar.stages)
        self.conditional = any(w.conditional or (waits and w.stage) for w in self.marks)

    # ------------------------------------------------------------ options

    def now(self, tick: int, fired: Fired = NOTHING_FIRED, defaults: Mapping[str, Any] | None = None) -> Now:
        """What holds at a tick. `defaults` are those of the user's own optimizer, for what the file leaves alone."""
        if fired or defaults is not None:
            return self._now_at(tick, fired, defaults or {})
        place = bisect_right(self._turns, tick)
        found = self._now.get(place)
        if found is None:
            found = self._now[place] = self._now_at(tick, NOTHING_FIRED, {})
        return found

    def _now_at(self, tick: int, fired: Fired, defaults: Mapping[str, Any]) -> Now:
        products = {
            option: course.product(self.timeline, tick, fired, defaults.get(option))
            for option, course in self.courses.items()
        }
        driven = self.courses.get(self.scheduled or "")
        schedule = None if driven is None else driven.schedule(self.timeline, tick, fired)
        return Now(products, schedule, self._freeze_at(tick, fired))

    def options(
        self, tick: int, fired: Fired = NOTHING_FIRED, defaults: Mapping[str, Any] | None = None
    ) -> dict[str, Value]:
        """Every option at a tick, before the schedule. Raises Fault where what moves has no value."""
        products = self.now(tick, fired, defaults).products
        if not any(product.movers for product in products.values()):
            return {option: product.scale for option, product in products.items()}
        stretches = self.timeline.stretches(fired)
        return {option: product.at(tick, stretches) for option, product in products.items()}

    def applied(self, tick: int, fired: Fired = NOTHING_FIRED) -> dict[str, Value]:
        """Every option as the optimizer would have it: scheduled, and warmed up after a thaw."""
        options = self.options(tick, fired)
        driven = self.scheduled
        if driven is not None and isinstance(options.get(driven), (int, float)):
            options[driven] = self.driven(options[driven], tick, fired)
        return options

    def driven(self, value: float, tick: int, fired: Fired) -> float:
        """What the schedule and the thaw warm-up leave of a value."""
        schedule = self.now(tick, fired).schedule
        if schedule is not None:
            value = schedule.rate(value, tick, self.timeline.stretches(fired))
        warmup = self.warmup(tick, fired)
        return value if warmup is None else value * ((tick - warmup[0]) / warmup[1])

    @property
    def moving(self) -> tuple[str, ...]:
        """The options that move at some time, by themselves and not by a schedule."""
        return tuple(
            option
            for option, course in self.courses.items()
            if any(isinstance(effect.value, Moving) for effect in course.effects)
        )

    def schedule_at(self, tick: int, fired: Fired = NOTHING_FIRED) -> Scheduled | None:
        return self.now(tick, fired).schedule

    # ------------------------------------------------------------ freezing

    def freeze(self, tick: int, fired: Fired = NOTHING_FIRED) -> FreezeState:
        if not fired:
            return self.now(tick).freeze
        return self._freeze_at(tick, fired)

    def _freeze_at(self, tick: int, fired: Fired) -> FreezeState:
        winner = next((e for e in reversed(self.freezes) if self.active(e.window, tick, fired)), None)
        frozen = self.came_frozen if winner is None else winner.frozen
        said = (e for e in reversed(self.statistics) if e.own or frozen)
        hold = next((e for e in said if self.active(e.window, tick, fired)), None)
        held = frozen if hold is None else hold.held
        return FreezeState(frozen, frozen and not held, winner, held and not frozen)

    def active(self, window: Interval, tick: int, fired: Fired) -> bool:
        return window.always or self.timeline.active(window, tick, fired)

    def changes(self, fired: Fired = NOTHING_FIRED) -> list[int]:
        """Ticks after 0 at which a window opens or closes."""
        return self._changes(fired) if fired else self._turns.copy()

    def _changes(self, fired: Fired) -> list[int]:
        ticks = {tick for window in self.marks for tick in self.timeline.opens_and_closes(window, fired)}
        return sorted(t for t in ticks if 0 < t < NEVER)

    def warmup(self, tick: int, fired: Fired = NOTHING_FIRED) -> tuple[int, int] | None:
        """The thaw warm-up that is running at a tick, as its first tick and its length in ticks."""
        if not any(effect.warmup for effect in self.freezes):
            return None
        for at in reversed(self.changes(fired)):
            if at > tick:
                continue
            effect = self._thaw(at, fired)
            if effect is not None:
                ticks = self.timeline.ticks(effect.warmup, fired)
                running = tick < at + ticks and self._in_its_stage(effect, tick, fired)
                return (at, ticks) if running else None
        return None

    def _in_its_stage(self, effect: FreezeEffect, tick: int, fired: Fired) -> bool:
        stage = effect.window.stage
        return not stage or self.timeline.calendar.stage_at(tick, self.timeline.stretches(fired)) == stage

    def _thaw(self, at: int, fired: Fired) -> FreezeEffect | None:
        """What tells how the parameters that thaw at tick `at` warm up; None if nothing does."""
        before, after = self.freeze(at - 1, fired), self.freeze(at, fired)
        if not before.frozen or after.frozen:
            return None
        return after.effect if after.effect is not None and after.effect.warmup else before.effect

    @property
    def frozen_for_ever(self) -> bool:
        if self._forever is None:
            self._forever = (self.came_frozen or bool(self.freezes)) and self._never_trains()
        return self._forever

    def _never_trains(self) -> bool:
        if not self.conditional:
            return all(self.freeze(t).frozen for t in (0, *self._turns))
        last = max((n for n, e in enumerate(self.freezes) if e.window.always), default=None)
        said = self.freezes if last is None else self.freezes[last:]
        return all(e.frozen for e in said) and (last is not None or self.came_frozen)

    def key(self) -> tuple[Any, ...]:
        """Equal for two behaviours that nobody could tell apart at any time."""
        head = (self.optimizer, self.explicit, self.came_frozen)
        if self.conditional:
            effects = [e.plain() for course in self.courses.values() for e in course.effects]
            drives = [(e.schedule, e.window) for course in self.courses.values() for e in course.schedules]
            freezes = [(e.frozen, e.warmup, e.window) for e in self.freezes]
            holds = [(e.held, e.own, e.window) for e in self.statistics]
            return (*head, tuple(effects), tuple(drives), tuple(freezes), tuple(holds))
        course: list[Any] = []
        for tick in (0, *self._turns):
            now = self.now(tick)
            state = now.freeze
            freeze = (state.frozen, state.statistics, state.held, self.warmup(tick))
            seen = (tuple(sorted(now.products.items())), now.schedule, freeze)
            if not course or course[-1][1] != seen:
                course.append((tick, seen))
        if not self.freezes and not self.statistics and len(course) == 1:
            return (*head, course[0][1])
        return (*head, bool(self.freezes), tuple(course))


def base_options(choice: OptimizerChoice) -> dict[str, Value]:
    """The options of an optimizer that no rule touches: its own settings, else torch's defaults."""
    options: dict[str, Value] = {}
    for name, option in choice.info.options.items():
        if name in choice.settings:
            options[name] = choice.settings[name]
        elif option.group and option.algorithmic and option.default is not MISSING:
            options[name] = option.default
    scheduled = choice.info.scheduled
    options.setdefault(scheduled, choice.settings.get(scheduled, DEFAULT_RATE))
    return options


DEFAULT_RATE = 1e-3
"""What stands for the rate of an optimizer that has no default of its own."""


class BehaviourBuilder:
    """Makes the behaviour of each cascade; what an optimizer brings is shared."""

    def __init__(self, optimizers: Iterable[OptimizerChoice], timeline: Timeline) -> None:
        self._optimizers = [
            (base_options(choice), frozenset(choice.settings), _of_groups(choice.info), choice.info.scheduled)
            for choice in optimizers
        ]
        self._timeline = timeline

    def build(self, cascade: Cascade) -> Behaviour:
        base, settings, of_groups, scheduled = self._optimizers[cascade.optimizer]
        by_option: dict[str, list[Effect]] = defaultdict(list)
        for effect in cascade.effects:
            by_option[effect.option].append(effect)
        courses = {
            option: Course(
                option,
                base.get(option),
                option in settings,
                not_hidden(by_option[option]) if option in by_option else (),
                cascade.schedules if option == scheduled else (),
            )
            for option in dict.fromkeys((*base, *by_option))
        }
        quoted = {e.option for e in cascade.effects if e.setting.quoted}
        explicit = settings.union(by_option) & of_groups
        return Behaviour(
            cascade.optimizer,
            courses,
            explicit | quoted,
            cascade.freezes,
            cascade.statistics,
            cascade.came_frozen,
            self._timeline,
            scheduled,
        )


def _of_groups(info: OptimizerInfo) -> frozenset[str]:
    return frozenset(name for name, option in info.options.items() if option.group)
