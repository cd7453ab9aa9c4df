"""Judging moments, conditions and durations: constants of the right sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_expressions import Names, constant
from layerlr_dsl.language.diagnostics import Findings
from layerlr_dsl.language.expressions import Scope, evaluate
from layerlr_dsl.language.lets import Lets

LIMIT = 10**12


def check_window(window: s.Window | None, lets: Lets, found: Findings) -> None:
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


def _whole_step(moment: s.Moment, lets: Lets, found: Findings) -> None:
    value = evaluate(moment.value, Scope(lets, exact=True))
    if Fraction(value).denominator != 1:
        found.error("LR312", "steps are whole numbers", moment.value.span, "write `step 100`, or use `epoch`")


def _check_condition(condition: s.Condition, lets: Lets, found: Findings) -> None:
    if _number(condition.patience, lets, found, "a condition waits for one epoch or more", positive=True):
        value = evaluate(condition.patience, Scope(lets, exact=True))
        if Fraction(value).denominator != 1:
            found.error("LR312", "a condition waits for a whole number of epochs", condition.patience.span)
    if condition.delta is not None:
        _number(condition.delta, lets, found, "an improvement is 0 or more", positive=False)


def check_duration(duration: s.Duration, lets: Lets, found: Findings, positive: bool) -> None:
    """Check a stretch of time; `positive` where zero makes no sense."""
    want = "this takes more than no time" if positive else "a stretch of time is 0 or more"
    _number(duration.value, lets, found, want, positive)


def _number(
    expression: s.Expression,
    lets: Lets,
    found: Findings,
    want: str,
    positive: bool,
) -> bool:
    """Whether the number can be taken; else a finding was added."""
    part = found.part()
    names = Names(lets, reason="times are the same for every parameter")
    value = constant(expression, names, found, exact=True)
    if value is None:
        return False
    if isinstance(value, (bool, str, tuple)):
        found.error("LR107", f"`{expression.span.text}` is not a number", expression.span)
    elif value < 0 or (positive and value == 0) or value > LIMIT:
        found.error("LR312", f"`{expression.span.text}` is out of range: {want}", expression.span)
    return part.clean


def check_stages(
    stages: Sequence[s.StageStatement], lets: Lets, found: Findings
) -> tuple[s.StageStatement, ...]:
    """Check headings: lengths and conditions, and that each stage but the last comes to an end.

    What is returned has no length and no condition that is at fault.
    """
    for number, stage in enumerate(stages):
        if stage.fresh and not number:
            help = "leave out `fresh optimizer`"
            message = f"the optimizer is fresh when stage `{stage.name}` begins: it is the first"
            found.info("LR321", message, stage.span, help)
        if stage.length is None and stage.until is None and number < len(stages) - 1:
            message = f"stage `{stage.name}` has no end, and another stage follows"
            help = f"write `stage {stage.name} for 5 epochs`, or `until val_loss stops falling for 3 epochs`"
            found.error("LR316", message, stage.span, help)
    return tuple([_sound(stage, lets, found) for stage in stages])


def _sound(stage: s.StageStatement, lets: Lets, found: Findings) -> s.StageStatement:
    length = found.part()
    if stage.length is not None:
        check_duration(stage.length, lets, found, positive=True)
        if not length.clean:
            stage = replace(stage, length=None)
    until = found.part()
    if stage.until is not None:
        _check_condition(stage.until, lets, found)
        if not until.clean:
            stage = replace(stage, until=None)
    return stage
