"""What a file says of a set of classes of parameters on a clock, whatever their names are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import CheckedClause, CheckedRules
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.plan.behaviour import Behaviour, BehaviourBuilder
from layerlr_dsl.plan.cascade import Cascade, CascadeBuilder, OptimizerChoice
from layerlr_dsl.plan.course import Effect
from layerlr_dsl.plan.covering import Order, Windows
from layerlr_dsl.plan.freezing import FreezeEffect, StatisticsEffect
from layerlr_dsl.plan.matching import Decider, RowClass
from layerlr_dsl.plan.timed import Timed
from layerlr_dsl.plan.timeline import Interval
from layerlr_dsl.tools.records import record

Words: TypeAlias = tuple[object, ...]
Heard: TypeAlias = "Effect | FreezeEffect | StatisticsEffect | _Driving"


@dataclass(slots=True, eq=False)
class Verdict:
    """Of what is said of a class: the clauses that are heard, and pairs of one that is not and why."""

    winners: set[int]
    losses: list[tuple[int, int]]


@dataclass(slots=True, eq=False)
class Ruling:
    """The cascades and behaviours of some classes, in their order."""

    optimizers: tuple[OptimizerChoice, ...]
    cascades: tuple[Cascade, ...]
    behaviours: tuple[Behaviour, ...]
    behaviour_of_class: tuple[int, ...]
    verdicts: list[Verdict]
    without_lr: frozenset[int]
    """Classes that train by the optimizer's own rate."""
    found: tuple[Diagnostic, ...]


def ruling(decider: Decider, timed: Timed, kinds: Sequence[RowClass]) -> Ruling:
    """The ruling on some classes."""
    builder = CascadeBuilder(decider, timed, kinds)
    cascades = [builder.of(kind, decider.clauses_of(kind)) for kind in kinds]
    words = {cascade: _words(cascade) for cascade in dict.fromkeys(cascades)}
    behaviours, of_class = _behaviours(builder, cascades, words)
    choosing = decider.compiled.choosing
    return Ruling(
        tuple(builder.optimizers),
        tuple(cascades),
        tuple(behaviours),
        tuple(of_class),
        _verdicts(cascades, words, decider.compiled.rules, choosing),
        frozenset(
            [
                number
                for number, behaviour in enumerate([behaviours[number] for number in of_class])
                if not behaviour.driven.effects and not behaviour.frozen_for_ever
            ]
        ),
        tuple(builder.found),
    )


# ---------------------------------------------------------------- over time


def _behaviours(
    builder: CascadeBuilder, cascades: list[Cascade], words: Mapping[Cascade, Words]
) -> tuple[list[Behaviour], list[int]]:
    makes = BehaviourBuilder(builder.optimizers, builder.timed.timeline)
    behaviours: list[Behaviour] = []
    by_key: dict[object, int] = {}
    by_words: dict[object, int] = {}
    known: dict[Cascade, int] = {}
    for cascade, said in words.items():
        number = by_words.get((said, cascade.came_frozen))
        if number is None:
            behaviour = makes.build(cascade)
            number = by_key.setdefault(makes.key(behaviour), len(behaviours))
            if number == len(behaviours):
                behaviours.append(behaviour)
            by_words[said, cascade.came_frozen] = number
        known[cascade] = number
    return behaviours, [known[cascade] for cascade in cascades]


def _words(cascade: Cascade) -> Words:
    """Equal for two classes of which the same is said, by the same effects."""
    said = [tuple([e.number for e in own]) for own in (cascade.effects, cascade.freezes, cascade.statistics)]
    drives = tuple([(e.clause, e.window.stage) for e in cascade.schedules])
    return (cascade.optimizer, drives, *said)


# ---------------------------------------------------------------- who is heard


def _verdicts(
    cascades: Sequence[Cascade], words: Mapping[Cascade, Words], rules: CheckedRules, choosing: set[int]
) -> list[Verdict]:
    """The verdict on each class; those of which the same is said share one."""
    order = Order({window for cascade in words for window in _windows(cascade)})
    known: dict[object, Verdict] = {}
    found: dict[Cascade, Verdict] = {}
    for cascade, said in words.items():
        chooses = (
            tuple([one.clause for one in cascade.selected if one.clause in choosing]) if choosing else ()
        )
        lapsed = tuple([effect.clause for effect in cascade.lapsed])
        key = (said, lapsed, chooses, cascade.own_optimizer)
        if key not in known:
            known[key] = _verdict(cascade, rules, choosing, order)
        found[cascade] = known[key]
    return [found[cascade] for cascade in cascades]


def _windows(cascade: Cascade) -> Iterator[Interval]:
    for said in (cascade.effects, cascade.freezes, cascade.statistics, cascade.schedules):
        yield from (effect.window for effect in said)


def _verdict(cascade: Cascade, rules: CheckedRules, choosing: set[int], order: Order) -> Verdict:
    verdict = Verdict({lapsed.clause for lapsed in cascade.lapsed}, [])
    _hear(cascade.effects, verdict, order)
    _hear(cascade.freezes, verdict, order)
    # What a freeze says of statistics goes with what it says of freezing; only the rest is heard by itself.
    _hear([e for e in cascade.statistics if _is_of_statistics(e, rules)], verdict, order)
    driving = [_Driving(e.clause, e.window) for e in cascade.schedules if e.clause is not None]
    _hear(driving, verdict, order)
    for one in cascade.selected if choosing else ():
        if one.clause in choosing and _chooses_optimizer(rules.clauses[one.clause]):
            winner = cascade.own_optimizer
            if winner is not None and winner != one.clause:
                verdict.losses.append((one.clause, winner))
            else:
                verdict.winners.add(one.clause)
    return verdict


@record
class _Driving:
    """A schedule that a rule gives, as the cascade hears it."""

    clause: int
    window: Interval
    option: str = "schedule"
    multiply: bool = False


def _is_of_statistics(effect: StatisticsEffect, rules: CheckedRules) -> bool:
    return isinstance(rules.clauses[effect.clause].statement, s.FreezeStatisticsStatement)


def _chooses_optimizer(clause: CheckedClause) -> bool:
    return any(setting.option == "optimizer" and setting.factory is not None for setting in clause.settings)


def _hear(effects: Sequence[Heard], verdict: Verdict, order: Order) -> None:
    # From last to first. Of what later ones say of an option: the last that hides all before it, and, of
    # those behind it, the ones with windows, which hide what lies inside.
    whole: dict[str, int] = {}
    windowed: dict[str, Windows] = {}
    for place, effect in enumerate(reversed(effects)):
        option, clause = effect.option, effect.clause
        hider, later = whole.get(option), None
        if option in windowed:
            later = windowed[option].first_that_covers(effect.window)
            hider = hider if later is None else effects[-1 - later].clause
        if hider is None or hider == clause:
            verdict.winners.add(clause)
        else:
            verdict.losses.append((clause, hider))
        if not effect.multiply and option not in whole:
            if effect.window.always:
                whole[option] = clause
            elif later is None:  # what it holds, that other one holds too
                windowed.setdefault(option, Windows(order)).add(effect.window, place)
