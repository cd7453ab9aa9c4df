"""How a class of parameters behaves over all of time, in a form that can be compared.

Two parameters belong in one group exactly when their behaviours are equal. Where no metric
condition is involved, a behaviour is the list of what holds between its marks, so rules that
say the same in different words compare equal.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import Any

from layerlr_dsl.catalogue.optimizers import MISSING, OptimizerInfo
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.plan.cascade import Cascade, FreezeEffect, OptimizerChoice, StatisticsEffect
from layerlr_dsl.plan.course import Course, Effect, Product, not_hidden, product
from layerlr_dsl.plan.moving import Moving
from layerlr_dsl.plan.scheduled import Scheduled
from layerlr_dsl.plan.stages import Fired
from layerlr_dsl.plan.stepwise import Recent, Stepwise, sweep
from layerlr_dsl.plan.timeline import Interval, Timeline
from layerlr_dsl.tools.records import record

NOTHING_FIRED: Fired = {}


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
class Now:
    """What holds from a tick to the next change: options, the schedule that drives some, the frozen state."""

    products: Mapping[str, Product]
    schedule: Scheduled | None
    freeze: FreezeState


@record
class Thaw:
    """The tick at which parameters thaw, how long they warm up, and the stage that cuts it off (0: none does)."""

    tick: int
    warmup: int
    stage: int


@record
class Unfolded:
    """A behaviour step by step, given the metric conditions that have come true."""

    products: Mapping[str, Stepwise[Product]]
    schedule: Stepwise[Scheduled | None]
    freeze: Stepwise[FreezeState]
    thaws: tuple[Thaw, ...]
    changes: tuple[int, ...]
    """The ticks after 0 at which anything changes."""

    def frozen_changes(self) -> tuple[int, ...]:
        """The ticks after 0 at which parameters freeze or thaw, or their statistics do."""
        return self.states().changes

    def states(self) -> Stepwise[tuple[bool, bool, bool]]:
        """Whether they are frozen, their statistics go on, or stand still, whatever statement says so."""
        steps = zip(self.freeze.ticks, self.freeze.values, strict=True)
        return Stepwise.of((tick, (state.frozen, state.statistics, state.held)) for tick, state in steps)

    def at(self, tick: int) -> Now:
        products = {option: steps.at(tick) for option, steps in self.products.items()}
        return Now(products, self.schedule.at(tick), self.freeze.at(tick))


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
    untouched: Mapping[str, Stepwise[Product]]
    """What the optimizer itself says of its options, one object for all behaviours under it."""
    conditional: bool = field(init=False)
    """Whether a metric condition decides something here."""
    _nominal: Unfolded | None = None
    """Where no condition has come true."""
    _supposed: Recent[Unfolded] = field(default_factory=Recent)
    _forever: bool | None = None

    def __post_init__(self) -> None:
        windows = [e.window for course in self.courses.values() for e in course.effects]
        windows += [e.window for course in self.courses.values() for e in course.schedules]
        windows += [e.window for e in self.freezes]
        windows += [e.window for e in self.statistics]
        waits = any(stage.until is not None for stage in self.timeline.calendar.stages)
        self.conditional = any(w.conditional or (waits and w.stage) for w in windows)

    # ------------------------------------------------------------ over time

    def unfolded(self, fired: Fired = NOTHING_FIRED) -> Unfolded:
        """All of time in one pass."""
        if fired:
            return self._supposed.of(frozenset(fired.items()), lambda: self._unfold(fired))
        if self._nominal is None:
            self._nominal = self._unfold(fired)
        return self._nominal

    def _unfold(self, fired: Fired) -> Unfolded:
        timeline = self.timeline
        said = {
            option: course.products(timeline, fired)
            for option, course in self.courses.items()
            if course.effects
        }
        products = {**self.untouched, **said}
        driven = self.courses.get(self.scheduled or "")
        schedule: Stepwise[Scheduled | None] = Stepwise.always(None)
        if driven is not None:
            schedule = driven.driven_by(timeline, fired)
        freeze = self._frozen_from_when_on(fired)
        ticks = {tick for steps in said.values() for tick in steps.changes}
        changes = sorted(ticks.union(schedule.changes, freeze.changes))
        return Unfolded(products, schedule, freeze, tuple(self._thaws(freeze, fired)), tuple(changes))

    def now(self, tick: int, fired: Fired = NOTHING_FIRED, defaults: Mapping[str, Any] | None = None) -> Now:
        """What holds at a tick. `defaults` are those of the user's own optimizer, for what the file leaves alone."""
        now = self.unfolded(fired).at(tick)
        given = defaults or {}
        others = {
            option: course.product(self.timeline, tick, fired, given[option])
            for option, course in (self.courses.items() if given else ())
            if not course.settled and given.get(option) not in (None, course.base)
        }
        return Now({**now.products, **others}, now.schedule, now.freeze) if others else now

    def changes(self, fired: Fired = NOTHING_FIRED) -> tuple[int, ...]:
        """Ticks after 0 at which anything changes."""
        return self.unfolded(fired).changes

    def active(self, window: Interval, tick: int, fired: Fired) -> bool:
        return window.always or self.timeline.active(window, tick, fired)

    # ------------------------------------------------------------ options

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
        schedule = self.schedule_at(tick, fired)
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
        return self.unfolded(fired).schedule.at(tick)

    # ------------------------------------------------------------ freezing

    def freeze(self, tick: int, fired: Fired = NOTHING_FIRED) -> FreezeState:
        return self.unfolded(fired).freeze.at(tick)

    def _frozen_from_when_on(self, fired: Fired) -> Stepwise[FreezeState]:
        if not self.freezes and not self.statistics:
            return Stepwise.always(FreezeState(self.came_frozen, False, None))
        windows = [*(e.window for e in self.freezes), *(e.window for e in self.statistics)]
        periods = [self.timeline.period(window, fired) for window in windows]
        return Stepwise.of((tick, self._frozen(holding)) for tick, holding in sweep(periods))

    def _frozen(self, holding: Sequence[int]) -> FreezeState:
        """holding: the places of the effects in force, of the freezes and then of the statistics."""
        first = len(self.freezes)
        of_statistics = bisect_left(holding, first)
        winner = self.freezes[holding[of_statistics - 1]] if of_statistics else None
        frozen = self.came_frozen if winner is None else winner.frozen
        said = (self.statistics[number - first] for number in reversed(holding[of_statistics:]))
        hold = next((one for one in said if one.own or frozen), None)
        held = frozen if hold is None else hold.held
        return FreezeState(frozen, frozen and not held, winner, held and not frozen)

    def _thaws(self, freeze: Stepwise[FreezeState], fired: Fired) -> Iterator[Thaw]:
        states = zip(freeze.values, freeze.values[1:], freeze.changes, strict=False)
        for before, after, tick in states:
            if before.frozen and not after.frozen:
                tells = after.effect if after.effect is not None and after.effect.warmup else before.effect
                ticks = 0 if tells is None else self.timeline.ticks(tells.warmup, fired)
                yield Thaw(tick, ticks, 0 if tells is None else tells.window.stage)

    def warmup(self, tick: int, fired: Fired = NOTHING_FIRED) -> tuple[int, int] | None:
        """The thaw warm-up that is running at a tick, as its first tick and its length in ticks."""
        thaws = self.unfolded(fired).thaws
        place = bisect_right(thaws, tick, key=attrgetter("tick")) - 1 if thaws else -1
        if place < 0 or tick >= thaws[place].tick + thaws[place].warmup:
            return None
        thaw = thaws[place]
        running = not thaw.stage or self._stage(tick, fired) == thaw.stage
        return (thaw.tick, thaw.warmup) if running else None

    def _stage(self, tick: int, fired: Fired) -> int:
        return self.timeline.calendar.stage_at(tick, self.timeline.stretches(fired))

    @property
    def frozen_for_ever(self) -> bool:
        if self._forever is None:
            self._forever = (self.came_frozen or bool(self.freezes)) and self._never_trains()
        return self._forever

    def _never_trains(self) -> bool:
        if not self.conditional:
            return all(state.frozen for state in self.unfolded().freeze.values)
        last = max((n for n, e in enumerate(self.freezes) if e.window.always), default=None)
        said = self.freezes if last is None else self.freezes[last:]
        return all(e.frozen for e in said) and (last is not None or self.came_frozen)

    # ------------------------------------------------------------ telling behaviours apart

    def key(self) -> tuple[Any, ...]:
        """Equal for two behaviours that nobody could tell apart at any time."""
        head = (self.optimizer, self.explicit, self.came_frozen, bool(self.freezes))
        if self.conditional:
            effects = [e.plain() for course in self.courses.values() for e in course.effects]
            drives = [(e.schedule, e.window) for course in self.courses.values() for e in course.schedules]
            freezes = [(e.frozen, e.warmup, e.window) for e in self.freezes]
            holds = [(e.held, e.own, e.window) for e in self.statistics]
            return (*head, tuple(effects), tuple(drives), tuple(freezes), tuple(holds))
        unfolded = self.unfolded()
        products = tuple(sorted(self._told_apart_by(unfolded), key=itemgetter(0)))
        thaws = tuple(thaw for thaw in unfolded.thaws if thaw.warmup)
        return (*head, products, unfolded.schedule, unfolded.states(), thaws)

    def _told_apart_by(self, unfolded: Unfolded) -> Iterator[tuple[str, Stepwise[Product]]]:
        """The options that are not what the optimizer makes of them: all others are alike in all behaviours."""
        untouched = self.untouched
        for option, steps in unfolded.products.items():
            own = untouched.get(option)
            if own is not steps and own != steps:
                yield option, steps


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
            (
                _bare_courses(choice),
                frozenset(choice.settings),
                _of_groups(choice.info),
                choice.info.scheduled,
            )
            for choice in optimizers
        ]
        self._untouched = [
            {option: Stepwise.always(product(course.base, ())) for option, course in bare.items()}
            for bare, _, _, _ in self._optimizers
        ]
        self._timeline = timeline

    def build(self, cascade: Cascade) -> Behaviour:
        bare, settings, of_groups, scheduled = self._optimizers[cascade.optimizer]
        by_option: dict[str, list[Effect]] = defaultdict(list)
        for effect in cascade.effects:
            by_option[effect.option].append(effect)
        courses = dict(bare)
        for option in {scheduled: None, **by_option}:
            effects = not_hidden(by_option[option]) if option in by_option else ()
            schedules = cascade.schedules if option == scheduled else ()
            base = bare[option].base if option in bare else None
            courses[option] = Course(option, base, option in settings, effects, schedules)
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
            self._untouched[cascade.optimizer],
        )


def _bare_courses(choice: OptimizerChoice) -> dict[str, Course]:
    """The options of an optimizer where no rule says anything."""
    return {
        option: Course(option, base, option in choice.settings)
        for option, base in base_options(choice).items()
    }


def _of_groups(info: OptimizerInfo) -> frozenset[str]:
    return frozenset(name for name, option in info.options.items() if option.group)
