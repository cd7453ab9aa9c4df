"""LR3xx: a file against time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Diagnostic, Related, error, info, warning
from layerlr_dsl.language.expressions import Fault
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.clock import UnknownTime
from layerlr_dsl.plan.factories import Faulty
from layerlr_dsl.plan.findings.checks import Checks
from layerlr_dsl.plan.schedules import Curve, parts_of
from layerlr_dsl.plan.stages import NEVER
from layerlr_dsl.plan.timeline import Mark
from layerlr_dsl.tools.numbers import plural, spelled

if TYPE_CHECKING:
    from layerlr_dsl.plan.behaviour import Behaviour
    from layerlr_dsl.plan.plan import Group, Phase, Plan
    from layerlr_dsl.plan.resolution import Resolution
    from layerlr_dsl.plan.scheduled import Scheduled

check = Checks()


@check
def nothing_trains(plan: Plan, resolution: Resolution) -> Iterator[Diagnostic]:
    """Spans of the run in which every parameter is frozen."""
    if resolution.nominal or not len(resolution.inventory):
        return
    if any(
        g.kind == "trains" and not g.behaviour.freezes and not g.behaviour.came_frozen for g in plan.groups
    ):
        return
    ends = {stage.until for stage in plan.timeline.calendar.stages}
    for phase in plan.phases:
        # What a metric freezes may be meant to end the training; a stage that it begins is not.
        begins = phase.when is None or not ends.isdisjoint(phase.fired)
        if begins and len(phase.frozen) == len(plan.groups):
            freezes = [f.behaviour.freeze(phase.tick, phase.fired).effect for f in plan.groups if f.planned]
            spans = [effect.span for effect in freezes if effect is not None]
            if not spans:
                yield error(
                    "LR301",
                    "nothing trains: every parameter came frozen with the model",
                    None,
                    "unfreeze some",
                )
                return
            span = max(spans, key=lambda x: x.start)
            yield error(
                "LR301",
                f"nothing trains {_between(plan, phase)}: every parameter is frozen",
                span,
                "leave something unfrozen, such as the head, or end a freeze earlier",
            )
            return


def _between(plan: Plan, phase: Phase) -> str:
    if phase.when is not None:
        return f"in stage {phase.stage}, when {phase.when}"
    start = plan.clock.words(phase.start)
    if phase.end is None:
        return "at any time" if phase.start == 0 else f"from {start} on"
    return f"from {start} to {plan.clock.words(phase.end)}"


@check
def only_frozen(resolution: Resolution) -> Iterator[Diagnostic]:
    """Rules that give options to nothing but what is frozen for ever."""
    forever: dict[int, list[bool]] = defaultdict(list)
    ended = [behaviour.frozen_for_ever for behaviour in resolution.ruling.behaviours]
    if not any(ended):
        return
    for number, cascade in enumerate(resolution.ruling.cascades):
        for one in cascade.selected:
            forever[one.clause].append(ended[resolution.ruling.behaviour_of_class[number]])
    for clause in resolution.rules.clauses:
        if (
            isinstance(clause.statement, s.RuleStatement)
            and forever[clause.index]
            and all(forever[clause.index])
        ):
            yield warning(
                "LR305",
                "this rule covers only parameters that are frozen for ever",
                clause.span,
                "remove the rule, or end the freeze",
            )


@check
def behind_training(plan: Plan, resolution: Resolution) -> Iterator[Diagnostic]:
    """Freezes that save little, because the backward pass must go through them all the same.

    Nothing is claimed where the order in which the model runs is not known.
    """
    planned = [number for number, group in enumerate(plan.groups) if group.planned]
    order = plan.inventory.running_rows
    if resolution.nominal or not planned or order is None:
        return
    places = {row: place for place, row in enumerate(order)}
    rows = [sorted(places[row] for row in group) for group in resolution.rows]
    said: set[int] = set()
    before: list[bool] = []
    for tick in _freezing_ticks(plan):
        frozen = [g.kind != "trains" or g.behaviour.freeze(tick).frozen for g in plan.groups]
        if frozen == before:
            continue
        before = frozen
        first = min((rows[n][0] for n, still in enumerate(frozen) if not still), default=None)
        if first is None:
            continue
        for number in planned:
            if not frozen[number] or bisect_right(rows[number], first) == len(rows[number]):
                continue
            effect = plan.groups[number].behaviour.freeze(tick).effect
            if effect is None or effect.clause in said:
                continue
            said.add(effect.clause)
            behind = plan.inventory.names[order[rows[number][bisect_right(rows[number], first)]]]
            yield info(
                "LR306",
                f"`{behind}` is frozen behind `{plan.inventory.names[order[first]]}`, which trains: "
                "gradients still flow through it, so freezing saves only those of its own weights",
                effect.span,
                "freeze what comes before it too, if saving time is the aim",
            )


def _freezing_ticks(plan: Plan) -> list[int]:
    """The start of the run, and every tick of it at which the frozen set may change by the clock alone."""
    total = plan.clock.total
    ticks = {tick for group in plan.groups if group.planned for tick in group.behaviour.changes()}
    return [0, *sorted(tick for tick in ticks if total is None or tick < total)]


@check
def unfreeze_without_freeze(resolution: Resolution) -> Iterator[Diagnostic]:
    """`unfreeze S at T` where nothing freezes S before T."""
    frozen_before: dict[int, bool] = {}
    for cascade in resolution.ruling.cascades:
        for effect in cascade.freezes:
            clause = resolution.rules.clauses[effect.clause]
            if not isinstance(clause.statement, s.UnfreezeStatement):
                continue
            opens = effect.window.opens
            held = cascade.came_frozen or any(
                other.window.stage in (0, effect.window.stage)
                and other.frozen
                and other.clause != effect.clause
                and _not_after(other.window.opens, opens)
                for other in cascade.freezes
            )
            frozen_before[effect.clause] = frozen_before.get(effect.clause, False) or held
    for number, held in sorted(frozen_before.items()):
        if not held:
            clause = resolution.rules.clauses[number]
            statement = clause.statement
            assert isinstance(statement, s.UnfreezeStatement)
            selector = statement.selector.span.text
            if clause.stage:
                help = "leave it out, or freeze it above the first stage"
                yield info("LR317", f"`{selector}` trains already in this stage", clause.span, help)
                continue
            help = "leave it out: it trains from the start"
            if statement.at is not None:
                help = f"write `freeze {selector} until {statement.at.span.text}`, which says both"
            yield error("LR307", f"nothing freezes `{selector}` before this", clause.span, help)


def _not_after(mark: Mark, other: Mark) -> bool:
    if mark.stage != other.stage:
        return mark.stage < other.stage
    if mark.event is None and other.event is None:
        return (mark.share, mark.ticks) <= (other.share, other.ticks)
    return mark == other or mark.event is None


@check
def masked_ends(resolution: Resolution) -> Iterator[Diagnostic]:
    """Freezes whose end changes nothing, because an earlier freeze still holds."""
    said: set[int] = set()
    for number, cascade in enumerate(resolution.ruling.cascades):
        if not cascade.freezes:
            continue
        behaviour = resolution.ruling.behaviours[resolution.ruling.behaviour_of_class[number]]
        for effect in cascade.freezes:
            closes = effect.window.closes
            if not effect.frozen or closes is None or closes.event is not None or effect.clause in said:
                continue
            tick = resolution.timed.timeline.tick(closes, {})
            if tick == NEVER:
                continue
            holder = behaviour.freeze(tick).effect
            if holder is None or not holder.frozen or holder.clause >= effect.clause:
                continue
            said.add(effect.clause)
            clause = resolution.rules.clauses[holder.clause]
            yield warning(
                "LR308",
                f"this freeze ends, but `{resolution.matches.classes[number].row.name}` stays frozen: line {clause.span.first.line} still holds",
                resolution.rules.clauses[effect.clause].span,
                "use `unfreeze ... at`, which says that it trains from then on",
                (Related("still frozen by this", clause.span),),
            )


@check
def masked_turns(resolution: Resolution) -> Iterator[Diagnostic]:
    """Turns that thaw nothing, because a later turn of their sequence covers all of it too."""
    sequences = {
        clause.index
        for clause in resolution.rules.clauses
        if isinstance(clause.statement, s.UnfreezeSequenceStatement)
    }
    thawing: set[Span] = set()
    masks: dict[Span, tuple[Span, str]] = {}
    classes = zip(resolution.matches.classes, resolution.ruling.cascades, strict=True)
    for kind, cascade in classes if sequences else ():
        last: dict[int, Span] = {}
        for effect in cascade.freezes:
            if effect.clause in sequences and not effect.frozen:
                before = last.get(effect.clause)
                if before is not None:
                    masks.setdefault(before, (effect.span, kind.row.name))
                last[effect.clause] = effect.span
        thawing.update(last.values())
    for span, (mask, name) in sorted(masks.items(), key=lambda item: item[0].start):
        if span not in thawing:
            yield warning(
                "LR308",
                f"nothing thaws at this turn: `{mask.excerpt}` covers `{name}` too, and its turn comes later",
                span,
                "name each layer once"
                if mask.text == span.text
                else f"leave it out of the later turn: `{mask.excerpt} except {span.excerpt}`",
                (Related("thaws here", mask),),
            )
            return


@check
def late_turns(resolution: Resolution) -> Iterator[Diagnostic]:
    """LR302: turns by a capture that lie after the run, or their stage."""
    turns: dict[int, dict[Mark, tuple[str, Span]]] = defaultdict(dict)
    sequences = {
        clause.index
        for clause in resolution.rules.clauses
        if isinstance(clause.statement, s.UnfreezeSequenceStatement)
        and any(turn.by for turn in clause.statement.turns)
    }
    classes = zip(resolution.matches.classes, resolution.ruling.cascades, strict=True)
    for kind, cascade in classes if sequences else ():
        for effect in cascade.freezes:
            if effect.clause in sequences and not effect.frozen:
                turns[effect.clause].setdefault(effect.window.opens, (kind.row.name, effect.span))
    for clause, marks in sorted(turns.items()):
        ordered = sorted(marks.items(), key=lambda item: (item[0].share, item[0].ticks))
        stage = resolution.rules.clauses[clause].stage
        yield from resolution.timed.timeline.never_thaw(
            ((name, span, mark) for mark, (name, span) in ordered), stage
        )


@check
def freezes_that_thaw_nothing(resolution: Resolution) -> Iterator[Diagnostic]:
    """LR322: freezes that end over parameters which came frozen with the model, and stay so."""
    counts: dict[int, int] = defaultdict(int)
    names: dict[int, str] = {}
    last = len(resolution.timed.timeline.calendar.stages)
    for kind, cascade in zip(resolution.matches.classes, resolution.ruling.cascades, strict=True):
        if not kind.came_frozen or kind.adapted_base or not all(e.frozen for e in cascade.freezes):
            continue
        for number in {e.clause for e in cascade.freezes if e.window.closes or 0 < e.window.stage < last}:
            counts[number] += kind.count
            names.setdefault(number, kind.row.name)
    for number, count in sorted(counts.items()):
        clause = resolution.rules.clauses[number]
        statement = clause.statement
        assert isinstance(statement, s.FreezeStatement)
        covered = f"{plural(count, 'parameter')} that came frozen with the model, such as `{names[number]}`"
        message = f"this freeze ends over {covered}, and thaws nothing of that"
        yield warning("LR322", message, clause.span, _either_way(statement))


def _either_way(statement: s.FreezeStatement) -> str:
    """How to say that it trains from then on, and how to say that it never does."""
    window, selector = statement.window, statement.selector.span.text
    if window is None or window.closes is None:
        return f"to train it in the next stage write `unfreeze {selector}` there; else nothing is to be done"
    until = window.closes.span.text
    return f"to train it from then on write `unfreeze {selector} at {until}`; else leave out `until {until}`"


@check
def base_stays_frozen(resolution: Resolution) -> Iterator[Diagnostic]:
    """LR318: an unfreeze that covers base weights under peft's adapters."""
    said: set[int] = set()
    for kind, cascade in zip(resolution.matches.classes, resolution.ruling.cascades, strict=True):
        for one in cascade.selected if kind.adapted_base else ():
            clause = resolution.rules.clauses[one.clause]
            thaws = isinstance(clause.statement, s.UnfreezeStatement | s.UnfreezeSequenceStatement)
            if thaws and one.clause not in said:
                said.add(one.clause)
                yield warning(
                    "LR318",
                    f"`{kind.row.name}` is a base weight under adapters and stays frozen",
                    clause.span,
                    "adapters and modules to save are what rules thaw; for base weights that are to train, "
                    "call requires_grad_(True) on them before resolving",
                )


