"""LR107 and LR108 over time: what moves must be a value that the optimizer takes, at every tick."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from layerlr_dsl.language import optimizers
from layerlr_dsl.language.diagnostics import Diagnostic, error
from layerlr_dsl.language.expressions import Fault, Value
from layerlr_dsl.language.numbers import spelled
from layerlr_dsl.plan.behaviour import NOTHING_FIRED, Behaviour
from layerlr_dsl.plan.clock import UnknownTime
from layerlr_dsl.plan.course import Effect, Product
from layerlr_dsl.plan.factories import Faulty
from layerlr_dsl.plan.moving import Moving

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan


def moving(plan: Plan) -> Iterator[Diagnostic]:
    """The first tick at which an option that moves has no value, or one that its optimizer refuses."""
    ticks = plan.looked_at()
    names = _names(plan)
    said: set[tuple[str, int]] = set()
    sound: set[tuple[int, str, Product, int, int]] = set()
    for number, behaviour in enumerate(plan.behaviours):
        for option in behaviour.moving:
            for finding in _over_time(plan, behaviour, option, ticks, names[number], sound):
                key = (finding.code, finding.span.start if finding.span is not None else -1)
                if key not in said:
                    said.add(key)
                    yield finding
                break


def _names(plan: Plan) -> dict[int, str]:
    """A parameter of each behaviour."""
    return {
        plan.behaviour_of_class[number]: kind.row.name
        for number, kind in reversed(list(enumerate(plan.matches.classes)))
    }


def _over_time(
    plan: Plan,
    behaviour: Behaviour,
    option: str,
    ticks: list[int],
    name: str,
    sound: set[tuple[int, str, Product, int, int]],
) -> Iterator[Diagnostic]:
    info = plan.optimizers[behaviour.optimizer].info
    stretches = plan.timeline.stretches(NOTHING_FIRED)
    turns = [0, *behaviour.changes(), ticks[-1] + 1]
    for start, end in pairwise(turns):
        product = behaviour.now(start).products[option]
        key = (behaviour.optimizer, option, product, start, end)
        if not product.movers or key in sound:
            continue
        for tick in ticks[bisect_right(ticks, start - 1) : bisect_right(ticks, end - 1)]:
            try:
                value = product.at(tick, stretches)
            except Fault as fault:
                where = f"at {_place(plan, tick)}, for `{name}`"
                yield error(fault.code, f"{fault.message} {where}", fault.span, fault.help)
                return
            except (Faulty, UnknownTime) as fault:
                yield from _not_to_be_had(fault, behaviour, option, start)
                return
            why = optimizers.problem(info, option, value) if option in info.options else None
            if why is not None:
                yield _refused(plan, behaviour, option, tick, value, why, name)
                return
        sound.add(key)


def _refused(
    plan: Plan, behaviour: Behaviour, option: str, tick: int, value: Value, why: str, name: str
) -> Diagnostic:
    effect = _deciding(behaviour, option, tick)
    expression = effect.setting.expression
    span = effect.setting.span if expression is None else expression.span
    message = f"`{option}` {why}, and this is {spelled(value)} at {_place(plan, tick)} for `{name}`"
    return error("LR107", message, span, "bound it with min(...) or max(...), or change the numbers")


def _deciding(behaviour: Behaviour, option: str, tick: int) -> Effect:
    """The last effect in force that moves."""
    effects = behaviour.courses[option].effects
    active = [e for e in effects if behaviour.active(e.window, tick, NOTHING_FIRED)]
    return next(e for e in reversed(active) if isinstance(e.value, Moving))


def _not_to_be_had(
    fault: Faulty | UnknownTime, behaviour: Behaviour, option: str, tick: int
) -> Iterator[Diagnostic]:
    if isinstance(fault, Faulty):
        yield from fault.found
        return
    expression = _deciding(behaviour, option, tick).setting.expression
    assert expression is not None
    words = " ".join(expression.span.text.split())
    if fault.missing == "epochs":
        help = "give epochs or steps, or write `epochs 30` in the file"
        yield error(
            "LR311", f"`{words}` needs the length of the run, which is not known", expression.span, help
        )
    else:
        help = "give steps_per_epoch (on the command line --steps-per-epoch), or write it in the file"
        yield error(
            "LR309", f"`{words}` needs the steps of an epoch, which are not known", expression.span, help
        )


def _place(plan: Plan, tick: int) -> str:
    return f"step {tick}" if plan.clock.counts_steps else plan.clock.words(tick)
