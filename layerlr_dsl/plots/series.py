"""What a picture of a plan shows, as plain numbers: no drawing library, no torch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from layerlr_dsl.plan.stages import NEVER, Fired
from layerlr_dsl.plots.labels import Label, Labels
from layerlr_dsl.plots.supposed import Course, Fallen, Fan, Fans, plateaus, soonest
from layerlr_dsl.tools.frameless import Frameless
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from layerlr_dsl.plan.clock import Clock
    from layerlr_dsl.plan.plan import Group, GroupState, Plan

MOST_POINTS = 600
FALLEN = 20
"""How far below the lowest peak a picture shows what a metric may take off."""
MOST_LABELS = 200
"""Groups, and curves, that are called by their layers; those behind are listed nowhere."""


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

    fan: Fan | None = None
    """What a metric may make of it."""

    label: Label | None = None
    """What it is called; None for groups that are listed nowhere."""


@record
class Marker:
    """A metric condition, which may fire at any time from `epoch` on, or a `plateau`, which may fall from then on."""

    epoch: float
    text: str
    falls: bool = False
    """Whether it is a `plateau`."""

    @property
    def assumed(self) -> str:
        """What a picture takes for granted of it."""
        return f"assumed: {self.text} {'takes nothing off' if self.falls else 'never comes'}"


@record
class Curve:
    """Groups that take one course, by their numbers, and what they are called together.

    place: where they come in the model, from 0 (the first layers) to 1 (the last).
    """

    label: Label
    groups: tuple[int, ...]
    numel: int
    place: float


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
    curves: tuple[Curve, ...] = ()
    """In the order of the layers."""
    supposed: tuple[str, ...] = ()
    """What metric conditions are taken to come true, and when."""

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
        low, high = min(map(min, training)), max(map(max, training))
        lowest_peak = min(map(max, training))
        fans = [one.fan for one in self.series if one.fan is not None]
        lows = [
            max(min(rate for rate in fan.low if rate > 0), lowest_peak / FALLEN)
            for fan in fans
            if any(fan.low)
        ]
        return max(min([low, *lows]), lowest_peak / 200), max([high, *(max(fan.high) for fan in fans)])

    @property
    def courses(self) -> list[int]:
        """For each group the number of its curve."""
        numbers = {group: number for number, curve in enumerate(self.curves) for group in curve.groups}
        return [numbers[group] for group in range(len(self.series))]

    def drawn(self, curve: Curve) -> Series:
        """The course of a curve: that of any of its groups."""
        return self.series[curve.groups[0]]

    def index(self, at: float) -> int:
        """The interval of time that a moment is in."""
        return max(bisect_right(self.times, at) - 1, 0)

    def sampled(self, count: int) -> list[int]:
        """For `count` slices of the run, all as long, the interval that the middle of each is in."""
        return [self.index(self.epochs * (k + 0.5) / count) for k in range(count)]

    def spans(self, one: Series, frozen: bool) -> list[tuple[float, float]]:
        """The spans of time in which a group is frozen, or is not."""
        return self.where([state is frozen for state in one.frozen])

    def where(self, holds: Sequence[bool]) -> list[tuple[float, float]]:
        """The spans of time in which something holds, given for each interval."""
        found: list[tuple[float, float]] = []
        ends = (*self.times[1:], self.epochs)
        for start, end, state in zip(self.times, ends, holds, strict=True):
            if not state:
                continue
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
        return found


class UnknownLength(Frameless, ValueError):
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
    fans = Fans(
        plan,
        ticks,
        happened,
        lambda group, tick, past: value_at(group, tick, past, option),
        option in (None, "lr"),
    )
    labels = Labels(plan.inventory)
    named = {group: labels.of(rows) for group, rows in enumerate(_rows(plan)[:MOST_LABELS])}
    series = tuple(
        _series(plan, place, group, ticks, changes, states, total, happened, option, fans, named.get(place))
        for place, group in enumerate(plan.groups)
    )
    return Picture(
        title,
        time_of(clock, clock.total) if clock.run_epochs is None else float(clock.run_epochs),
        tuple(time_of(clock, tick) for tick in ticks),
        series,
        tuple(time_of(clock, tick) for tick in changes[1:]),
        tuple(_markers(plan, ticks, happened)),
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
        tuple(curves_of(plan, [(one.rates, one.frozen, one.fan, one.ever_trains) for one in series], labels)),
        tuple(
            f"assumed: {event.text} at {clock.words(happened[event.index])}"
            for event in plan.events
            if event.index in happened
        ),
    )


def _markers(plan: Plan, ticks: Sequence[int], fired: Fired) -> Iterator[Marker]:
    """From when on metrics may change something: conditions that have not come true, and plateaus."""
    found = {
        (event.text, False): soonest(plan, event, plan.timeline.tick(event.opens, fired))
        for event in plan.events
        if event.index not in fired
    }
    for group in plan.groups:
        for tick, part in plateaus(group, ticks, fired):
            if (part.text(), True) not in found:
                found[part.text(), True] = Fallen(plan, group, fired).first(tick)
    for (text, falls), at in found.items():
        if at < (plan.clock.total or NEVER):
            yield Marker(time_of(plan.clock, at), text, falls)


def _rows(plan: Plan) -> list[list[int]]:
    """The parameters of each group, by their rows in the inventory."""
    rows: list[list[int]] = [[] for _ in plan.groups]
    for row, group in enumerate(plan.group_of):
        rows[group].append(row)
    return rows


def curves_of(plan: Plan, courses: Sequence[object], labels: Labels) -> Iterator[Curve]:
    """Groups by their course, in the order in which a forward pass, or the model, comes to them."""
    rows = _rows(plan)
    order = plan.inventory.running_rows or range(len(plan.inventory))
    first = {row: rank for rank, row in enumerate(order)}
    alike: dict[object, list[int]] = {}
    for group, course in enumerate(courses):
        alike.setdefault(course, []).append(group)
    met = sorted(
        alike.values(), key=lambda groups: min(first[row] for group in groups for row in rows[group])
    )
    for number, groups in enumerate(met):
        own = [row for group in groups for row in rows[group]]
        label = labels.of(own) if number < MOST_LABELS else Label(plan.groups[groups[0]].name)
        yield Curve(
            label,
            tuple(groups),
            sum(plan.groups[group].numel for group in groups),
            number / max(len(met) - 1, 1),
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
    fans: Fans,
    label: Label | None,
) -> Series:
    at = [states[bisect_right(changes, tick) - 1][place] for tick in ticks]
    rates = tuple(value_at(group, plan.held(tick, fired), fired, option) for tick in ticks)
    frozen = tuple(state.frozen for state in at)
    return Series(
        name=group.name,
        tensors=len(group.parameters),
        numel=group.numel,
        share=group.numel / total,
        optimizer=plan.optimizers[group.optimizer].called,
        schedule=group.schedule.text() if group.schedule is not None else "",
        rates=rates,
        frozen=frozen,
        ever_trains=group.kind == "trains",
        fan=fans.of(place, Course(rates, frozen)),
        label=label,
    )


def value_at(group: Group, tick: int, fired: Fired, option: str | None, part: int = 0) -> float:
    """An option as the optimizer has it then; of a tuple such as betas one number, the first if not said."""
    value = group.behaviour.applied(tick, fired).get(option or group.behaviour.scheduled, 0.0)
    return float(value[part] if isinstance(value, tuple) else value)


def _check_option(plan: Plan, option: str) -> None:
    values = [group.options.get(option) for group in plan.groups]
    numbers = [v[0] if isinstance(v, tuple) else v for v in values if v is not None]
    if not numbers or any(isinstance(v, (bool, str)) for v in numbers):
        known = dict.fromkeys(name for group in plan.groups for name in group.options)
        raise UnknownOption(option, nearest(option, known))


class UnknownOption(Frameless, ValueError):
    """No group has such an option, or it is no number; `near` is the one that was perhaps meant."""

    def __init__(self, option: str, near: str | None) -> None:
        self.near = near
        super().__init__(f"there is no option `{option}` to draw")
