"""Judging moments, conditions and durations: constants of the right sign."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_expressions import Names, check_expression
from layerlr_dsl.language.diagnostics import Diagnostic, error, info
from layerlr_dsl.language.expressions import Fault, Scope, evaluate
from layerlr_dsl.language.lets import Lets

LIMIT = 10**12


def check_window(window: s.Window | None, lets: Lets, found: list[Diagnostic]) -> None:
    """Check both ends of a window."""
    if window is None:
        return
    for end in (window.opens, window.closes):
        if isinstance(end, s.Moment):
            want = f"a moment is at or after {_zero(end.unit)}"
            if _number(end.value, lets, found, want, positive=False) and end.unit == "step":
                _whole_step(end, lets, found)
        elif isinstance(end, s.Condition):
            _check_condition(end, lets, found)


def _zero(unit: str) -> str:
    return "0%" if unit == "percent" else f"{unit} 0"


def _whole_step(moment: s.Moment, lets: Lets, found: list[Diagnostic]) -> None:
    value = evaluate(moment.value, Scope(lets, exact=True))
    if Fraction(value).denominator != 1:
        found.append(
            error("LR312", "steps are whole numbers", moment.value.span, "write `step 100`, or use `epoch`")
        )


def _check_condition(condition: s.Condition, lets: Lets, found: list[Diagnostic]) -> None:
    if _number(condition.patience, lets, found, "a condition waits for one epoch or more", positive=True):
        value = evaluate(condition.patience, Scope(lets, exact=True))
        if Fraction(value).denominator != 1:
            found.append(
                error("LR312", "a condition waits for a whole number of epochs", condition.patience.span)
            )
    if condition.delta is not None:
        _number(condition.delta, lets, found, "an improvement is 0 or more", positive=False)


def check_duration(duration: s.Duration, lets: Lets, found: list[Diagnostic], positive: bool) -> None:
    """Check a stretch of time; `positive` where zero makes no sense."""
    want = "this takes more than no time" if positive else "a stretch of time is 0 or more"
    _number(duration.value, lets, found, want, positive)


def _number(
    expression: s.Expression,
    lets: Lets,
    found: list[Diagnostic],
    want: str,
    positive: bool,
) -> bool:
    """Whether the number can be taken; else a finding was added."""
    before = len(found)
    reason = "times are the same for every parameter"
    check_expression(expression, Names(lets, reason=reason), found)
    if len(found) > before:
        return False
    try:
        value = evaluate(expression, Scope(lets, exact=True))
    except Fault as fault:
        found.append(fault.finding())
        return False
    if isinstance(value, (bool, str, tuple)):
        found.append(error("LR107", f"`{expression.span.text}` is not a number", expression.span))
    elif value < 0 or (positive and value == 0) or value > LIMIT:
        found.append(error("LR312", f"`{expression.span.text}` is out of range: {want}", expression.span))
    return len(found) == before


def check_stages(stages: Sequence[s.StageStatement], lets: Lets, found: list[Diagnostic]) -> None:
    """Check headings: lengths and conditions, and that each stage but the last comes to an end."""
    for number, stage in enumerate(stages):
        if stage.length is not None:
            check_duration(stage.length, lets, found, positive=True)
        if stage.until is not None:
            _check_condition(stage.until, lets, found)
        if stage.fresh and not number:
            help = "leave out `fresh optimizer`"
            message = f"the optimizer is fresh when stage `{stage.name}` begins: it is the first"
            found.append(info("LR321", message, stage.span, help))
        if stage.length is None and stage.until is None and number < len(stages) - 1:
            message = f"stage `{stage.name}` has no end, and another stage follows"
            help = f"write `stage {stage.name} for 5 epochs`, or `until val_loss stops falling for 3 epochs`"
            found.append(error("LR316", message, stage.span, help))
