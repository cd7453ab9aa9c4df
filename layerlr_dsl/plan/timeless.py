"""What is wrong with schedules and ramps whatever the model and the run are: names, arguments, shapes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from layerlr_dsl.catalogue.schedules import CALLED
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.checked import CheckedRules
from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, info
from layerlr_dsl.language.expressions import Fault
from layerlr_dsl.language.questions import names_in
from layerlr_dsl.plan import ramps
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.factories import Faulty, TimeArguments, called_schedule
from layerlr_dsl.plan.scheduled import sequence
from layerlr_dsl.plan.timed import sequences

_ANY_RUN = Clock(Fraction(10**6), 1000)
"""Long enough for whatever is written, in steps and in epochs."""
_SHOWS = ("LR105", "LR107", "LR120", "LR126")
_LIKE_A_RATE = 1e-3


def timeless(rules: CheckedRules) -> Iterator[Diagnostic]:
    """Findings on everything of a file that is worked out over time."""
    for _, _, _, written in sequences(rules):
        yield from _schedule(rules, written)
    for expression in _moving(rules):
        for node in names_in(expression):
            if isinstance(node, s.Call) and node.function == "ramp":
                yield from _ramp(rules, node)
            elif isinstance(node, s.Call) and node.function in CALLED:
                yield from _called(rules, node)


def _moving(rules: CheckedRules) -> Iterator[s.Expression]:
    yield from (rules.lets[name] for name in rules.lets if name in rules.lets.moving)
    for clause in rules.clauses:
        yield from (x.expression for x in clause.settings if x.moving and x.expression is not None)


def _schedule(rules: CheckedRules, written: s.ScheduleSequence) -> Iterator[Diagnostic]:
    try:
        sequence(written, rules.lets, _ANY_RUN)
    except Faulty as faulty:
        yield from (d for d in faulty.found if d.code in _SHOWS)
        return
    for part in written.parts:
        yield from _floors(part.factory.arguments)


def _called(rules: CheckedRules, node: s.Call) -> Iterator[Diagnostic]:
    try:
        called_schedule(node, rules.lets, _ANY_RUN)
    except Faulty as faulty:
        yield from (d for d in faulty.found if d.code in _SHOWS)


def _floors(arguments: tuple[s.Argument, ...]) -> Iterator[Diagnostic]:
    """LR319: a share of the peak that was probably meant as a rate."""
    for argument in arguments:
        value = argument.value
        share = value.value if isinstance(value, s.Number) and not value.percent else 1
        if argument.name == "floor" and 0 < share < _LIKE_A_RATE:
            text = argument.value_span.text
            message = f"`floor={text}` is a share of each group's own rate, and looks like a rate"
            help = f"for a least rate that is the same for every group write `min_lr={text}`"
            fix = Fix("replace by `min_lr`", (Edit(argument.name_span, "min_lr"),), safe=False)
            yield info("LR319", message, argument.span, help, fix=fix)


def _ramp(rules: CheckedRules, node: s.Call) -> Iterator[Diagnostic]:
    arguments = TimeArguments(rules.lets)
    try:
        form = ramps.form_of(node, arguments)
        lengths = ramps.lengths_of(node, arguments)
        if len({length.unit for length in lengths}) == 1:  # others are ordered once the length is known
            ramps.check_rising(node, [length.value for length in lengths])
        ramps.check_positive(node, form)
    except Fault as fault:
        yield fault.finding()
    except Faulty as faulty:
        yield from faulty.found
