"""LR2xx: which rules are heard, of which parameters, and which parameters nothing is said of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Diagnostic, Related, error, info, warning
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.behaviour import Behaviour
from layerlr_dsl.plan.cascade import Cascade
from layerlr_dsl.plan.findings.checks import Checks
from layerlr_dsl.plan.stages import NEVER, Fired
from layerlr_dsl.tools.numbers import spelled

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan
    from layerlr_dsl.plan.resolution import Resolution

check = Checks()

_SHOWN = 5
_MOST_OVERRIDING = 3


@check
def overridden(resolution: Resolution) -> Iterator[Diagnostic]:
    """Clauses that later ones override: wholly (warning) or in part (info)."""
    clauses = resolution.rules.clauses
    verdicts = resolution.ruling.verdicts
    losses: dict[int, Counter[int]] = defaultdict(Counter)
    for kind, verdict in zip(resolution.matches.classes, verdicts, strict=True):
        for number, winner in verdict.losses:
            losses[number][winner] += kind.count
    winners = {number for verdict in verdicts for number in verdict.winners} if losses else ()
    for number, by in sorted(losses.items()):
        word = "rule" if isinstance(clauses[number].statement, s.RuleStatement) else "statement"
        span = clauses[number].span
        if number not in winners:
            spans = [clauses[later].span for later in sorted(by)]
            message = f"this {word} never applies: {_overriding(spans, span)}"
            help = "put the broad rule first and the narrow one after it, or remove this one"
            related = tuple(Related("by this", one) for one in spans[:_MOST_OVERRIDING])
            yield warning("LR202", message, span, help, related)
        else:
            most = clauses[max(by, key=lambda n: (by[n], n))].span
            message = f"line {most.first.line} overrides a part of this {word}"
            yield info("LR203", message, span, None, (Related("by this", most),))


def _overriding(spans: list[Span], overridden: Span) -> str:
    """`lines 3 and 4 override it`; lines of other files come with their file."""
    here = all(span.source is overridden.source for span in spans)
    lines = list(dict.fromkeys(str(span.first.line) if here else span.place for span in spans))
    if len(lines) == 1:
        return f"line {spans[0].first.line} overrides it for every parameter"
    hidden = len(lines) - _MOST_OVERRIDING
    *first, last = [*lines[:_MOST_OVERRIDING], f"{hidden} more"] if hidden > 0 else lines
    return f"{'lines ' if here else ''}{', '.join(first)} and {last} override it"


@check
def tied_conflicts(resolution: Resolution) -> Iterator[Diagnostic]:
    """Tied parameters whose names are ruled differently."""
    inventory, matches = resolution.inventory, resolution.matches
    names: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for place, row in enumerate(matches.alias_rows):
        number = matches.class_of[len(inventory) + place]
        names[row.parameter].append((row.name, number))
    for parameter, aliases in names.items():
        first = matches.class_of[parameter]
        every = [inventory.names[parameter], *(name for name, _ in aliases)]
        for name, number in aliases:
            if resolution.ruling.behaviour_of_class[number] != resolution.ruling.behaviour_of_class[first]:
                yield _tied(resolution, (every[0], first), (name, number), every)
                break


def _tied(
    resolution: Resolution, left: tuple[str, int], right: tuple[str, int], every: list[str]
) -> Diagnostic:
    cascades = resolution.ruling.cascades
    option, spans = _difference(cascades[left[1]], cascades[right[1]], resolution)
    related = [
        Related(f"`{name}` {'is ruled here' if span is not None else 'has no such rule'}", span)
        for (name, _), span in zip((left, right), spans, strict=True)
        if span is not None
    ]
    span = related[0].span if related else None
    return error(
        "LR205",
        f"tied parameters disagree on `{option}`: `{left[0]}` and `{right[0]}` are one tensor",
        span,
        f"select all its names: `{', '.join(every)}`",
        tuple(related),
    )


def _difference(
    left: Cascade, right: Cascade, resolution: Resolution
) -> tuple[str, tuple[Span | None, Span | None]]:
    clauses = resolution.rules.clauses

    def last(cascade: Cascade, option: str) -> tuple[object, Span | None]:
        if option == "frozen":
            freezes = cascade.freezes
            return [(f.frozen, f.window) for f in freezes], freezes[-1].span if freezes else None
        if option == "optimizer":
            own = cascade.own_optimizer
            return cascade.optimizer, clauses[own].span if own is not None else None
        if option == "schedule":
            driving = cascade.schedules[-1] if cascade.schedules else None
            own = None if driving is None else driving.clause
            return [(one.schedule, one.window) for one in cascade.schedules], (
                clauses[own].span if own is not None else None
            )
        effects = cascade.of(option)
        return [(e.multiply, e.value, e.window) for e in effects], clauses[
            effects[-1].clause
        ].span if effects else None

    options = [
        "optimizer",
        "frozen",
        *dict.fromkeys(e.option for c in (left, right) for e in c.effects),
        "schedule",
    ]
    for option in options:
        (a, span_a), (b, span_b) = last(left, option), last(right, option)
        if a != b:
            return option, (span_a, span_b)
    return options[0], (None, None)


@check
def without_lr(resolution: Resolution) -> Iterator[Diagnostic]:
    """Parameters that train with the optimizer's own rate because no rule gives one."""
    by_optimizer = _without_lr(resolution)
    if not by_optimizer:
        return
    names = [name for own in by_optimizer.values() for name in own]
    plural = "parameter has" if len(names) == 1 else "parameters have"
    told = [f"{name}'s {spelled(rate)} for {top_modules(own)}" for (name, rate), own in by_optimizer.items()]
    whose = f"their optimizers' own: {'; '.join(told)}"
    if len(told) == 1:
        whose = f"the optimizer's own ({spelled(next(iter(by_optimizer))[1])}): {top_modules(names)}"
    at = resolution.rules.optimizer.span or Span(resolution.rules.source, 0, 0)
    yield warning(
        "LR204",
        f"{len(names)} {plural} no lr and train with {whose}",
        at,
        "begin with a broad rule, such as `** -> lr 1e-4`, or freeze them",
    )


