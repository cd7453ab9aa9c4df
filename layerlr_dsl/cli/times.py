"""Times and metric conditions typed on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from math import ceil

import click

from layerlr_dsl.cli.options import Command
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.tools.numbers import plural

_MOMENT = re.compile(r"(?:(epoch|step)\s+)?([0-9]+(?:\.[0-9]+)?)\s*(%)?")
_FORMS = "write it as in a rule file: 'epoch 3', 'step 1200' or '50%'"


def tick_at(plan: Plan, moment: str) -> int:
    """`epoch 3`, `step 1200` or `50%` on the clock of a plan. Raises BadParameter."""
    found = _MOMENT.fullmatch(moment.strip())
    if found is None or bool(found[1]) == bool(found[3]):
        raise click.BadParameter(f"{moment!r} is no time; {_FORMS}.", param_hint="--at")
    value = Fraction(found[2])
    if not value:  # the start of the run, whatever it is counted in
        return 0
    if found[3]:
        if plan.clock.length is None:
            raise click.BadParameter("a share of the run needs --epochs.", param_hint="--at")
        return ceil(value / 100 * plan.clock.length)
    try:
        if found[1] == "step":
            if value.denominator != 1:
                raise ValueError("a step is a whole number")
            return plan.tick(step=int(value))
        return plan.tick(epoch=value)
    except ValueError as fault:
        unknown = f"{found[1]}s need --steps-per-epoch" + (
            ": this run counts steps" if found[1] == "epoch" else ""
        )
        message = unknown if "steps_per_epoch" in str(fault) else str(fault)
        raise click.BadParameter(f"{message}.", param_hint="--at") from None


def fired_by(plan: Plan, events: Iterable[str]) -> dict[int, int]:
    """`METRIC=EPOCH` pairs as the ticks at which conditions come true. Raises BadParameter."""
    metrics: dict[str, float] = {}
    known = {event.metric for event in plan.events}
    for event in events:
        metric, sign, epoch = event.rpartition("=")
        if not sign or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", epoch):
            raise click.BadParameter(
                f"{event!r} is not METRIC=EPOCH, such as val_loss=12.", param_hint="--event"
            )
        if metric not in known:
            waits = f"it waits for {', '.join(sorted(known))}" if known else "it waits for none"
            raise click.BadParameter(f"no rule waits for {metric!r}; {waits}.", param_hint="--event")
        end = plan.clock.run_epochs
        if end is not None and float(epoch) > end:
            raise click.BadParameter(
                f"{event!r} is behind the end of the run, which has {plural(end, 'epoch')}.",
                param_hint="--event",
            )
        metrics[metric] = float(epoch)
    return plan.fire(metrics)


def event_option(command: Command) -> Command:
    return click.option(
        "--event",
        "events",
        multiple=True,
        metavar="METRIC=EPOCH",
        help="Suppose that the conditions on METRIC come true at EPOCH; may be repeated.",
    )(command)
