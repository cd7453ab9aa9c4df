"""Why a parameter has the options that it has: every rule that matches, in order, and which one wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.expressions import Fault, Value, fill_in
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.cascade import Cascade
from layerlr_dsl.plan.course import Effect, product_of
from layerlr_dsl.plan.moving import Moving
from layerlr_dsl.plan.stages import Fired
from layerlr_dsl.tools.frameless import Frameless
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan

Status = Literal["wins", "applies", "overridden", "outside", "lapsed"]


@record
class Step:
    """One rule's say on one option.

    status: "wins" decides, "applies" takes part (what a later `*=` multiplies), "overridden" is hidden
    by a later rule, "outside" is outside its window at this time, "lapsed" is not known to the
    optimizer. `filled` shows an expression with its values, such as `0.5 ^ (4 - 2 + 1) = 0.125`.
    """

    place: str
    span: Span
    text: str
    operation: Literal["set", "multiply"]
    value: Value
    filled: str | None
    status: Status


@record
class OptionExplanation:
    """One option: where it starts (`default`), every step in the order of the file, and the outcome."""

    default: Value | None
    default_from: str
    steps: tuple[Step, ...]
    value: Value


@record
class Explanation:
    """Everything that the file says of one parameter at one time."""

    parameter: str
    aliases: tuple[str, ...]
    group: str
    optimizer: str
    schedule: str | None
    tick: int
    epoch: float
    lr: float | None
    """The rate that the optimizer would have: rules x schedule x thaw warm-up."""
    factor: float
    frozen_by_model: bool
    options: Mapping[str, OptionExplanation]
    numel: int = 0
    """Elements of the parameter."""
    thawing: bool = False
    """Whether the warm-up after a thaw is running."""


class UnknownParameter(Frameless, KeyError):
    """A name that no parameter of the model has."""

    def __init__(self, name: str, near: str | None) -> None:
        self.name, self.near = name, near
        super().__init__(name, near)

    def __str__(self) -> str:
        meant = f"; did you mean `{self.near}`?" if self.near else ""
        return f"the model has no parameter `{self.name}`{meant}"


def explain(plan: Plan, name: str, tick: int, fired: Fired = {}) -> Explanation:  # noqa: B006  read only
    """Raises UnknownParameter, a KeyError, where the model has no parameter of that name."""
    row = plan.inventory.index_of.get(name)
    if row is None:
        raise UnknownParameter(name, nearest(name, plan.inventory.index_of))
    number = plan.matches.class_of[row]
    cascade = plan.cascades[number]
    behaviour = plan.behaviours[plan.behaviour_of_class[number]]
    now = behaviour.options(tick, fired)
    options: dict[str, OptionExplanation] = {}
    told = dict.fromkeys(e.option for e in (*cascade.effects, *cascade.lapsed))
    driven = behaviour.scheduled
    settled = sorted(option for option, course in behaviour.courses.items() if course.settled)
    for option in dict.fromkeys([driven, *told, *settled]):
        course = behaviour.courses.get(option)
        base_value = None if course is None else course.base
        source = "optimizer statement" if option in settled else f"{_info(plan, cascade)}'s default"
        steps = _steps(plan, cascade, option, tick, fired)
        options[option] = OptionExplanation(base_value, source, steps, now.get(option))
    chosen = _optimizers(plan, cascade)
    if chosen:
        options["optimizer"] = OptionExplanation(None, "the file", chosen, chosen[-1].value)
    drives = _schedules(plan, cascade, tick, fired)
    if drives:
        schedule = behaviour.schedule_at(tick, fired)
        options["schedule"] = OptionExplanation(
            None, "the file", drives, None if schedule is None else schedule.text()
        )
    freeze = behaviour.freeze(tick, fired)
    by_model = cascade.by_model
    options["frozen"] = OptionExplanation(
        cascade.came_frozen, "the model", _freezes(plan, cascade, tick, fired), freeze.frozen
    )
    holds = _statistics(plan, cascade, freeze.frozen, tick, fired) if _has_statistics(plan, row) else ()
    if holds:
        value = "held" if freeze.held or (freeze.frozen and not freeze.statistics) else "going on"
        options["statistics"] = OptionExplanation(None, "the model", holds, value)
    applied = behaviour.applied(tick, fired)
    lr = applied.get(driven)
    base = now.get(driven)
    canonical = plan.inventory.names[row]
    others = [canonical, *(a.name for a in plan.inventory.aliases.get(row, ()))]
    return Explanation(
        parameter=name,
        aliases=tuple(n for n in others if n != name),
        group=plan.groups[plan.group_of[row]].name,
        optimizer=_info(plan, cascade),
        schedule=None if (in_force := behaviour.schedule_at(tick, fired)) is None else in_force.text(),
        tick=tick,
        epoch=float(plan.clock.epoch_of(tick)) if plan.clock.knows_epochs else float(tick),
        lr=lr,
        factor=lr / base if lr is not None and base else 1.0,
        frozen_by_model=by_model,
        options=options,
        numel=plan.inventory.numel(row),
        thawing=not freeze.frozen and behaviour.warmup(tick, fired) is not None,
    )


def _has_statistics(plan: Plan, row: int) -> bool:
    known = plan.inventory.statistics
    return known is not None and plan.inventory.owners[row] in known


def _info(plan: Plan, cascade: Cascade) -> str:
    return plan.optimizers[cascade.optimizer].called


def _text(plan: Plan, clause: int) -> str:
    return plan.rules.clauses[clause].span.excerpt


def _steps(plan: Plan, cascade: Cascade, option: str, tick: int, fired: Fired) -> tuple[Step, ...]:
    timeline = plan.timeline
    effects = [(e, False) for e in cascade.effects if e.option == option]
    effects += [(e, True) for e in cascade.lapsed if e.option == option]
    effects.sort(key=lambda pair: pair[0].clause)
    steps: list[Step] = []
    decided = False
    won = False
    for effect, lapsed in reversed(effects):
        status: Status
        if lapsed:
            status = "lapsed"
        elif not timeline.active(effect.window, tick, fired):
            status = "outside"
        else:
            status = "overridden" if decided else "applies" if won else "wins"
            won, decided = True, decided or not effect.multiply
        steps.append(_step(plan, effect, status, tick, fired))
    return tuple(reversed(steps))


def _step(plan: Plan, effect: Effect, status: Status, tick: int, fired: Fired) -> Step:
    span = plan.rules.clauses[effect.clause].span
    value = product_of(effect.value).at(tick, plan.timeline.stretches(fired)) if status != "outside" else None
    if not isinstance(effect.value, Moving):
        value = effect.value
    return Step(
        span.place,
        span,
        _text(plan, effect.clause),
        "multiply" if effect.multiply else "set",
        value,
        filled(plan, effect, value),
        status,
    )


def filled(plan: Plan, effect: Effect, value: Value | None) -> str | None:
    """The expression of a setting with its values, as `0.5 ^ (4 - 2 + 1) = 0.125`; None for a constant."""
    expression = effect.setting.expression
    if expression is None or isinstance(expression, (s.Number, s.String, s.Boolean, s.Tuple)):
        return None
    if isinstance(effect.value, Moving):
        words = " ".join(expression.span.text.split())
        return words if value is None else f"{words} = {spelled(value)} at this time"
    clause = plan.rules.clauses[effect.clause]
    scope = plan.decider.scope(clause.selectors[0], effect.bindings, None)
    try:
        left = expression.span.text if isinstance(expression, s.Name) else fill_in(expression, scope)
        return f"{left} = {spelled(effect.value)}"
    except Fault:
        return None


def _optimizers(plan: Plan, cascade: Cascade) -> tuple[Step, ...]:
    steps = []
    for one in cascade.selected:
        clause = plan.rules.clauses[one.clause]
        for setting in clause.settings:
            if setting.factory is not None:
                status: Status = "wins" if cascade.own_optimizer == one.clause else "overridden"
                text = " ".join(setting.factory.span.text.split())
                steps.append(
                    Step(clause.span.place, clause.span, _text(plan, one.clause), "set", text, None, status)
                )
    return tuple(steps)


def _schedules(plan: Plan, cascade: Cascade, tick: int, fired: Fired) -> tuple[Step, ...]:
    steps: list[Step] = []
    won = False
    for effect in reversed(cascade.schedules):
        status: Status = "outside"
        if plan.timeline.active(effect.window, tick, fired):
            status, won = "overridden" if won else "wins", True
        if effect.clause is not None:
            span = plan.rules.clauses[effect.clause].span
            text = _text(plan, effect.clause)
            steps.append(Step(span.place, span, text, "set", effect.schedule.text(), None, status))
    return tuple(reversed(steps))


def _statistics(plan: Plan, cascade: Cascade, frozen: bool, tick: int, fired: Fired) -> tuple[Step, ...]:
    """What is said of running statistics beside what a plain freeze says: that it holds them."""
    steps: list[Step] = []
    won = False
    for effect in reversed(cascade.statistics):
        status: Status = "outside"
        if plan.timeline.active(effect.window, tick, fired) and (effect.own or frozen):
            status, won = "overridden" if won else "wins", True
        if effect.own or not effect.held:
            span = plan.rules.clauses[effect.clause].span
            value = "held" if effect.held else "going on"
            steps.append(Step(span.place, span, _text(plan, effect.clause), "set", value, None, status))
    return tuple(reversed(steps))


def _freezes(plan: Plan, cascade: Cascade, tick: int, fired: Fired) -> tuple[Step, ...]:
    steps: list[Step] = []
    won = False
    for effect in reversed(cascade.freezes):
        status: Status = "outside"
        if plan.timeline.active(effect.window, tick, fired):
            status = "overridden" if won else "wins"
            won = True
        span = plan.rules.clauses[effect.clause].span
        steps.append(Step(span.place, span, _text(plan, effect.clause), "set", effect.frozen, None, status))
    return tuple(reversed(steps))
