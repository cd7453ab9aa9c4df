"""How a class of parameters behaves over all of time, in a form that can be compared.

Two parameters belong in one group exactly when their behaviours are equal. Where no metric
condition is involved, a behaviour is the list of what holds between its marks, so rules that
say the same in different words compare equal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from layerlr_dsl.catalogue.optimizers import MISSING
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.plan.cascade import Cascade, OptimizerChoice
from layerlr_dsl.plan.course import Course, Effect, Product, not_hidden
from layerlr_dsl.plan.freezing import FreezeEffect, FreezeState, Freezing, Frozen, StatisticsEffect, Thaw
from layerlr_dsl.plan.scheduled import Scheduled
from layerlr_dsl.plan.stages import NOTHING_FIRED, Fired
from layerlr_dsl.plan.stepwise import Recent, Stepwise
from layerlr_dsl.plan.timeline import Interval, Timeline
from layerlr_dsl.tools.records import record


@record
class Now:
    """What holds from a tick to the next change: options, the schedule that drives some, the frozen state."""

    products: Mapping[str, Product]
    schedule: Scheduled | None
    freeze: FreezeState


@record
class Unfolded:
    """A behaviour step by step, given the metric conditions that have come true."""

    products: Mapping[str, Stepwise[Product]]
    schedule: Stepwise[Scheduled | None]
    frozen: Frozen
    changes: tuple[int, ...]
    """The ticks after 0 at which anything changes."""

    @property
    def freeze(self) -> Stepwise[FreezeState]:
        """Whether parameters are frozen from when on."""
        return self.frozen.states

    @property
    def thaws(self) -> tuple[Thaw, ...]:
        """When they thaw."""
        return self.frozen.thaws

    def products_at(self, tick: int) -> dict[str, Product]:
        """What every option is at a tick."""
        return {option: steps.at(tick) for option, steps in self.products.items()}


@dataclass(slots=True, eq=False)
class Behaviour:
    """What a class of parameters does over time."""

    optimizer: int
    bare: Bare
    said: Mapping[str, Course]
    """The options of which rules say something, and the one that schedules drive."""
    explicit: frozenset[str]
    """Options that the file gives at some time, by a rule or by its `optimizer` statement."""
    freezing: Freezing
    timeline: Timeline
    conditional: bool = field(init=False)
    """Whether a metric condition decides something here."""
    moves: bool = field(init=False)
    """Whether an option moves at some time by itself, and not by a schedule."""
    _nominal: Unfolded | None = None
    """Where no condition has come true."""
    _supposed: Recent[Unfolded] | None = None
    _forever: bool | None = None

    def __post_init__(self) -> None:
        said = self.said.values()
        self.conditional = self.freezing.conditional or any(course.conditional for course in said)
        self.moves = any(course.moving for course in said)

    @property
    def courses(self) -> dict[str, Course]:
        """Every option."""
        return {**self.bare.courses, **self.said}

    @property
    def scheduled(self) -> str:
        """The option that schedules drive."""
        return self.bare.scheduled

    @property
    def driven(self) -> Course:
        """The course of that option."""
        return self.said[self.bare.scheduled]

    @property
    def freezes(self) -> tuple[FreezeEffect, ...]:
        return self.freezing.freezes

    @property
    def statistics(self) -> tuple[StatisticsEffect, ...]:
        return self.freezing.statistics

    @property
    def came_frozen(self) -> bool:
        return self.freezing.came_frozen

    # ------------------------------------------------------------ over time

    def unfolded(self, fired: Fired = NOTHING_FIRED) -> Unfolded:
        """All of time in one pass."""
        if fired:
            if self._supposed is None:
                self._supposed = Recent()
            return self._supposed.of(frozenset(fired.items()), lambda: self._unfold(fired))
        if self._nominal is None:
            self._nominal = self._unfold(fired)
        return self._nominal

    def _unfold(self, fired: Fired) -> Unfolded:
        courses = {option: course.over_time(fired) for option, course in self.said.items()}
        products = {option: course.products for option, course in courses.items()}
        schedule = courses[self.bare.scheduled].schedule
        frozen = self.freezing.over_time(fired)
        ticks = {*schedule.changes, *frozen.states.changes}
        for steps in products.values():
            ticks.update(steps.changes)
        return Unfolded({**self.bare.products, **products}, schedule, frozen, tuple(sorted(ticks)))

    def now(self, tick: int, fired: Fired = NOTHING_FIRED, defaults: Mapping[str, Any] | None = None) -> Now:
        """What holds at a tick. `defaults` are those of the user's own optimizer, for what the file leaves alone."""
        unfolded = self.unfolded(fired)
        products = self._products(tick, fired, defaults)
        return Now(products, unfolded.schedule.at(tick), unfolded.freeze.at(tick))

    def _products(self, tick: int, fired: Fired, defaults: Mapping[str, Any] | None) -> dict[str, Product]:
        products = self.unfolded(fired).products_at(tick)
        given = defaults or {}
        for option, course in self.courses.items() if given else ():
            if not course.settled and given.get(option) not in (None, course.base):
                products[option] = course.product(tick, fired, given[option])
        return products

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
        products = self._products(tick, fired, defaults)
        if not self.moves:
            return {option: product.scale for option, product in products.items()}
        stretches = self.timeline.stretches(fired)
        return {option: product.at(tick, stretches) for option, product in products.items()}

    def applied(self, tick: int, fired: Fired = NOTHING_FIRED) -> dict[str, Value]:
        """Every option as the optimizer would have it: scheduled, and warmed up after a thaw."""
        options = self.options(tick, fired)
        rate = options.get(self.scheduled)
        if isinstance(rate, (int, float)):
            options[self.scheduled] = self.driven_from(rate, tick, fired)
        return options

    def driven_from(self, value: float, tick: int, fired: Fired) -> float:
        """What the schedule and the thaw warm-up leave of a value."""
        schedule = self.schedule_at(tick, fired)
        if schedule is not None:
            value = schedule.rate(value, tick, self.timeline.stretches(fired))
        warmup = self.warmup(tick, fired)
        return value if warmup is None else value * ((tick - warmup[0]) / warmup[1])

    @property
    def moving(self) -> tuple[str, ...]:
        """The options that move at some time, by themselves and not by a schedule."""
        if not self.moves:
            return ()
        return tuple(option for option, course in self.courses.items() if course.moving)

    def schedule_at(self, tick: int, fired: Fired = NOTHING_FIRED) -> Scheduled | None:
        return self.unfolded(fired).schedule.at(tick)

    # ------------------------------------------------------------ freezing

    def freeze(self, tick: int, fired: Fired = NOTHING_FIRED) -> FreezeState:
        return self.unfolded(fired).freeze.at(tick)

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


