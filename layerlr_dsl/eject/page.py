"""The page: what a reviewer reads and another program imports."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from layerlr_dsl.eject import runtime
from layerlr_dsl.eject.functions import Functions
from layerlr_dsl.eject.groups import entries_of, rates_name, table
from layerlr_dsl.eject.layout import WIDTH, Items, laid_out, literal, pattern, wrapped
from layerlr_dsl.eject.names import patterns_of
from layerlr_dsl.eject.overtime import OverTime
from layerlr_dsl.eject.refusals import Refusals
from layerlr_dsl.plan.cascade import OptimizerChoice
from layerlr_dsl.plan.freezing import FreezeState
from layerlr_dsl.plan.ruling import ruling
from layerlr_dsl.plan.stages import NEVER
from layerlr_dsl.plan.stepwise import Stepwise
from layerlr_dsl.tools.numbers import spelled

if TYPE_CHECKING:
    from layerlr_dsl.plan.behaviour import Behaviour
    from layerlr_dsl.plan.plan import Plan

_MATH = ("ceil", "cos", "exp", "floor", "inf", "isfinite", "log", "log2", "pi", "sin", "sqrt")
_USE = {"pi": r" \*", "inf": r"\b(?!\()"}
"""What follows a name of `math` where it is used."""
_FILLS_STATE = ("adagrad", "lbfgs")
"""Optimizers that keep state from the start, or in their groups."""


def ejected(plan: Plan, of: str) -> str:
    """The page for a plan. of: the model in words.

    Raises CannotEject for what plain PyTorch cannot say, or this cannot write.
    """
    refusals = Refusals()
    _refuse(plan, refusals)
    waits = bool(plan.events) or any(
        one.schedule.plateaus() and list(one.schedule.plateaus())
        for group in plan.groups
        for course in group.behaviour.courses.values()
        for one in course.schedules
    )
    functions = Functions(plan.timeline.stretches({}))
    over_time = OverTime(plan, functions, "t, m" if waits else "t")
    entries = entries_of(plan, over_time, refusals)
    modules = _modules(plan, over_time, refusals)
    refusals.check()
    shown = _short_names(plan)
    parts = runtime.Parts(
        waits=waits,
        freezes=any(key == "frozen" for entry in entries for key, _ in entry.more) or bool(modules),
        modules=bool(modules),
        fresh=bool(_fresh(plan)),
        several=len(_used(plan)) > 1,
        over=plan.over(),
        returns=_returns(plan),
    )
    rates, groups = table(entries, shown)
    body = [
        *(["", "", *_metrics(plan, functions, over_time)] if waits else []),
        *functions.lines,
        *("", "", *runtime.group(parts)),
        *("", ""),
        *_rates(rates),
        *laid_out(groups, before="GROUPS = "),
        *_constants(plan, modules),
        *("", "", *runtime.make_optimizer(parts, _built(plan))),
        *("", "", *runtime.schedule(parts)),
    ]
    head = [*_docstring(plan, of, parts), "", *_imports(body, plan, parts)]
    return "\n".join([*head, *body]) + "\n"


def _refuse(plan: Plan, refusals: Refusals) -> None:
    """What the page has no words for, whatever the groups."""
    used = [plan.optimizers[index] for index in _used(plan)]
    for choice in used:
        if not choice.info.target.startswith("torch.optim:"):
            told = f"the optimizer {choice.called} is not torch's own, and the page needs torch alone"
            refusals.add(told, choice.span)
    fills = [choice.info.name for choice in used if choice.info.name in _FILLS_STATE]
    for stage in plan.timeline.calendar.stages:
        if stage.until is not None:
            told = f"stage {stage.name} ends when a metric says so, and the numbers of the stages behind it hang on when"
            refusals.add(told, stage.span)
        if stage.fresh and fills:
            refusals.add(f"a fresh optimizer, as {fills[0]} keeps state from the start", stage.span)


def _used(plan: Plan) -> list[int]:
    return sorted({group.optimizer for group in plan.groups})


def _class_name(choice: OptimizerChoice) -> str:
    return choice.info.target.partition(":")[2]


def _returns(plan: Plan) -> str:
    names = list(dict.fromkeys(_class_name(plan.optimizers[index]) for index in _used(plan)))
    return names[0] if len(_used(plan)) == 1 else "list[Optimizer]"


def _built(plan: Plan) -> list[tuple[str, list[str]]]:
    """The class of each optimizer and its arguments besides the groups."""
    return [
        (
            _class_name(plan.optimizers[index]),
            [f"{key}={literal(_plain(value))}" for key, value in plan.optimizers[index].settings.items()],
        )
        for index in _used(plan)
    ]


def _plain(value: object) -> object:
    # torch's Adam takes betas=(0.0, 0.999) and refuses (0, 0.999).
    if isinstance(value, tuple):
        return tuple(
            float(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in value
        )
    return value


# ---------------------------------------------------------------- head


def _docstring(plan: Plan, of: str, parts: runtime.Parts) -> list[str]:
    file = plan.rules.source.name
    clock = plan.clock
    length = (
        f"{clock.total} {'steps' if clock.counts_steps else 'epochs'}"
        if clock.total
        else "a run of any length"
    )
    epochs = f", {spelled(clock.steps_per_epoch)} to an epoch" if clock.steps_per_epoch else ""
    first = f"The rules of {os.path.basename(file)} for {of}, over {length}{epochs}."
    lines = wrapped(_safe(first), 0)
    lines[0] = '"""' + lines[0]
    return [*lines, "", *runtime.usage(parts, clock.counts_steps, _reported(plan)), '"""']