# ---------------------------------------------------------------- schedules against the rates that they move


@check
def below_least(plan: Plan) -> Iterator[Diagnostic]:
    """LR320: rates that a decay to `min_lr` cannot lower."""
    found: dict[Span, dict[str, float]] = {}
    for group in plan.groups:
        for tick in (0, *group.behaviour.changes()) if _has_least(group) else ():
            rate, scheduled = _rate(group.behaviour, tick), group.behaviour.schedule_at(tick)
            for argument, least in _least_rates(scheduled):
                if 0 < rate <= least:
                    found.setdefault(argument.span, {}).setdefault(group.name, rate)
    for span, groups in found.items():
        (name, rate), *others = groups.items()
        more = f" and {plural(len(others), 'more group')}" if others else ""
        message = (
            f"`{span.excerpt}` leaves the rate of {name}{more} where it is: {spelled(rate)} is not above it"
        )
        help = "lower min_lr, or write floor=0.01: then each group falls to that share of its own rate"
        yield warning("LR320", message, span, help)


def _has_least(group: Group) -> bool:
    schedules = group.behaviour.driven.schedules
    return group.kind == "trains" and any(list(_least_rates(one.schedule)) for one in schedules)


def _least_rates(scheduled: Scheduled | None) -> Iterator[tuple[s.Argument, float]]:
    """Each `min_lr` of a schedule as it is written, and what it is worth."""
    if scheduled is None:
        return
    for part, made in zip(scheduled.sequence.parts, parts_of(scheduled.nominal), strict=True):
        if isinstance(made, Curve) and made.min_lr is not None:
            least = made.min_lr
            yield from ((argument, least) for argument in part.factory.arguments if argument.name == "min_lr")


def _rate(behaviour: Behaviour, tick: int) -> float:
    """What the rules give at a tick; 0 for what moves and has no value there, which its own finding says."""
    try:
        rate = behaviour.options(tick)[behaviour.scheduled]
    except (Fault, Faulty, UnknownTime):
        return 0.0
    return float(rate) if isinstance(rate, (int, float)) else 0.0
