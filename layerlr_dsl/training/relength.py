"""The same rules for the same model on another clock."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from layerlr_dsl.language.diagnostics import RuleError, has_errors
from layerlr_dsl.plan.clock import Clock, ImpossibleTime, steps_in_an_epoch

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan


def relengthed(
    plan: Plan,
    epochs: float | Fraction | None,
    steps_per_epoch: float | Fraction | None,
    steps: int | None,
) -> Plan:
    """A plan for a run of another length; `plan` itself where that is the one it has.

    Raises RuleError where the rules do not fit it, ValueError for a length that no run has.
    """
    from layerlr_dsl.plan.resolve import resolve

    clock = _clock(plan.clock, epochs, steps_per_epoch, steps)
    if clock == plan.clock:
        return plan
    made: Plan = resolve(plan.rules, plan.inventory, clock, kind=type(plan))
    if has_errors(made.diagnostics):
        raise RuleError(made.diagnostics)
    return made


def _clock(
    old: Clock,
    epochs: float | Fraction | None,
    steps_per_epoch: float | Fraction | None,
    steps: int | None,
) -> Clock:
    if epochs is not None and steps is not None:
        raise ImpossibleTime("epochs and steps both give the length of the run: give one of them")
    per_epoch = old.steps_per_epoch if steps_per_epoch is None else steps_in_an_epoch(steps_per_epoch)
    if steps is not None:
        return Clock(None, per_epoch, _positive(steps))
    if epochs is not None:
        length = Fraction(str(epochs))
        if length <= 0:
            raise ImpossibleTime(f"epochs is {epochs}: it must be a positive number")
        return Clock(length, per_epoch)
    return Clock(old.epochs, per_epoch, old.steps)


def _positive(number: int) -> int:
    if number != int(number) or number < 1:
        raise ImpossibleTime(f"{number} is no number of steps: it must be a whole number of 1 or more")
    return int(number)