def _safe(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'")


def _reported(plan: Plan) -> list[str]:
    found = [event.metric for event in plan.events]
    for group in plan.groups:
        for course in group.behaviour.courses.values():
            for one in course.schedules:
                found += [plateau.metric for _, plateau in one.schedule.plateaus()]
    return list(dict.fromkeys(found))


def _imports(body: Iterable[str], plan: Plan, parts: runtime.Parts) -> list[str]:
    text = "\n".join(body)
    used = [name for name in _MATH if re.search(rf"(?<![\w.\"]){name}{_USE.get(name, '[(]')}", text)]
    lines = ["from __future__ import annotations", "", "import re"]
    lines += ["from collections.abc import Callable"] if "Callable[" in text else []
    lines += [f"from dataclasses import {'asdict, ' * parts.waits}dataclass{', field' * parts.waits}"]
    lines += [f"from math import {', '.join(used)}"] if used else []
    classes = sorted({_class_name(plan.optimizers[index]) for index in _used(plan)} | {"Optimizer"})
    classes.sort(key=str.isupper, reverse=True)
    return [
        *lines,
        "from typing import Any",
        "",
        "from torch import nn",
        f"from torch.optim import {', '.join(classes)}",
    ]


def _short_names(plan: Plan) -> Mapping[str, str]:
    root = os.path.dirname(plan.rules.source.name)
    names = {clause.span.source.name for clause in plan.rules.clauses}
    return {
        name: os.path.relpath(name, root) if root else name
        for name in names
        if not name.startswith("recipe:")
    }


# ---------------------------------------------------------------- constants


def _rates(rates: Sequence[str]) -> Iterator[str]:
    """The rates of numbered groups, several to a line."""
    for place, told in enumerate(rates):
        lines = textwrap.wrap(f"{rates_name(place)} = {told}", WIDTH, subsequent_indent="    ")
        yield from lines if len(lines) == 1 else ["# fmt: off", *lines, "# fmt: on"]
    if rates:
        yield ""


def _fresh(plan: Plan) -> list[int]:
    stretches = plan.timeline.stretches({})[1:]
    starts = zip(plan.timeline.calendar.stages, stretches, strict=True)
    return sorted({stretch.start for stage, stretch in starts if stage.fresh and 0 < stretch.start < NEVER})


def _constants(plan: Plan, modules: Iterable[tuple[list[str], str, bool]]) -> list[str]:
    lines: list[str] = []
    table = [
        Items("(", (Items("[", tuple(map(pattern, names)), "]"), when, repr(still)), ")")
        for names, when, still in modules
    ]
    if table:
        lines += ["# Modules in eval (True), or left alone in what is frozen (False), and when."]
        lines += laid_out(Items("[", tuple(table), "]"), before="MODULES = ")
    if _fresh(plan):
        lines.append(f"FRESH = {_fresh(plan)}  # the optimizer's state is dropped here")
    return lines


def _modules(plan: Plan, over_time: OverTime, refusals: Refusals) -> list[tuple[list[str], str, bool]]:
    """Names of modules that stand still, or go on, by themselves, when, and which of both."""
    by_when: dict[tuple[str, bool], list[str]] = {}
    for name, steps in _without_parameters(plan, refusals):
        if any(steps.values):
            by_when.setdefault((over_time.when(steps), True), []).append(name)
    for name, behaviour in _norms(plan):
        with refusals.kept():
            over_time.refuse_statistics(behaviour)
        states = behaviour.unfolded().freeze
        for attribute, still in (("held", True), ("statistics", False)):
            steps = Stepwise.of(
                (tick, getattr(state, attribute))
                for tick, state in zip(states.ticks, states.values, strict=True)
            )
            if any(steps.values):
                by_when.setdefault((over_time.when(steps), still), []).append(name)
    names = [prefix[:-1] for prefix in plan.inventory.module_prefixes if prefix]
    return [(patterns_of(found, names), when, still) for (when, still), found in by_when.items()]


def _without_parameters(plan: Plan, refusals: Refusals) -> Iterator[tuple[str, Stepwise[bool]]]:
    """Modules without parameters, such as dropout, and when the rules hold them still."""
    matches = plan.matches
    ruled = ruling(plan.decider, plan.timed, matches.module_classes)
    for row, kind in zip(matches.module_rows, matches.module_class_of, strict=True):
        behaviour = ruled.behaviours[ruled.behaviour_of_class[kind]]
        if behaviour.conditional:
            clause = plan.rules.clauses[behaviour.freezes[0].clause if behaviour.freezes else 0]
            told = f"{row.name}, which has no parameters, waits for a metric"
            refusals.add(told, clause.span)
        elif behaviour.freezes or behaviour.statistics:
            states, norm = behaviour.unfolded().freeze, row.is_a("norm")
            pairs = zip(states.ticks, states.values, strict=True)
            steps = Stepwise.of((tick, _still(state, norm=bool(norm))) for tick, state in pairs)
            if norm or not _follows(plan, row.name, steps):
                yield row.name, steps


def _follows(plan: Plan, name: str, steps: Stepwise[bool]) -> bool:
    """Whether all parameters below the module that holds this one are frozen whenever it stands still."""
    parent = name.rpartition(".")[0] + "."
    inventory = plan.inventory
    rows = [row for row, one in enumerate(inventory.names) if one.startswith(parent)]
    around = [plan.behaviours[plan.behaviour_of_class[plan.matches.class_of[row]]] for row in rows]
    if parent == "." or not rows or any(one.conditional for one in around):
        return False
    ticks = {*steps.ticks, *(tick for one in around for tick in one.unfolded().freeze.ticks)}
    return all(one.freeze(tick).frozen for tick in ticks if steps.at(tick) for one in around)


def _still(state: FreezeState, *, norm: bool) -> bool:
    return (state.frozen and not state.statistics) or state.held if norm else state.frozen


def _norms(plan: Plan) -> Iterator[tuple[str, Behaviour]]:
    """Normalisation layers and how each of their parameters behaves."""
    inventory = plan.inventory
    for row, owner in enumerate(inventory.owners):
        if "norm" in inventory.classes[inventory.module_classes[owner]].families:
            behaviour = plan.behaviours[plan.behaviour_of_class[plan.matches.class_of[row]]]
            if behaviour.freezes or behaviour.statistics:
                name = inventory.module_prefixes[owner][:-1]
                yield name, behaviour


# ---------------------------------------------------------------- metrics


def _metrics(plan: Plan, functions: Functions, over_time: OverTime) -> list[str]:
    conditions = [
        Items(
            "Condition(",
            (
                literal(event.metric),
                repr(event.direction == "falling"),
                str(event.patience),
                repr(float(event.delta)),
                f"lambda m: {over_time.mark(event.opens)}",
            ),
            ")",
        )
        for event in plan.events
    ]
    plateaus = [
        Items(
            "Plateau(",
            (
                literal(plateau.metric),
                repr(plateau.rising),
                repr(plateau.decay),
                str(plateau.patience),
                repr(plateau.threshold),
                str(plateau.cooldown),
                repr(plateau.floor),
                *_span_of(functions, scheduled, place),
            ),
            ")",
        )
        for scheduled, place, plateau in functions.plateaus
    ]
    lines = runtime.metrics(bool(conditions), bool(plateaus))
    told = {n: f"{event.text} ({event.span.place})" for n, event in enumerate(plan.events)}
    if conditions:
        lines += [
            "",
            "",
            *laid_out(Items("[", tuple(conditions), "]", tuple(told.items())), before="CONDITIONS = "),
        ]
    if plateaus:
        lines += [
            "" if conditions else "\n",
            *laid_out(Items("[", tuple(plateaus), "]"), before="PLATEAUS = "),
        ]
    return lines


def _span_of(functions: Functions, scheduled: object, place: int) -> tuple[str, str]:
    """The ticks from which and until which a plateau runs."""
    from layerlr_dsl.plan.scheduled import Scheduled
    from layerlr_dsl.plan.schedules import Sequence

    assert isinstance(scheduled, Scheduled)
    stretch = functions.stretches[scheduled.stage]
    schedule = scheduled.on(stretch)
    starts = schedule.starts if isinstance(schedule, Sequence) else (0,)
    begins = stretch.start + starts[place]
    ends = (
        functions.stretches[scheduled.stage + 1].start
        if 0 < scheduled.stage < len(functions.stretches) - 1
        else NEVER
    )
    if place + 1 < len(starts):
        ends = min(ends, stretch.start + starts[place + 1])
    return str(begins), "inf" if ends >= NEVER else str(ends)
