"""How a class of parameters behaves over all of time, in a form that can be compared.

Two parameters belong in one group exactly when their behaviours are equal. Where no metric
condition is involved, a behaviour is the list of what holds between its marks, so rules that
say the same in different words compare equal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from layerlr_dsl.catalogue.optimizers import MISSING, OptimizerInfo
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.plan.cascade import Cascade, Effect, FreezeEffect, OptimizerChoice
from layerlr_dsl.plan.schedules import Schedule
from layerlr_dsl.plan.timeline import NEVER, Fired, Interval, Timeline

NOTHING_FIRED: Fired = {}


@dataclass(frozen=True, slots=True)
class FreezeState:
    """Whether parameters are frozen, and whether their normalisation statistics go on all the same."""

    frozen: bool
    statistics: bool
    effect: FreezeEffect | None


NEVER_FROZEN = FreezeState(False, False, None)


@dataclass(slots=True, eq=False)
class Behaviour:
    """What a class of parameters does over time. `base` are options that no rule gives."""

    optimizer: int
    schedule: Schedule | None
    base: Mapping[str, Value]
    settled: frozenset[str]
    """Options whose base the file's `optimizer` statement gives."""
    explicit: frozenset[str]
    """Options that the file gives at some time, by a rule or by its `optimizer` statement."""
    effects: tuple[Effect, ...]
    """Those that some later one of the same option does not hide at all times."""
    freezes: tuple[FreezeEffect, ...]
    timeline: Timeline
    marks: tuple[Interval, ...]
    """Every window that is not always open."""
    conditional: bool = field(init=False)
    """Whether a metric condition decides something here."""
    _turns: list[int] = field(init=False)
    """Where no condition has come true: the changes."""
    _options: dict[int, dict[str, Value]] = field(default_factory=dict)
    """Where no condition has come true: the options after so many changes."""
    _freezes: dict[int, FreezeState] = field(default_factory=dict)
    _forever: bool | None = None

    def __post_init__(self) -> None:
        self._turns = self._changes(NOTHING_FIRED) if self.marks else []
        self.conditional = any(
            w.opens.event is not None or (w.closes is not None and w.closes.event is not None)
            for w in self.marks
        )

    def options(
        self, tick: int, fired: Fired = NOTHING_FIRED, defaults: Mapping[str, Any] | None = None
    ) -> dict[str, Value]:
        """Every option at a tick, before the schedule.

        `defaults` are those of the user's own optimizer, for options that the file leaves alone.
        """
        if fired or defaults is not None:
            return self._options_at(tick, fired, defaults)
        return self.planned_options(tick).copy()

    def planned_options(self, tick: int) -> dict[str, Value]:
        """The options at a tick while no condition has come true; not to be changed, since others hold them."""
        place = bisect_right(self._turns, tick)
        found = self._options.get(place)
        if found is None:
            found = self._options[place] = self._options_at(tick, NOTHING_FIRED, None)
        return found

    def _options_at(self, tick: int, fired: Fired, defaults: Mapping[str, Any] | None) -> dict[str, Value]:
        options = dict(self.base)
        if defaults is not None:
            options.update({k: v for k, v in defaults.items() if k in options and k not in self.settled})
        for effect in self.effects:
            if self.active(effect.window, tick, fired):
                old = options.get(effect.option)
                options[effect.option] = _times(old, effect.value) if effect.multiply else effect.value
        return options

    def freeze(self, tick: int, fired: Fired = NOTHING_FIRED) -> FreezeState:
        if not self.freezes:
            return NEVER_FROZEN
        if fired:
            return self._freeze_at(tick, fired)
        place = bisect_right(self._turns, tick)
        found = self._freezes.get(place)
        if found is None:
            found = self._freezes[place] = self._freeze_at(tick, fired)
        return found

    def _freeze_at(self, tick: int, fired: Fired) -> FreezeState:
        winner: FreezeEffect | None = None
        for effect in self.freezes:
            if self.active(effect.window, tick, fired):
                winner = effect
        if winner is None:
            return NEVER_FROZEN
        return FreezeState(winner.frozen, winner.frozen and winner.statistics, winner)

    def active(self, window: Interval, tick: int, fired: Fired) -> bool:
        if window.always:
            return True
        if tick < self.timeline.tick(window.opens, fired):
            return False
        return window.closes is None or tick < self.timeline.tick(window.closes, fired)

    def changes(self, fired: Fired = NOTHING_FIRED) -> list[int]:
        """Ticks after 0 at which a window opens or closes."""
        return self._changes(fired) if fired else self._turns.copy()

    def _changes(self, fired: Fired) -> list[int]:
        ticks: set[int] = set()
        for window in self.marks:
            ticks.add(self.timeline.tick(window.opens, fired))
            if window.closes is not None:
                ticks.add(self.timeline.tick(window.closes, fired))
        return sorted(t for t in ticks if 0 < t < NEVER)

    def warmup(self, tick: int, fired: Fired = NOTHING_FIRED) -> tuple[int, int] | None:
        """The thaw warm-up that is running at a tick, as its first tick and its length in ticks."""
        if not any(effect.warmup for effect in self.freezes):
            return None
        for at in reversed(self.changes(fired)):
            if at > tick:
                continue
            length = self._thaw(at, fired)
            if length is not None:
                return (at, length) if length and tick < at + length else None
        return None

    def _thaw(self, at: int, fired: Fired) -> int | None:
        """The warm-up of what thaws at tick `at`; None if nothing does."""
        before, after = self.freeze(at - 1, fired), self.freeze(at, fired)
        if not before.frozen or after.frozen:
            return None
        if after.effect is not None and after.effect.warmup:
            return after.effect.warmup
        return before.effect.warmup if before.effect is not None else 0

    @property
    def frozen_for_ever(self) -> bool:
        if self._forever is None:
            self._forever = bool(self.freezes) and self._never_trains()
        return self._forever

    def _never_trains(self) -> bool:
        if self.conditional:
            last = max((n for n, e in enumerate(self.freezes) if e.frozen and e.window.always), default=None)
            return last is not None and not any(not e.frozen for e in self.freezes[last + 1 :])
        return all(self.freeze(t).frozen for t in (0, *self._turns))

    def key(self) -> tuple[Any, ...]:
        """Equal for two behaviours that nobody could tell apart at any time."""
        head = (self.optimizer, self.schedule, self.explicit)
        if self.conditional:
            return (*head, _without_shadowed(self.effects), self.freezes)
        if not self.marks and not self.freezes:
            return (*head, tuple(sorted(self.planned_options(0).items())))
        course: list[Any] = []
        for tick in (0, *self._turns):
            state = self.freeze(tick)
            now = (
                tuple(sorted(self.planned_options(tick).items())),
                state.frozen,
                state.statistics,
                self.warmup(tick),
            )
            if not course or course[-1][1] != now:
                course.append((tick, now))
        if not self.freezes and len(course) == 1:
            return (*head, course[0][1][0])
        return (*head, bool(self.freezes), tuple(course))


