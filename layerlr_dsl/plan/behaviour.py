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

from layerlr_dsl.language.expressions import Value
from layerlr_dsl.language.optimizers import MISSING
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


@dataclass(frozen=True, slots=True, eq=False)
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
    _turns: list[int] = field(default_factory=list)
    """Where no condition has come true: the changes."""
    _options: dict[int, dict[str, Value]] = field(default_factory=dict)
    """Where no condition has come true: the options after so many changes."""
    _freezes: dict[int, FreezeState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._turns.extend(self._changes(NOTHING_FIRED))

    def options(
        self, tick: int, fired: Fired = NOTHING_FIRED, defaults: Mapping[str, Any] | None = None
    ) -> dict[str, Value]:
        """Every option at a tick, before the schedule.

        `defaults` are those of the user's own optimizer, for options that the file leaves alone.
        """
        if fired or defaults is not None:
            return self._options_at(tick, fired, defaults)
        place = bisect_right(self._turns, tick)
        found = self._options.get(place)
        if found is None:
            found = self._options[place] = self._options_at(tick, fired, None)
        return found.copy()

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
        if fired or not self.freezes:
            return self._freeze_at(tick, fired) if self.freezes else NEVER_FROZEN
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
        if not self.freezes or not any(effect.warmup for effect in self.freezes):
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
    def conditional(self) -> bool:
        """Whether a metric condition decides something here."""
        return any(
            w.opens.event is not None or (w.closes is not None and w.closes.event is not None)
            for w in self.marks
        )

    @property
    def frozen_for_ever(self) -> bool:
        if not self.freezes:
            return False
        if self.conditional:
            last = max((n for n, e in enumerate(self.freezes) if e.frozen and e.window.always), default=None)
            return last is not None and not any(not e.frozen for e in self.freezes[last + 1 :])
        return all(self.freeze(t).frozen for t in (0, *self.changes()))

    def key(self) -> tuple[Any, ...]:
        """Equal for two behaviours that nobody could tell apart at any time."""
        head = (self.optimizer, self.schedule, self.explicit)
        if self.conditional:
            return (*head, _without_shadowed(self.effects), self.freezes)
        course: list[Any] = []
        for tick in (0, *self.changes()):
            state = self.freeze(tick)
            now = (
                tuple(sorted(self.options(tick).items())),
                state.frozen,
                state.statistics,
                self._warmup_at(tick),
            )
            if not course or course[-1][1] != now:
                course.append((tick, now))
        return (*head, bool(self.freezes), tuple(course))

    def _warmup_at(self, tick: int) -> tuple[int, int] | None:
        return self.warmup(tick)


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
    """Makes the behaviour of each cascade; the base options of an optimizer are shared."""

    def __init__(self, optimizers: Iterable[OptimizerChoice], timeline: Timeline) -> None:
        self._choices = list(optimizers)
        self._bases = [base_options(choice) for choice in self._choices]
        self._timeline = timeline

    def build(self, cascade: Cascade) -> Behaviour:
        choice = self._choices[cascade.optimizer]
        given = {e.option for e in cascade.effects} | set(choice.settings)
        effects = _not_hidden(cascade.effects)
        windows = [e.window for e in effects] + [e.window for e in cascade.freezes]
        return Behaviour(
            cascade.optimizer,
            cascade.schedule,
            self._bases[cascade.optimizer],
            frozenset(choice.settings),
            frozenset(
                name for name in given if name in choice.info.options and choice.info.options[name].group
            ),
            effects,
            cascade.freezes,
            self._timeline,
            tuple(dict.fromkeys(w for w in windows if not w.always)),
        )
