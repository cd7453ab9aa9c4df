"""Schedules as a file writes them, made for one clock."""

from __future__ import annotations

from fractions import Fraction

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_expressions import Names, check_expression
from layerlr_dsl.language.checked import CheckedRules
from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, error
from layerlr_dsl.language.expressions import Fault, Scope, evaluate
from layerlr_dsl.plan.clock import Clock, Length, UnknownTime
from layerlr_dsl.plan.schedules import ArgumentInfo, Schedule, ScheduleFault, arguments_of, make, names
from layerlr_dsl.tools.nearest import nearest


def factories(rules: CheckedRules) -> list[s.Factory]:
    """Every schedule that the file names, the file's own first."""
    found = [] if rules.schedule is None else [rules.schedule.factory]
    for clause in rules.clauses:
        found.extend(x.factory for x in clause.settings if x.option == "schedule" and x.factory is not None)
    return found


def make_schedule(
    factory: s.Factory, rules: CheckedRules, clock: Clock, found: list[Diagnostic]
) -> Schedule | None:
    """The schedule for one clock, or None where a finding was added."""
    infos = arguments_of(factory.name)
    if infos is None:
        near = nearest(factory.name, names())
        help = f"did you mean `{near}`?" if near else "known: " + ", ".join(names())
        fix = Fix(f"replace by `{near}`", (Edit(factory.name_span, near),)) if near else None
        found.append(error("LR105", f"unknown schedule `{factory.name}`", factory.name_span, help, fix=fix))
        return None
    before = len(found)
    values: dict[str, object] = {}
    for argument in factory.arguments:
        if argument.name in values:
            found.append(
                error("LR120", f"`{argument.name}` is given twice", argument.name_span, "keep one of them")
            )
        values[argument.name] = _value(argument, infos.get(argument.name), rules, found)
    if len(found) > before:
        return None
    try:
        return make(factory.name, values, clock)
    except ScheduleFault as fault:
        span = next((a.span for a in factory.arguments if a.name == fault.argument), factory.span)
        found.append(error("LR120", fault.message, span, fault.help))
    except UnknownTime as unknown:
        found.append(_unknown(unknown, factory))
    return None


def argument_value(argument: s.Argument, factory: s.Factory, rules: CheckedRules) -> object:
    """The value of an argument of a schedule that could be made."""
    return _value(argument, (arguments_of(factory.name) or {}).get(argument.name), rules, [])


def _unknown(unknown: UnknownTime, factory: s.Factory) -> Diagnostic:
    text = factory.span.excerpt
    if unknown.missing == "epochs":
        message = f"`{text}` is relative to the length of the run, which is not known"
        return error("LR311", message, factory.span, "give epochs, or write `epochs 30` in the file")
    message = f"`{text}` needs the number of steps in an epoch"
    return error(
        "LR309", message, factory.span, "give steps_per_epoch (on the command line --steps-per-epoch)"
    )


def _value(
    argument: s.Argument, info: ArgumentInfo | None, rules: CheckedRules, found: list[Diagnostic]
) -> object:
    value = argument.value
    if isinstance(value, tuple):
        return tuple(_length(duration, rules, found) for duration in value)
    if isinstance(value, s.Duration):
        return _length(value, rules, found)
    if (
        info is not None
        and info.kind in ("metric", "word")
        and isinstance(value, s.Name)
        and value.name not in rules.lets
    ):
        return value.name
    if (
        info is not None
        and info.kind in ("length", "lengths")
        and isinstance(value, s.Number)
        and value.percent
    ):
        return Length(value.exact * 100, "percent")
    names_here = Names(rules.lets.keys(), reason="a schedule is the same for every parameter of its group")
    before = len(found)
    check_expression(value, names_here, found)
    return None if len(found) > before else _evaluate(value, rules.scope, found)


def _length(duration: s.Duration, rules: CheckedRules, found: list[Diagnostic]) -> Length:
    names_here = Names(rules.lets.keys(), reason="a stretch of time is a constant")
    before = len(found)
    check_expression(duration.value, names_here, found)
    value = None if len(found) > before else _evaluate(duration.value, rules.exact_scope, found)
    if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
        if len(found) == before:
            found.append(error("LR107", f"`{duration.value.span.text}` is not a number", duration.value.span))
        return Length(Fraction(0), duration.unit)
    return Length(Fraction(value), duration.unit)


def _evaluate(expression: s.Expression, scope: Scope, found: list[Diagnostic]) -> object:
    try:
        value: object = evaluate(expression, scope)
        return value
    except Fault as fault:
        found.append(error(fault.code, fault.message, fault.span, fault.help))
        return None