@record(eq=False)
class Bare:
    """What an optimizer brings, shared by all behaviours under it.

    courses: its options where no rule says anything. products: what they are worth then. settings: what the
    file's `optimizer` statement gives. of_groups: what each group may have of its own.
    """

    courses: Mapping[str, Course]
    products: Mapping[str, Stepwise[Product]]
    settings: frozenset[str]
    of_groups: frozenset[str]
    scheduled: str

    @classmethod
    def of(cls, choice: OptimizerChoice, timeline: Timeline) -> Bare:
        """What a file's choice of an optimizer brings."""
        courses = {
            option: Course(option, base, option in choice.settings, timeline)
            for option, base in base_options(choice).items()
        }
        products = {option: course.over_time().products for option, course in courses.items()}
        of_groups = frozenset(name for name, option in choice.info.options.items() if option.group)
        return cls(courses, products, frozenset(choice.settings), of_groups, choice.info.scheduled)


class BehaviourBuilder:
    """Makes the behaviour of each cascade. Whatever several have in common is made, and unfolded, once."""

    def __init__(self, optimizers: Iterable[OptimizerChoice], timeline: Timeline) -> None:
        self._bare = [Bare.of(choice, timeline) for choice in optimizers]
        self._timeline = timeline
        self._courses: dict[object, Course] = {}
        self._freezings: dict[object, Freezing] = {}
        self._numbers: dict[Hashable, int] = {}
        """One number for each course over time, whatever words say so."""

    def build(self, cascade: Cascade) -> Behaviour:
        bare = self._bare[cascade.optimizer]
        by_option: dict[str, list[Effect]] = {bare.scheduled: []}
        for effect in cascade.effects:
            by_option.setdefault(effect.option, []).append(effect)
        said = {option: self._course(cascade, option, effects) for option, effects in by_option.items()}
        given = [option for option, effects in by_option.items() if effects]
        quoted = [effect.option for effect in cascade.effects if effect.setting.quoted]
        explicit = bare.settings.union(given).intersection(bare.of_groups).union(quoted)
        return Behaviour(cascade.optimizer, bare, said, explicit, self._freezing(cascade), self._timeline)

    def _course(self, cascade: Cascade, option: str, effects: list[Effect]) -> Course:
        bare = self._bare[cascade.optimizer]
        schedules = cascade.schedules if option == bare.scheduled else ()
        drives = tuple([(one.clause, one.window.stage) for one in schedules])
        words = (cascade.optimizer, option, tuple([effect.number for effect in effects]), drives)
        found = self._courses.get(words)
        if found is None:
            base = bare.courses[option].base if option in bare.courses else None
            settled, heard = option in bare.settings, not_hidden(effects)
            found = self._courses[words] = Course(option, base, settled, self._timeline, heard, schedules)
            over_time = found.over_time()
            if option == bare.scheduled or over_time.products != bare.products.get(option):
                found.alike = self._alike(over_time)
        return found

    def _freezing(self, cascade: Cascade) -> Freezing:
        said = [tuple([effect.number for effect in one]) for one in (cascade.freezes, cascade.statistics)]
        words = (cascade.came_frozen, *said)
        found = self._freezings.get(words)
        if found is None:
            freezes, statistics = cascade.freezes, cascade.statistics
            found = Freezing(freezes, statistics, cascade.came_frozen, self._timeline)
            self._freezings[words] = found
            found.alike = self._alike(_plainly(found))
        return found

    # ------------------------------------------------------------ telling behaviours apart

    def key(self, behaviour: Behaviour) -> Hashable:
        """Equal for two behaviours that nobody could tell apart at any time."""
        freezing = behaviour.freezing
        head = (behaviour.optimizer, behaviour.explicit, freezing.came_frozen, bool(freezing.freezes))
        if behaviour.conditional:
            return (*head, _by_words(behaviour))
        numbers = sorted(
            [(option, course.alike) for option, course in behaviour.said.items() if course.alike]
        )
        return (*head, tuple(numbers), freezing.alike)

    def _alike(self, over_time: Hashable) -> int:
        return self._numbers.setdefault(over_time, len(self._numbers) + 1)


def _by_words(behaviour: Behaviour) -> Hashable:
    """What rules say, for behaviours that only a metric unfolds."""
    courses = behaviour.courses.values()
    effects = [effect.plain() for course in courses for effect in course.effects]
    drives = [(one.schedule, one.window) for course in courses for one in course.schedules]
    freezes = [(one.frozen, one.warmup, one.window) for one in behaviour.freezes]
    holds = [(one.held, one.own, one.window) for one in behaviour.statistics]
    return tuple(effects), tuple(drives), tuple(freezes), tuple(holds)


def _plainly(freezing: Freezing) -> Hashable:
    """What freezes and thaws, and the thaws that warm up, whatever statements say so."""
    frozen = freezing.over_time()
    return frozen.plainly(), tuple(thaw for thaw in frozen.thaws if thaw.warmup)
