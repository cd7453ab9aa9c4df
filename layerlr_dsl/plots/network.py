"""The picture of a network under its rules, as plain data: what every renderer of it draws.

Its blocks, the course of each group over time, what the rules say, and where the backward pass stops. What is
drawn of it, and how, is for `html` (a page that one can look around in) and `still` to say.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from layerlr_dsl.plan.stages import Fired
from layerlr_dsl.plots.labels import Labels
from layerlr_dsl.plots.series import (
    Curve,
    Picture,
    changes_within,
    curves_of,
    label_of,
    picture,
    time_of,
    value_at,
)
from layerlr_dsl.plots.told import Told, told
from layerlr_dsl.plots.tree import Tree, tree
from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Group, Plan

MOST_VALUES = 50_000
"""Points of all curves together: with many groups each has fewer."""
FEWEST_POINTS = 60


@record
class Measure:
    """An option that blocks can be coloured by: its values over `Picture.times`, group by group.

    None for a group that has no such option; one value where it stands still. An option that is a tuple is
    measured number by number: `betas[0]`. curves: groups that take one course.
    """

    option: str
    label: str
    values: _Found
    curves: tuple[Curve, ...]


@record
class Stretch:
    """Time in which nothing changes but what moves: how much of the model trains in it.

    stops_at: the module at which the backward pass stops, None where it goes through the whole model, where
    nothing trains, and where the order of the modules is not known.
    """

    start: float
    end: float
    trainable: int
    stops_at: str | None


@record
class Drawing:
    """A network under its rules. `names` are those of the optimizers, by their number in `Told`."""

    picture: Picture
    tree: Tree
    told: Told
    measures: tuple[Measure, ...]
    stretches: tuple[Stretch, ...]
    optimizers: tuple[str, ...]


def drawing(
    plan: Plan, title: str, fired: Mapping[int, int] | None = None, option: str | None = None
) -> Drawing:
    """Work out what to draw. `option` is the one to colour by, the rate if not given.

    Raises UnknownLength and UnknownOption, as `picture` does.
    """
    happened = dict(fired or {})
    points = max(MOST_VALUES // max(len(plan.groups), 1), FEWEST_POINTS)
    shown = picture(plan, title, happened, min(points, 400), option)
    says = told(plan, happened, lambda tick: time_of(plan.clock, tick))
    return Drawing(
        shown,
        tree(plan.inventory, [says.kind_of[number] for number in plan.matches.class_of]),
        says,
        tuple(_measures(plan, shown, happened, option)),
        tuple(_stretches(plan, shown, happened)),
        tuple(choice.called for choice in plan.optimizers),
    )


def _measures(plan: Plan, shown: Picture, fired: Fired, option: str | None) -> Iterator[Measure]:
    """The option asked for, the rate, the decay, and every other number that is not the same always and for all."""
    parts = {name: _parts(plan, name) for group in plan.groups for name in group.options}
    first = tuple(still(one.rates) for one in shown.series)
    asked = option or "lr"
    begins = f"{asked}[0]" if parts.get(asked, (None,))[0] is not None else asked
    yield Measure(begins, shown.label, first, shown.curves)
    labels = Labels(plan.inventory)
    for name in {**dict.fromkeys(_ALWAYS), **parts}:
        values = {part: _of_groups(plan, shown, fired, name, part) for part in parts.get(name, ())}
        if name not in _ALWAYS and all(map(_stands_still, values.values())):
            continue
        for part, found in values.items():
            called = name if part is None else f"{name}[{part}]"
            if called != begins:
                alike = curves_of(plan, _courses(shown, found), labels)
                yield Measure(called, label_of(called), found, tuple(alike))


_ALWAYS = ("lr", "weight_decay")
_Found: TypeAlias = "tuple[tuple[float, ...] | None, ...]"


def _parts(plan: Plan, option: str) -> tuple[int | None, ...]:
    """The numbers that an option is made of, None for one that is a number itself; none where it is in words."""
    values = [group.options[option] for group in plan.groups if option in group.options]
    if any(isinstance(value, (bool, str)) for value in values):
        return ()
    sizes = {len(value) if isinstance(value, tuple) else 0 for value in values}
    return (None,) if sizes == {0} else tuple(range(sizes.pop())) if len(sizes) == 1 else ()


def _stands_still(found: _Found) -> bool:
    """Whether it is the same number always and for all that have it."""
    values = {values for values in found if values is not None}
    return len(values) == 1 and len(values.pop()) == 1


def _courses(shown: Picture, found: _Found) -> list[object]:
    return [
        (values, one.frozen, one.fan and one.fan.frees, one.ever_trains)
        for values, one in zip(found, shown.series, strict=True)
    ]


def _of_groups(plan: Plan, shown: Picture, fired: Fired, option: str, part: int | None) -> _Found:
    return tuple(_values(plan, group, shown, fired, option, part) for group in plan.groups)


def _values(
    plan: Plan, group: Group, shown: Picture, fired: Fired, option: str, part: int | None
) -> tuple[float, ...] | None:
    if option not in group.options:
        return None
    moves = option in group.behaviour.moving or option == group.behaviour.scheduled
    looked = shown.ticks if moves else [0, *plan.changes(fired)]
    known = [value_at(group, plan.held(tick, fired), fired, option, part or 0) for tick in looked]
    return still(tuple(known if moves else (known[bisect_right(looked, tick) - 1] for tick in shown.ticks)))


def still(values: tuple[float, ...]) -> tuple[float, ...]:
    """One value where all are the same."""
    return values[:1] if len(set(values)) == 1 else values


# ---------------------------------------------------------------- where the backward pass stops


def _stretches(plan: Plan, shown: Picture, fired: Fired) -> Iterator[Stretch]:
    total = plan.clock.total or 0
    ends = [*changes_within(plan, total, fired), total]
    stops = _stops(plan)
    for start, end in pairwise(ends):
        states = plan.state(start, fired)
        trains = [not state.frozen for state in states]
        numel = sum(group.numel for group, live in zip(plan.groups, trains, strict=True) if live)
        last = shown.epochs if end == total else time_of(plan.clock, end)
        yield Stretch(time_of(plan.clock, start), last, numel, stops(trains))


def _stops(plan: Plan) -> Callable[[list[bool]], str | None]:
    """From which groups train to the module at which the backward pass stops."""
    rows = plan.inventory.running_rows
    if rows is None:
        return lambda trains: None
    owners = plan.inventory.owners
    first: dict[int, int] = {}
    for place, row in enumerate(rows):
        first.setdefault(plan.group_of[row], place)

    def stops(trains: list[bool]) -> str | None:
        places = [first[group] for group, live in enumerate(trains) if live and group in first]
        module = owners[rows[min(places)]] if places else owners[rows[0]]
        return None if module == owners[rows[0]] else plan.inventory.module_name(module)

    return stops
