"""What a file says of a set of classes of parameters on a clock, whatever their names are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from layerlr_dsl.language.checked import CheckedRules, CheckedSelector, GroupItem, PatternItem
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.plan.behaviour import Behaviour, BehaviourBuilder
from layerlr_dsl.plan.cascade import Cascade, CascadeBuilder, Effect, FreezeEffect, OptimizerChoice
from layerlr_dsl.plan.choosing import Chooser
from layerlr_dsl.plan.selection import Decider, RowClass
from layerlr_dsl.plan.timed import Timed
from layerlr_dsl.plan.timeline import Interval

_MOST_CLASSES = 5_000
_MOST_RULINGS = 4


@dataclass(slots=True, eq=False)
class Verdict:
    """Of what is said of a class: the clauses that are heard, and pairs of one that is not and why."""

    winners: set[int]
    losses: list[tuple[int, int]]


@dataclass(slots=True, eq=False)
class Ruling:
    """The cascades and behaviours of some classes, in their order."""

    numbers: dict[int, dict[str, tuple[int, ...]]]
    """By id of a checked selector: the distinct values of its captures, ascending."""
    optimizers: tuple[OptimizerChoice, ...]
    cascades: tuple[Cascade, ...]
    behaviours: tuple[Behaviour, ...]
    behaviour_of_class: tuple[int, ...]
    verdicts: list[Verdict]
    without_lr: frozenset[int]
    """Classes that train by the optimizer's own rate."""
    found: tuple[Diagnostic, ...]
    quiet: bool = False
    """Whether it is known to lead to no finding by itself."""


def ruling(decider: Decider, timed: Timed, kinds: Sequence[RowClass]) -> Ruling:
    """The ruling on some classes: one that was made before where it holds for them too."""
    key = tuple([kind.told_by for kind in kinds])
    known: Ruling | None = timed.rulings.get(key)
    if known is not None:
        decider.numbers = known.numbers
        return known
    made = _made(decider, timed, kinds)
    # What there is to say of faults names parameters, so it is found again for the next model.
    if not made.found and not decider.troubles and len(kinds) <= _MOST_CLASSES:
        if len(timed.rulings) >= _MOST_RULINGS:
            timed.rulings.clear()
        timed.rulings[key] = made
    return made


def _made(decider: Decider, timed: Timed, kinds: Sequence[RowClass]) -> Ruling:
    decider.numbers = _numbers(decider, kinds)
    builder = CascadeBuilder(decider, timed)
    chooser = Chooser(decider)
    cascades = [builder.build(kind, chooser.clauses_of(kind)) for kind in kinds]
    behaviours, of_class = _behaviours(builder, cascades)
    choosing = decider.compiled.choosing
    return Ruling(
        decider.numbers,
        tuple(builder.optimizers),
        tuple(cascades),
        tuple(behaviours),
        tuple(of_class),
        [_verdict(cascade, decider.compiled.rules, choosing) for cascade in cascades],
        frozenset(
            number
            for number, cascade in enumerate(cascades)
            if not any(effect.option == "lr" for effect in cascade.effects)
            and not behaviours[of_class[number]].frozen_for_ever
        ),
        tuple(builder.found),
    )


# ---------------------------------------------------------------- what captures are bound to