def _without_lr(resolution: Resolution) -> dict[tuple[str, Value], list[str]]:
    """The parameters whose rate no rule gives, by their optimizer and the rate that it comes with."""
    ruled, matches = resolution.ruling, resolution.matches
    bare = {kind for kind in ruled.without_lr if not _has_a_faulty_lr(resolution, kind)}
    found: dict[tuple[str, Value], list[str]] = {}
    for row, name in enumerate(resolution.inventory.names if bare else ()):
        kind = matches.class_of[row]
        if kind in bare and not ruled.cascades[kind].by_model:
            behaviour = ruled.behaviours[ruled.behaviour_of_class[kind]]
            optimizer = ruled.optimizers[behaviour.optimizer]
            if optimizer.name is not None and behaviour.scheduled in optimizer.settings:
                continue  # a rule chose by its name an optimizer whose definition says the rate
            rate = behaviour.driven.base
            found.setdefault((optimizer.called, rate), []).append(name)
    return found


def _has_a_faulty_lr(resolution: Resolution, kind: int) -> bool:
    """Whether a rule meant to give a class its rate, and has a finding of its own instead of a value."""
    ruled = resolution.ruling
    driven = ruled.behaviours[ruled.behaviour_of_class[kind]].scheduled
    clauses = (resolution.rules.clauses[one.clause] for one in ruled.cascades[kind].selected)
    return any(setting.option == driven for clause in clauses for setting in clause.settings)


def top_modules(names: list[str]) -> str:
    """The first segments of some names, as a message lists them."""
    tops = list(dict.fromkeys(name.split(".")[0] for name in names))
    more = f" and {len(tops) - _SHOWN} more" if len(tops) > _SHOWN else ""
    return ", ".join(f"`{top}`" for top in tops[:_SHOWN]) + more


@check
def frozen_by_model(resolution: Resolution) -> Iterator[Diagnostic]:
    groups = [g for g in resolution.groups if g.kind == "model"]
    for group in groups:
        first = group.parameters[0]
        yield info(
            "LR211",
            f"{len(group.parameters)} parameters came frozen by the model and stay so, such as `{first}`",
            None,
            f"to train them, write `unfreeze {first}`",
        )


# ---------------------------------------------------------------- stage by stage


@check
def without_lr_in_stages(plan: Plan) -> Iterator[Diagnostic]:
    """LR204 for each stage that leaves some parameters to the optimizer's own rate."""
    doubtful = {
        number
        for number, behaviour in enumerate(plan.behaviours)
        if (effects := behaviour.driven.effects) and all(effect.window.stage for effect in effects)
    }
    for stage, fired in _begun(plan) if doubtful else ():
        bare = {number for number in doubtful if _is_bare(plan.behaviours[number], stage, fired)}
        names = [
            name
            for name, kind in zip(plan.inventory.names, plan.matches.class_of, strict=False)
            if plan.behaviour_of_class[kind] in bare
        ]
        if names:
            behaviour = plan.behaviours[min(bare)]
            default = spelled(behaviour.driven.base)
            written = plan.timeline.calendar.stages[stage - 1]
            have = "parameter has" if len(names) == 1 else "parameters have"
            message = (
                f"in stage {written.name} {len(names)} {have} no lr and train with the optimizer's own "
                f"({default}): {top_modules(names)}"
            )
            help = "give them one in this stage, or above the first, or freeze them"
            yield warning("LR204", message, written.span, help)


def _begun(plan: Plan) -> Iterator[tuple[int, Fired]]:
    """Each stage that ever begins, with what must have come true by then."""
    seen: set[int] = set()
    for fired in ({}, *(fired for _, _, fired in plan.suppositions())):
        for number, stretch in enumerate(plan.timeline.stretches(fired)):
            if number and stretch.start < NEVER and stretch.start != stretch.end and number not in seen:
                seen.add(number)
                yield number, fired


def _is_bare(behaviour: Behaviour, stage: int, fired: Fired) -> bool:
    """Whether parameters train in a stage at a time at which no rule gives them a rate."""
    timeline = behaviour.timeline
    stretch = timeline.stretches(fired)[stage]
    inside = [t for t in behaviour.changes(fired) if stretch.start < t < (stretch.end or NEVER)]
    effects = behaviour.driven.effects
    return any(
        not behaviour.freeze(tick, fired).frozen
        and not any(timeline.active(effect.window, tick, fired) for effect in effects)
        for tick in (stretch.start, *inside)
    )
