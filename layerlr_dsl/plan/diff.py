"""What differs between two plans for one model, parameter by parameter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from layerlr_dsl.language.expressions import Value, show
from layerlr_dsl.plan.behaviour import Behaviour
from layerlr_dsl.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Difference:
    """One option of one parameter; both sides in words, since they may change over time."""

    parameter: str
    option: str
    old: str
    new: str


def diff(old: Plan, new: Plan) -> Iterator[Difference]:
    """Every option, window, schedule, optimizer or freeze that differs, in the order of the model.

    Parameters that only one of the models has are given with option "parameter".
    """
    sides = (_sides(old), _sides(new))
    remembered: dict[tuple[int, int], list[tuple[str, str, str]]] = {}
    for name in dict.fromkeys([*old.inventory.names, *new.inventory.names]):
        left, right = sides[0].get(name), sides[1].get(name)
        if left is None or right is None:
            yield Difference(
                name,
                "parameter",
                "absent" if left is None else "there",
                "absent" if right is None else "there",
            )
            continue
        key = (id(left), id(right))
        if key not in remembered:
            remembered[key] = list(_compare(old, left, new, right))
        for option, before, after in remembered[key]:
            yield Difference(name, option, before, after)


def _sides(plan: Plan) -> dict[str, Behaviour]:
    return {
        name: plan.behaviours[plan.behaviour_of_class[plan.matches.class_of[row]]]
        for row, name in enumerate(plan.inventory.names)
    }


def _compare(old: Plan, left: Behaviour, new: Plan, right: Behaviour) -> Iterator[tuple[str, str, str]]:
    before, after = _words(old, left), _words(new, right)
    for option in dict.fromkeys([*before, *after]):
        a, b = before.get(option, "none"), after.get(option, "none")
        if a != b:
            yield option, a, b


def _words(plan: Plan, behaviour: Behaviour) -> dict[str, str]:
    out = {
        "optimizer": plan.optimizers[behaviour.optimizer].info.name,
        "schedule": "none" if behaviour.schedule is None else behaviour.schedule.text(),
        "frozen": _over_time(plan, behaviour, None),
    }
    for option in behaviour.options(0):
        out[option] = _over_time(plan, behaviour, option)
    return out


def _over_time(plan: Plan, behaviour: Behaviour, option: str | None) -> str:
    """`1e-3, from epoch 5 on 1e-4`."""

    def value(tick: int, fired: dict[int, int]) -> Value:
        state = behaviour.freeze(tick, fired)
        return state.frozen if option is None else behaviour.options(tick, fired).get(option)

    course = [(0, value(0, {}))]
    for tick in behaviour.changes():
        now = value(tick, {})
        if now != course[-1][1]:
            course.append((tick, now))
    text = show(course[0][1])
    for tick, now in course[1:]:
        text += f", from epoch {show(plan.clock.epoch_of(tick))} {show(now)}"
    fired: dict[int, int] = {}
    last = course[-1][1]
    for event in plan.events:
        fired[event.index] = course[-1][0]
        now = value(course[-1][0], fired)
        if now != last:
            text += f", when {event.text} {show(now)}"
            last = now
    return text
