"""The arguments of schedules and ramps as a file writes them, and curves made of them for one clock."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from layerlr_dsl.catalogue.schedules import ArgumentInfo, arguments_of, instead, meant
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_expressions import Names, constant
from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Findings, Fix, error
from layerlr_dsl.language.lets import Lets
from layerlr_dsl.plan.clock import Clock, Length, UnknownTime
from layerlr_dsl.plan.schedules import Curve, Easing, ScheduleFault, make
from layerlr_dsl.tools.records import record


class Faulty(Exception):
    """What is wrong with a schedule or its arguments, as findings."""

    def __init__(self, found: Iterable[Diagnostic]) -> None:
        self.found = tuple(found)
        super().__init__(self.found)


@record
class TimeArguments:
    """Reads arguments: they are constants, the same for every parameter."""

    lets: Lets

    def value(self, argument: s.Argument, info: ArgumentInfo | None) -> object:
        """A number, Length, word or Easing. Raises Faulty."""
        value = argument.value
        if isinstance(value, tuple):
            return tuple(self.length(duration) for duration in value)
        if isinstance(value, s.Duration):
            return self.length(value)
        kind = None if info is None else info.kind
        if kind in ("metric", "word", "shape") and isinstance(value, s.Name) and value.name not in self.lets:
            return value.name
        if kind == "shape":
            return self.word(argument)
        if kind == "lengths" and isinstance(value, s.Tuple):
            return tuple(self._length_or_number(item) for item in value.items)
        if kind in ("length", "lengths") and isinstance(value, s.Name) and value.name in ("epoch", "step"):
            message = f"`{value.name}` is a time, and `{argument.name}` is a stretch of it"
            found = error("LR120", message, value.span, f"write {argument.name}=1 {value.name}")
            raise Faulty([found])
        return self._length_or_number(value) if kind in ("length", "lengths") else self._plain(value)

    def _length_or_number(self, value: s.Expression) -> object:
        """`5%` as a stretch of time; anything else is what it is, and lacks its unit."""
        if isinstance(value, s.Number) and value.percent:
            return self.length(value)
        return self._plain(value)

    def _plain(self, value: s.Expression) -> object:
        return self._worked_out(value, "a schedule is the same for every parameter of its group", exact=False)

    def word(self, argument: s.Argument) -> object:
        """`cosine`, `power(2)`, `true`. Raises Faulty."""
        value = argument.value
        if isinstance(value, s.Name) and value.name not in self.lets:
            return value.name
        if isinstance(value, s.Call) and value.function == "power" and len(value.arguments) == 1:
            power = self._worked_out(value.arguments[0], "a shape is a constant", exact=False)
            if isinstance(power, bool) or not isinstance(power, (int, float)) or power <= 0:
                message = "the power of a shape is a number above 0"
                raise Faulty([error("LR107", message, value.arguments[0].span, "write power(2)")])
            return Easing("power", float(power))
        if isinstance(value, s.Call):
            message = f"`{argument.value_span.text}` is no shape"
            raise Faulty([error("LR107", message, argument.value_span, "write power(2), cosine or linear")])
        if isinstance(value, (tuple, s.Duration)):
            raise Faulty([error("LR107", f"`{argument.name}` is a word", argument.value_span)])
        return self._worked_out(value, "a shape is a constant", exact=False)

    def length(self, node: s.Expression) -> Length:
        """`30%`, `2 epochs`. Raises Faulty."""
        if isinstance(node, s.Number) and node.percent:
            return Length(node.exact * 100, "percent")
        assert isinstance(node, s.Duration)
        value = self._worked_out(node.value, "a stretch of time is a constant", exact=True)
        if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
            raise Faulty([error("LR107", f"`{node.value.span.text}` is not a number", node.value.span)])
        return Length(Fraction(value), node.unit)

    def _worked_out(self, expression: s.Expression, reason: str, *, exact: bool) -> object:
        found = Findings()
        value: object = constant(expression, Names(self.lets, reason=reason), found, exact=exact)
        if found:
            raise Faulty(found)
        return value


def curve(factory: s.Factory, lets: Lets, clock: Clock) -> Curve:
    """A schedule that the language has, on one clock. Raises Faulty."""
    infos = arguments_of(factory.name)
    if infos is None:
        near = meant(factory.name)
        fix = Fix(f"replace by `{near}`", (Edit(factory.name_span, near),)) if near else None
        message = f"unknown schedule `{factory.name}`"
        raise Faulty([error("LR105", message, factory.name_span, instead(factory.name), fix=fix)])
    found = Findings()
    values: dict[str, object] = {}
    for argument in factory.arguments:
        if argument.name in values:
            message = f"`{argument.name}` is given twice"
            found.error("LR120", message, argument.name_span, "keep one of them")
        try:
            values[argument.name] = TimeArguments(lets).value(argument, infos.get(argument.name))
        except Faulty as faulty:
            found.add(*faulty.found)
    if found:
        raise Faulty(found)
    try:
        return make(factory.name, values, clock)
    except ScheduleFault as fault:
        span = next((a.span for a in factory.arguments if a.name == fault.argument), factory.span)
        raise Faulty([error("LR120", fault.message, span, fault.help)]) from None
    except UnknownTime as unknown:
        raise Faulty([_unknown(unknown, factory)]) from None


def called_schedule(node: s.Call, lets: Lets, clock: Clock) -> Curve:
    """A schedule that an expression calls as a function of time. Raises Faulty."""
    for keyword in node.keywords:
        if keyword.name in ("min_lr", "warmup_lr"):
            message = f"`{keyword.name}` is a rate, and a schedule that is called gives a factor"
            help = "use floor= or warmup_start_factor=, or write it as `schedule` statement"
            raise Faulty([error("LR120", message, keyword.span, help)])
    return curve(s.Factory(node.span, node.function, node.function_span, node.keywords), lets, clock)


def _unknown(unknown: UnknownTime, factory: s.Factory) -> Diagnostic:
    text = factory.span.excerpt
    if unknown.missing == "epochs":
        message = f"`{text}` is relative to the length of the run, which is not known"
        return error("LR311", message, factory.span, "give epochs, or write `epochs 30` in the file")
    message = f"`{text}` needs the number of steps in an epoch"
    return error(
        "LR309", message, factory.span, "give steps_per_epoch (on the command line --steps-per-epoch)"
    )
