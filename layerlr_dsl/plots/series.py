"""What a picture of a plan shows, as plain numbers: no drawing library, no torch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import TYPE_CHECKING

from layerlr_dsl.plan.stages import NEVER, Fired
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from layerlr_dsl.plan.clock import Clock
    from layerlr_dsl.plan.plan import Group, GroupState, Plan

MOST_POINTS = 600


@record
class Series:
    """One group over time. `rates[k]` holds from `Picture.times[k]` to the next time."""

    name: str
    tensors: int
    numel: int
    share: float
    optimizer: str
    schedule: str
    rates: tuple[float, ...]
    frozen: tuple[bool, ...]
    ever_trains: bool
    """Whether it trains at some time, be it only once a metric condition has fired."""


@record
class Marker:
    """A metric condition, which may fire at any time from `epoch` on."""

    epoch: float
    text: str


@record
class Picture:
    """Groups over the same times, in epochs or steps (`unit`); the last interval ends at `epochs`."""

    title: str
    epochs: float
    times: tuple[float, ...]
    series: tuple[Series, ...]
    boundaries: tuple[float, ...]
    """Epochs at which some group freezes, thaws or takes another rate."""
    markers: tuple[Marker, ...]
    unit: str = "epoch"
    stages: tuple[tuple[str, float], ...] = ()
    """Each stage's name and where it begins, as if no metric ended one."""
    label: str = "learning rate"
    ticks: tuple[int, ...] = ()
    """The ticks of `times`."""

    @property
    def rate_range(self) -> tuple[float, float]:
        """The rates to draw, smallest and largest; (1, 1) where there is none above 0.

        What decays to nothing would take up all of a log scale, so the bottom is not deeper below the
        lowest peak of a training group than a factor of 200.
        """
        training = [
            [rate for rate, frozen in zip(one.rates, one.frozen, strict=True) if rate > 0 and not frozen]
            for one in self.series
        ]
        training = [rates for rates in training if rates] or [[1.0]]
        lowest_peak = min(map(max, training))
        return max(min(map(min, training)), lowest_peak / 200), max(map(max, training))

    @property
    def courses(self) -> list[int]:
        """A number for each group, the same for groups that take the same course: they share a colour."""
        numbers: dict[object, int] = {}
        return [numbers.setdefault((one.rates, one.frozen), len(numbers)) for one in self.series]

    def spans(self, one: Series, frozen: bool) -> list[tuple[float, float]]:
        """The spans of time in which a group is frozen, or is not."""
        found: list[tuple[float, float]] = []
        ends = (*self.times[1:], self.epochs)
        for start, end, state in zip(self.times, ends, one.frozen, strict=True):
            if state is not frozen:
                continue
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
        return found


class UnknownLength(ValueError):
    """The plan does not know how long the run is, so there is no time axis."""


def picture(
    plan: Plan,
    title: str,
    fired: Mapping[int, int] | None = None,
    points: int = MOST_POINTS,
    option: str | None = None,
) -> Picture:
    """Work out what to draw: the option that a schedule drives, or any other by name.

    Raises UnknownLength where the plan does not know how long the run is, UnknownOption where no group has
    such an option, or it is no number.
    """
    if option is not None:
        _check_option(plan, option)
    clock = plan.clock
    if clock.total is None:
        raise UnknownLength("the length of the run is not known")
    happened = dict(fired or {})
    changes = changes_within(plan, clock.total, happened)
    ticks = _ticks(clock.total, changes, points)
    states = [plan.state(at, happened) for at in changes]
    total = sum(group.numel for group in plan.groups) or 1
    series = tuple(
        _series(plan, place, group, ticks, changes, states, total, happened, option)
        for place, group in enumerate(plan.groups)
    )
    return Picture(
        title,
        time_of(clock, clock.total) if clock.run_epochs is None else float(clock.run_epochs),
        tuple(time_of(clock, tick) for tick in ticks),
        series,
        tuple(time_of(clock, tick) for tick in changes[1:]),
        tuple(
            Marker(time_of(clock, opens), event.text)
            for event in plan.events
            if event.index not in happened and (opens := plan.timeline.tick(event.opens, happened)) < NEVER
        ),
        "epoch" if clock.knows_epochs else "step",
        tuple(
            (stage.name, time_of(clock, stretch.start))
            for stage, stretch in zip(
                plan.timeline.calendar.stages, plan.timeline.stretches(happened)[1:], strict=True
            )
            if stretch.start < clock.total
        ),
        label_of(option),
        tuple(ticks),
    )


def label_of(option: str | None) -> str:
    """An option in words; the one that a schedule drives where none is named."""
    return "learning rate" if option in (None, "lr") else str(option).replace("_", " ")


def time_of(clock: Clock, tick: int) -> float:
    """A tick in epochs, or in steps where the clock knows no epochs."""
    return float(clock.epoch_of(tick)) if clock.knows_epochs else float(tick)


def changes_within(plan: Plan, total: int, fired: Mapping[int, int]) -> list[int]:
    """0, and every tick of a run at which something changes."""
    changes = [0]
    while True:
        following = plan.next_change(changes[-1], fired)
        if following is None or following >= total:
            return changes
        changes.append(following)


def _ticks(total: int, changes: list[int], points: int) -> list[int]:
    """Where to look: evenly spread, each change and the tick before it."""
    even = range(total) if total <= points else {total * k // points for k in range(points)}
    near = {tick for change in changes for tick in (change - 1, change) if 0 <= tick < total}
    return sorted({*even, *near, total - 1})


def _series(
    plan: Plan,
    place: int,
    group: Group,
    ticks: list[int],
    changes: list[int],
    states: list[tuple[GroupState, ...]],
    total: int,
    fired: Fired,
    option: str | None,
) -> Series:
    at = [states[bisect_right(changes, tick) - 1][place] for tick in ticks]
    return Series(
        name=group.name,
        tensors=len(group.parameters),
        numel=group.numel,
        share=group.numel / total,
        optimizer=plan.optimizers[group.optimizer].info.name,
        schedule=group.schedule.text() if group.schedule is not None else "",
        rates=tuple(value_at(group, plan.held(tick, fired), fired, option) for tick in ticks),
        frozen=tuple(state.frozen for state in at),
        ever_trains=group.kind == "trains",
    )


def value_at(group: Group, tick: int, fired: Fired, option: str | None) -> float:
    """An option as the optimizer has it then; of a tuple such as betas the first number."""
    value = group.behaviour.applied(tick, fired).get(option or group.behaviour.scheduled or "", 0.0)
    return float(value[0] if isinstance(value, tuple) else value)


def _check_option(plan: Plan, option: str) -> None:
    values = [group.options.get(option) for group in plan.groups]
    numbers = [v[0] if isinstance(v, tuple) else v for v in values if v is not None]
    if not numbers or any(isinstance(v, (bool, str)) for v in numbers):
        known = dict.fromkeys(name for group in plan.groups for name in group.options)
        raise UnknownOption(option, nearest(option, known))


class UnknownOption(ValueError):
    """No group has such an option, or it is no number; `near` is the one that was perhaps meant."""

    def __init__(self, option: str, near: str | None) -> None:
        self.near = near
        super().__init__(f"there is no option `{option}` to draw")
