"""What differs between two plans for one model, parameter by parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.behaviour import Behaviour
from layerlr_dsl.plan.moving import shown
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plan.stages import NEVER, Fired
from layerlr_dsl.tools.numbers import plural, spelled
from layerlr_dsl.tools.records import record

_IN_WORDS = {"thaw_warmup": "warm-up after the thaw", "optimizer_state": "optimizer state"}


@record
class Difference:
    """One option of one parameter; both sides in words, since they may change over time.

    `option` is a key: that of the optimizer, or `optimizer`, `schedule`, `frozen`, `statistics`, `thaw_warmup`,
    `optimizer_state`, `parameter`.
    """

    parameter: str
    option: str
    old: str
    new: str


def option_in_words(option: str) -> str:
    """What a reader sees for the option of a `Difference`."""
    return _IN_WORDS.get(option, option)


def diff(old: Plan, new: Plan) -> Iterator[Difference]:
    """Every option, window, schedule, optimizer or freeze that differs, in the order of the model.

    Parameters that only one of the models has are given with option "parameter".
    """
    sides = (_sides(old), _sides(new))
    remembered: dict[tuple[Behaviour, Behaviour], list[tuple[str, str, str]]] = {}
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
        key = (left, right)
        if key not in remembered:
            remembered[key] = list(_compare(old, left, new, right))
        for option, before, after in remembered[key]:
            if option != "statistics" or _has_statistics(new.inventory, name):
                yield Difference(name, option, before, after)


def _has_statistics(inventory: Inventory, name: str) -> bool:
    """Whether the module of a parameter keeps running statistics, or it is not known."""
    counting = inventory.statistics
    return counting is None or inventory.owners[inventory.index_of[name]] in counting


def _sides(plan: Plan) -> dict[str, Behaviour]:
    return {
        name: plan.behaviours[plan.behaviour_of_class[plan.matches.class_of[row]]]
        for row, name in enumerate(plan.inventory.names)
    }


def _compare(old: Plan, left: Behaviour, new: Plan, right: Behaviour) -> Iterator[tuple[str, str, str]]:
    before, after = _words(old, left), _words(new, right)
    said = (*left.statistics, *right.statistics)
    if not any(effect.own or not effect.held for effect in said):  # they follow the freezes, which are told
        del before["statistics"], after["statistics"]
    for option in dict.fromkeys([*before, *after]):
        a, b = before.get(option, "none"), after.get(option, "none")
        if a != b:
            yield option, a, b


def _words(plan: Plan, behaviour: Behaviour) -> dict[str, str]:
    out = {
        "optimizer": plan.optimizers[behaviour.optimizer].called,
        "schedule": _over_time(plan, behaviour, _schedule_in_words),
        "frozen": _over_time(plan, behaviour, lambda b, tick, fired: spelled(b.freeze(tick, fired).frozen)),
        "thaw_warmup": _thaws(plan, behaviour),
        "optimizer_state": "kept" if behaviour.frozen_for_ever else _fresh(plan),
        "statistics": _over_time(plan, behaviour, _statistics_in_words),
    }
    for option in behaviour.courses:
        out[option] = _over_time(plan, behaviour, partial(_option_in_words, option))
    return out


def _schedule_in_words(behaviour: Behaviour, tick: int, fired: Fired) -> str:
    schedule = behaviour.schedule_at(tick, fired)
    return "none" if schedule is None else schedule.text()


def _statistics_in_words(behaviour: Behaviour, tick: int, fired: Fired) -> str:
    state = behaviour.freeze(tick, fired)
    return "held" if state.held or (state.frozen and not state.statistics) else "going on"


def _thaws(plan: Plan, behaviour: Behaviour) -> str:
    """`epoch 2 to epoch 3`, for each thaw after which rates ramp; those that wait for a metric as if it came at its first report."""
    fired = _all_fired(plan)
    sure = [thaw for thaw in behaviour.unfolded({}).thaws if thaw.warmup]
    may = [thaw for thaw in behaviour.unfolded(fired).thaws if thaw.warmup and thaw not in sure]
    words = [f"{plan.clock.words(t.tick)} to {plan.clock.words(t.tick + t.warmup)}" for t in sure]
    words += [f"{_length(plan, t.warmup)} long when a metric says so" for t in may]
    return ", ".join(words) or "none"


def _fresh(plan: Plan) -> str:
    """`fresh at epoch 5`, for each stage behind the first that begins with a fresh optimizer."""
    sure, may = plan.timeline.stretches({})[1:], plan.timeline.stretches(_all_fired(plan))[1:]
    words = []
    for stage, known, supposed in zip(plan.timeline.calendar.stages, sure, may, strict=True):
        if not stage.fresh or 0 in (known.start, supposed.start):
            continue
        if known.start == supposed.start != NEVER:
            words.append(f"fresh at {plan.clock.words(known.start)}")
        elif supposed.start != NEVER:
            words.append(f"fresh when stage {stage.name} begins")
    return ", ".join(words) or "kept"


def _all_fired(plan: Plan) -> Fired:
    """Every metric condition as if it came true at its first report."""
    fired: dict[int, int] = {}
    for event in plan.events:
        opens = plan.timeline.tick(event.opens, fired)
        if opens != NEVER:
            fired[event.index] = opens + 1
    return fired


def _length(plan: Plan, ticks: int) -> str:
    known = plan.clock.knows_epochs
    return plural(float(plan.clock.epoch_of(ticks)) if known else ticks, "epoch" if known else "step")


def _option_in_words(option: str, behaviour: Behaviour, tick: int, fired: Fired) -> str:
    product = behaviour.now(tick, fired).products[option]
    if not product.movers:
        return spelled(product.scale)
    stretches = behaviour.timeline.stretches(fired)
    words = " * ".join(shown(mover) for mover in product.movers)
    return f"{spelled(product.at(tick, stretches))}, moving by {words}"


def _over_time(plan: Plan, behaviour: Behaviour, words: Callable[[Behaviour, int, Fired], str]) -> str:
    """`1e-3, from epoch 5 on 1e-4`."""
    course = [(0, words(behaviour, 0, {}))]
    for tick in behaviour.changes():
        now = words(behaviour, tick, {})
        if now != course[-1][1]:
            course.append((tick, now))
    text = course[0][1]
    for tick, now in course[1:]:
        text += f", from {plan.clock.words(tick)} {now}"
    fired: dict[int, int] = {}
    last = course[-1][1]
    for event in plan.events:
        opens = plan.timeline.tick(event.opens, fired)
        if opens == NEVER:
            continue
        fired[event.index] = max(course[-1][0], opens)
        now = words(behaviour, fired[event.index], fired)
        if now != last:
            text += f", when {event.text} {now}"
            last = now
    return text