def _times(old: Value, factor: Value) -> Value:
    if old is None or isinstance(old, bool):
        return factor
    if isinstance(old, tuple):
        return old
    return old * factor


def _without_shadowed(effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    """Effects less those that a later unconditional one of the same option hides."""
    return tuple(sorted((_plain(e) for e in _not_hidden(effects)), key=lambda e: e.option))


def _not_hidden(effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    if len(effects) < 2:
        return effects
    kept: list[Effect] = []
    hidden: set[str] = set()
    for effect in reversed(effects):
        if effect.option in hidden:
            continue
        kept.append(effect)
        if effect.window.always and not effect.multiply:
            hidden.add(effect.option)
    return tuple(reversed(kept))


def _plain(effect: Effect) -> Effect:
    """The effect without the clause it came from, which is no part of how it behaves."""
    return Effect(0, effect.option, effect.multiply, effect.value, effect.window, effect.setting)


def base_options(choice: OptimizerChoice) -> dict[str, Value]:
    """The options of an optimizer that no rule touches: its own settings, else torch's defaults."""
    options: dict[str, Value] = {}
    for name, option in choice.info.options.items():
        if name in choice.settings:
            options[name] = choice.settings[name]
        elif option.group and option.algorithmic and option.default is not MISSING:
            options[name] = option.default
    options.setdefault("lr", choice.settings.get("lr", 1e-3))
    return options


class BehaviourBuilder:
    """Makes the behaviour of each cascade; what an optimizer brings is shared."""

    def __init__(self, optimizers: Iterable[OptimizerChoice], timeline: Timeline) -> None:
        self._optimizers = [
            (base_options(choice), frozenset(choice.settings), _of_groups(choice.info))
            for choice in optimizers
        ]
        self._timeline = timeline

    def build(self, cascade: Cascade) -> Behaviour:
        base, settings, of_groups = self._optimizers[cascade.optimizer]
        effects = _not_hidden(cascade.effects)
        windows = [e.window for e in effects if not e.window.always]
        windows += [e.window for e in cascade.freezes if not e.window.always]
        return Behaviour(
            cascade.optimizer,
            cascade.schedule,
            base,
            settings,
            settings.union([e.option for e in cascade.effects]) & of_groups,
            effects,
            cascade.freezes,
            self._timeline,
            tuple({id(w): w for w in windows}.values()),
        )


def _of_groups(info: OptimizerInfo) -> frozenset[str]:
    return frozenset(name for name, option in info.options.items() if option.group)
