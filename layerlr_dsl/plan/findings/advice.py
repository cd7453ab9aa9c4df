"""LR4xx: advice, given only when asked for."""

from __future__ import annotations

from collections.abc import Iterator

from layerlr_dsl.language.diagnostics import Diagnostic, info
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.behaviour import Behaviour
from layerlr_dsl.plan.freezing import FreezeState
from layerlr_dsl.plan.matching import Row
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.tools.numbers import spelled

RATIO = 1e4


def advice(plan: Plan) -> list[Diagnostic]:
    """What a careful reader would remark on: nothing here is wrong."""
    return [*_ratios(plan), *_decayed(plan), *_muon(plan), *_statistics(plan)]


def _winner(plan: Plan, number: int, option: str) -> Span | None:
    effects = plan.cascades[number].of(option)
    return effects[-1].setting.span if effects else plan.rules.optimizer.span


def _rows(plan: Plan) -> Iterator[tuple[int, Row, bool]]:
    """Each parameter with its class, and whether it ever trains: a class may hold weights and biases."""
    inventory = plan.inventory
    trains = dict(_classes(plan))
    for row, number in enumerate(plan.matches.class_of):
        named = Row(inventory, row, inventory.names[row], inventory.owners[row], inventory.leaves[row])
        yield number, named, trains[number]


def _classes(plan: Plan) -> Iterator[tuple[int, bool]]:
    """Classes that some parameter belongs to, and whether they ever train."""
    for number in range(len(plan.cascades)):
        behaviour = plan.behaviours[plan.behaviour_of_class[number]]
        yield number, not behaviour.frozen_for_ever


def _ratios(plan: Plan) -> Iterator[Diagnostic]:
    rates, options = {}, {}
    for number, trains in _classes(plan):
        behaviour = plan.behaviours[plan.behaviour_of_class[number]]
        lr = behaviour.options(0).get(behaviour.scheduled)
        if trains and lr:
            rates[number], options[number] = float(lr), behaviour.scheduled
    if not rates:
        return
    low, high = min(rates, key=rates.__getitem__), max(rates, key=rates.__getitem__)
    if rates[high] > RATIO * rates[low]:
        names = [plan.matches.classes[number].row.name for number in (low, high)]
        yield info(
            "LR401",
            f"learning rates differ by more than {spelled(RATIO)}: {spelled(rates[low])} for `{names[0]}`, "
            f"{spelled(rates[high])} for `{names[1]}`",
            _winner(plan, low, options[low]),
            "a layer that moves this slowly is nearly frozen: `freeze` saves its time too",
        )


def _decayed(plan: Plan) -> Iterator[Diagnostic]:
    said: set[int] = set()
    for number, row, trains in _rows(plan):
        behaviour = plan.behaviours[plan.behaviour_of_class[number]]
        decay = behaviour.options(0).get("weight_decay")
        small = row.leaf == "bias" or row.is_a("norm")
        span = _winner(plan, number, "weight_decay")
        if trains and decay and small and (span.start if span else -1) not in said:
            said.add(span.start if span else -1)
            yield info(
                "LR402",
                f"`{row.name}` decays with weight_decay {spelled(decay)}",
                span,
                "biases and norms usually skip it: `** where ndim <= 1 or module is norm -> weight_decay 0`",
            )


def _muon(plan: Plan) -> Iterator[Diagnostic]:
    last = plan.inventory.names[-1].split(".")[0] if plan.inventory.names else ""
    said: set[int] = set()
    for number, row, trains in _rows(plan):
        cascade = plan.cascades[number]
        if not trains or number in said or plan.optimizers[cascade.optimizer].info.name != "muon":
            continue
        head = row.name.split(".")[0] == last and row.is_a("linear")
        if row.is_a("embedding") or head:
            said.add(number)
            what = "an embedding" if row.is_a("embedding") else "the head"
            clause = cascade.own_optimizer
            span = plan.rules.optimizer.span if clause is None else plan.rules.clauses[clause].span
            yield info(
                "LR403",
                f"`{row.name}` is {what} and trains with Muon",
                span,
                "Muon is meant for hidden matrices; give embeddings and the head AdamW",
            )


def _statistics(plan: Plan) -> Iterator[Diagnostic]:
    """Norms that stand still at first and go by each batch later, while something is fitted to them as they stand."""
    norms = plan.inventory.statistics or frozenset()
    if not norms or all(plan.behaviours[number].now(0).freeze.frozen for number in plan.behaviour_of_class):
        return
    moving = {row.owner for number, row, _ in _rows(plan) if not _at_start(plan, number).frozen}
    for number, row, _ in _rows(plan):
        behaviour = plan.behaviours[plan.behaviour_of_class[number]]
        start = _at_start(plan, number)
        if (
            row.owner not in norms
            or row.owner in moving
            or not start.frozen
            or start.statistics
            or start.effect is None
        ):
            continue
        thaw = _goes_by_batches(behaviour)
        if thaw is not None:
            yield info(
                "LR404",
                f"from {plan.clock.words(thaw)} on `{row.name.rpartition('.')[0]}` normalises by each batch, and "
                "what trained before was fitted to its statistics",
                start.effect.span,
                "`freeze statistics of **` holds them all along; or let them go on from the start: "
                "`freeze ... updating statistics`",
            )
            return


def _at_start(plan: Plan, number: int) -> FreezeState:
    return plan.behaviours[plan.behaviour_of_class[number]].now(0).freeze


def _goes_by_batches(behaviour: Behaviour) -> int | None:
    """The tick at which a norm that stands still at first begins to go by its batches."""
    steps = behaviour.unfolded().frozen.plainly()
    return next(
        (
            tick
            for tick, (frozen, going, held) in zip(steps.ticks, steps.values, strict=True)
            if tick and (going or not frozen) and not held
        ),
        None,
    )