def _numbers(decider: Decider, kinds: Sequence[RowClass]) -> dict[int, dict[str, tuple[int, ...]]]:
    """The distinct values of every capture, over each selector's items before `except` and `where`."""
    compiled, rules = decider.compiled, decider.compiled.rules
    numbers: dict[int, dict[str, tuple[int, ...]]] = {}
    if not compiled.capturing:
        return numbers
    by_item: dict[int, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for item, bindings in {hit for hits in {kind.accepted.hits for kind in kinds} for hit in hits}:
        for name, value in bindings:
            by_item[item][name].add(value)
    decider.numbers = numbers
    # Groups come first and in order of need: a selector may use the captures of a group.
    for selector in _by_need(rules, compiled.capturing):
        values: dict[str, set[int]] = defaultdict(set)
        for one in selector.include:
            if isinstance(one, PatternItem):
                for name, found in by_item[compiled.items[one.text]].items():
                    values[name] |= found
            elif isinstance(one, GroupItem):
                for kind in kinds:
                    for name, value in decider.decide(kind, rules.groups[one.name]) or ():
                        values[name].add(value)
        numbers[id(selector)] = {name: tuple(sorted(found)) for name, found in values.items()}
    return numbers


def _by_need(rules: CheckedRules, selectors: Iterable[CheckedSelector]) -> list[CheckedSelector]:
    ordered: dict[int, CheckedSelector] = {}

    def visit(selector: CheckedSelector) -> None:
        if id(selector) in ordered:
            return
        for item in (*selector.include, *selector.exclude):
            if isinstance(item, GroupItem):
                visit(rules.groups[item.name])
        if selector.captures:
            ordered[id(selector)] = selector

    for selector in selectors:
        visit(selector)
    return list(ordered.values())


# ---------------------------------------------------------------- over time


def _behaviours(builder: CascadeBuilder, cascades: list[Cascade]) -> tuple[list[Behaviour], list[int]]:
    makes = BehaviourBuilder(builder.optimizers, builder.timed.timeline)
    behaviours: list[Behaviour] = []
    by_key: dict[object, int] = {}
    by_words: dict[object, int] = {}
    of_class: list[int] = []
    for cascade in cascades:
        said = tuple(map(id, cascade.effects)), tuple(map(id, cascade.freezes))
        words = (cascade.optimizer, id(cascade.schedule), said)
        number = by_words.get(words)
        if number is None:
            behaviour = makes.build(cascade)
            number = by_key.setdefault(behaviour.key(), len(behaviours))
            if number == len(behaviours):
                behaviours.append(behaviour)
            by_words[words] = number
        of_class.append(number)
    return behaviours, of_class


# ---------------------------------------------------------------- who is heard


def _verdict(cascade: Cascade, rules: CheckedRules, choosing: set[int]) -> Verdict:
    verdict = Verdict({lapsed.clause for lapsed in cascade.lapsed}, [])
    _hear(cascade.effects, verdict)
    _hear(cascade.freezes, verdict)
    for one in cascade.selected if choosing else ():
        if one.clause not in choosing:
            continue
        for setting in rules.clauses[one.clause].settings:
            if setting.option in ("schedule", "optimizer"):
                winner = cascade.schedule_clause if setting.option == "schedule" else cascade.own_optimizer
                if winner is not None and winner != one.clause:
                    verdict.losses.append((one.clause, winner))
                else:
                    verdict.winners.add(one.clause)
    return verdict


def _hear(effects: Sequence[Effect | FreezeEffect], verdict: Verdict) -> None:
    # From last to first. Of what later ones say of an option: the last that hides all before it, and, of
    # those behind it, the ones with windows, which hide what lies inside.
    whole: dict[str, int] = {}
    windowed: dict[str, list[Effect | FreezeEffect]] = {}
    for effect in reversed(effects):
        option, clause = effect.option, effect.clause
        hider = whole.get(option)
        if windowed:
            for later in windowed.get(option, ()):
                if covers(later.window, effect.window):
                    hider = later.clause
                    break
        if hider is None or hider == clause:
            verdict.winners.add(clause)
        else:
            verdict.losses.append((clause, hider))
        if not effect.multiply and option not in whole:
            if effect.window.always:
                whole[option] = clause
            else:
                windowed.setdefault(option, []).append(effect)


def covers(outer: Interval, inner: Interval) -> bool:
    """Whether one window holds another whole, as far as that can be known."""
    if outer.always or outer == inner:
        return True
    begins = outer.opens == inner.opens or (
        outer.opens.event is None
        and (inner.opens.event is not None or outer.opens.epochs <= inner.opens.epochs)
        and (inner.opens.event is None or outer.opens.epochs == 0)
    )
    if outer.closes is None:
        return begins
    ends = inner.closes is not None and (
        outer.closes == inner.closes
        or (
            outer.closes.event is None
            and inner.closes.event is None
            and outer.closes.epochs >= inner.closes.epochs
        )
    )
    return begins and ends
