"""What a group's options and its freezing are at a time: numbers, or functions of `t`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from layerlr_dsl.eject.functions import Functions
from layerlr_dsl.eject.layout import literal
from layerlr_dsl.eject.refusals import CannotEject
from layerlr_dsl.eject.terms import ONE, T, Term, number
from layerlr_dsl.plan.behaviour import Behaviour
from layerlr_dsl.plan.course import Course, Product
from layerlr_dsl.plan.moving import Moving
from layerlr_dsl.plan.plan import Group, Plan
from layerlr_dsl.plan.scheduled import Scheduled
from layerlr_dsl.plan.stages import NEVER
from layerlr_dsl.plan.stepwise import Stepwise
from layerlr_dsl.plan.timeline import Interval, Mark

_SHORT = 60
"""A lambda up to so many characters stands in the group itself."""


@dataclass
class OverTime:
    """Writes what changes. arguments: what every such function takes, `t`, or `t, m` where metrics count."""

    plan: Plan
    functions: Functions
    arguments: str

    @property
    def parameters(self) -> str:
        return "t: int, m: Metrics" if self.arguments == "t, m" else "t: int"

    # ------------------------------------------------------------ options

    def option(self, group: Group, option: str) -> str:
        """A number, or a function."""
        behaviour, driven = group.behaviour, group.behaviour.scheduled == option
        if group.kind != "trains":
            return _constant(group.options[option], driven)
        if behaviour.conditional:
            return self._conditional(group, option)
        steps = self._steps(group, option)
        if len(steps) == 1 and steps[0][1].value is not None:
            return literal(steps[0][1].value)
        return self._function(option, steps)

    def _steps(self, group: Group, option: str) -> list[tuple[int, Term]]:
        """Ticks, and what holds from them on."""
        behaviour = group.behaviour
        now = behaviour.unfolded()
        products = now.products[option]
        ticks = {0, *products.changes}
        if behaviour.scheduled == option:
            ticks.update(now.schedule.changes)
            ticks.update(self._warmups(behaviour))
        steps: list[tuple[int, Term]] = []
        for tick in sorted(ticks):
            term = self._at(behaviour, option, products.at(tick), tick)
            if not steps or steps[-1][1] != term:
                steps.append((tick, term))
        return steps

    def _warmups(self, behaviour: Behaviour) -> Iterable[int]:
        starts = [stretch.start for stretch in self.functions.stretches]
        for thaw in behaviour.unfolded().thaws:
            if thaw.warmup:
                yield thaw.tick
                yield min([thaw.tick + thaw.warmup, *(s for s in starts if thaw.stage and s > thaw.tick)])

    def _at(self, behaviour: Behaviour, option: str, product: Product, tick: int) -> Term:
        if behaviour.scheduled != option:
            return self._product(product, option)
        return self._driven(product, behaviour.schedule_at(tick), behaviour.warmup(tick), option)

    def _product(self, product: Product, option: str) -> Term:
        if not product.movers:
            return number(product.scale)
        moves = self._moves(product.movers, option)
        return moves if product.scale is None else number(product.scale) * moves

    def _moves(self, movers: Sequence[Moving], option: str) -> Term:
        first, *others = (self.functions.moving(mover, option) for mover in movers)
        for other in others:
            first = first * other
        return first

    def _driven(
        self, product: Product, schedule: Scheduled | None, warmup: tuple[int, int] | None, option: str
    ) -> Term:
        scale = number(product.scale if product.movers else float(product.scale))  # type: ignore[arg-type]
        moves = self._moves(product.movers, option) if product.movers else ONE
        if warmup is None:
            return self._scheduled(scale, moves, schedule)
        for mover in product.movers:
            scale = scale * self.functions.moving(mover, option)
        now = scale if schedule is None else self._share(scale, schedule)
        return now * ((T - number(warmup[0])) / number(warmup[1]))

    def _scheduled(self, scale: Term, moves: Term, schedule: Scheduled | None) -> Term:
        if schedule is None:
            return scale * moves
        curve = self.functions.curve(schedule)
        if curve.absolute:
            return self._share(scale * moves, schedule)
        return scale * (moves * curve.of(self._clock_of(schedule)))

    def _share(self, peak: Term, schedule: Scheduled) -> Term:
        curve, clock = self.functions.curve(schedule), self._clock_of(schedule)
        return curve.of(clock, peak) if curve.absolute else peak * curve.of(clock)

    def _clock_of(self, schedule: Scheduled) -> Term:
        return T - number(self.functions.stretches[schedule.stage].start)

    def _function(self, option: str, steps: Sequence[tuple[int, Term]]) -> str:
        if len(steps) == 1 and len(steps[0][1].text) <= _SHORT:
            return f"lambda {self.arguments}: {steps[0][1].text}"
        body = []
        for (_, term), (later, _) in itertools.pairwise(steps):
            body += [f"if t < {later}:", f"    return {_text(term)}"]
        body.append(f"return {_text(steps[-1][1])}")
        return self._defined(option, body)

    def _defined(self, wanted: str, body: list[str], returns: str = "float") -> str:
        if any(line.lstrip().startswith("return (") and "," in line for line in body):
            returns = "tuple[float, ...]"
        return self.functions.define(wanted, "", body, self.parameters, returns)

    # ------------------------------------------------------------ freezing

    def frozen(self, group: Group) -> str | None:
        """When a group is frozen; None for what the rules leave alone."""
        if not group.planned:
            return None
        if group.kind == "frozen":
            return f"lambda {self.arguments}: True"
        if group.behaviour.conditional:
            return self._frozen_on_condition(group.behaviour)
        return self.when(Stepwise.of(_pairs(group.behaviour.unfolded().freeze, "frozen")))

    def when(self, steps: Stepwise[bool]) -> str:
        """A function that tells when something holds."""
        spans = [
            _within(start, end)
            for start, end, holds in zip(steps.ticks, (*steps.ticks[1:], NEVER), steps.values, strict=True)
            if holds
        ]
        return f"lambda {self.arguments}: {' or '.join(spans) or 'False'}"

    # ------------------------------------------------------------ behind metric conditions

    def _conditional(self, group: Group, option: str) -> str:
        behaviour = group.behaviour
        course = behaviour.courses[option]
        body = self._cascade(course)
        simple = len(body) == 1 and body[0].startswith("scale = ")
        if behaviour.scheduled != option:
            if simple:
                return body[0].removeprefix("scale = ")
            moves = any(isinstance(effect.value, Moving) for effect in course.effects)
            return self._defined(option, [*body, "return scale * moves" if moves else "return scale"])
        body, factor = self._factors(course, body)
        warmup = self._warmup_on_condition(group)
        if simple and factor == "1.0" and not warmup:
            return repr(float(course.product(0, {}, course.base).scale))  # type: ignore[arg-type]
        if simple and len(body) == 1 and not warmup:
            return f"lambda {self.arguments}: {body[0].removeprefix('scale = ')} * {factor}"
        moving = any(isinstance(effect.value, Moving) for effect in course.effects)
        product = f"(moves * {factor})" if moving else factor
        rate = "scale" if product == "1.0" else f"scale * {product}"
        if warmup:
            if moving:
                raise CannotEject(
                    "a value that moves, in a group that warms up when a metric condition comes true",
                    self._span(group),
                )
            start, ticks = warmup
            body.append(f"if {start} <= t < {start} + {ticks}:")
            body.append(f"    return {rate} * ((t - {start}) / {ticks})")
        return self._defined(option, [*body, f"return {rate}"])

    def _cascade(self, course: Course) -> list[str]:
        """The rules for an option one after the other: `scale` is a number, `moves` what moves."""
        moving = any(isinstance(effect.value, Moving) for effect in course.effects)
        scale: Any = course.base
        body: list[str] = []
        said = False
        for effect in course.effects:
            if effect.window.always and not body and not isinstance(effect.value, Moving):
                scale = scale * effect.value if effect.multiply and scale is not None else effect.value
                continue
            if not said:
                body, said = [f"scale = {literal(scale)}", *["moves = 1.0"] * moving], True
            sign = "*=" if effect.multiply else "="
            does = self._does(effect.value, effect.multiply, sign, course.option, moving)
            window = self._window(effect.window)
            place = self.plan.rules.clauses[effect.clause].span.place
            if window is None:
                body += does
            else:
                body += [f"if {window}:  # {place}", *(f"    {line}" for line in does)]
        return body or [f"scale = {literal(scale)}"]

    def _does(self, value: Any, multiply: bool, sign: str, option: str, moving: bool) -> list[str]:
        if not isinstance(value, Moving):
            return [f"scale {sign} {literal(value)}", *["moves = 1.0"] * (moving and not multiply)]
        term = self.functions.moving(value, option)
        if value.scale is None:
            raise CannotEject(
                "a tuple that moves, in a group behind a metric condition", value.expression.span
            )
        later = f"moves = moves * {term.within(3)}" if multiply else f"moves = {term.text}"
        return [f"scale {sign} {value.scale!r}", later]

    def _factors(self, course: Course, body: list[str]) -> tuple[list[str], str]:
        """What drives the rate: the statements that find it, and its name or expression."""
        always = [n for n, one in enumerate(course.schedules) if one.window.always]
        schedules = course.schedules[always[-1] :] if always else course.schedules
        curves = [self.functions.curve(one.schedule) for one in schedules]
        if any(curve.absolute for curve in curves):
            span = schedules[0].schedule.sequence.span
            raise CannotEject("min_lr or warmup_lr, in a group behind a metric condition", span)
        if not schedules:
            return body, "1.0"
        texts = [
            curve.of(self._clock_of(one.schedule)).text for curve, one in zip(curves, schedules, strict=True)
        ]
        if len(texts) == 1 and schedules[0].window.always:
            return body, texts[0]
        body = [*body, "factor = 1.0"]
        for one, text in zip(schedules, texts, strict=True):
            window = self._window(one.window)
            body += [f"factor = {text}"] if window is None else [f"if {window}:", f"    factor = {text}"]
        return body, "factor"

    def _frozen_on_condition(self, behaviour: Behaviour) -> str:
        self.refuse_statistics(behaviour)
        if len(behaviour.freezes) == 1 and behaviour.freezes[0].frozen and not behaviour.came_frozen:
            window = self._window(behaviour.freezes[0].window)
            return f"lambda {self.arguments}: {window or True}"
        body = [f"frozen = {behaviour.came_frozen}"]
        for effect in behaviour.freezes:
            window = self._window(effect.window)
            says = f"frozen = {effect.frozen}"
            if window is None:
                body = [says]
            else:
                body += [f"if {window}:  # {effect.span.place}", f"    {says}"]
        return self._defined("frozen", [*body, "return frozen"], "bool")

    def refuse_statistics(self, behaviour: Behaviour) -> None:
        """Raise CannotEject where statistics go their own way behind a metric condition."""
        for effect in behaviour.statistics if behaviour.conditional else ():
            if effect.own or not effect.held:
                span = self.plan.rules.clauses[effect.clause].span
                raise CannotEject("statistics held by themselves in a group behind a metric condition", span)

    def _warmup_on_condition(self, group: Group) -> tuple[str, int] | None:
        """The tick of the thaw, as text, and how long the warm-up lasts."""
        behaviour = group.behaviour
        warm = [effect for effect in behaviour.freezes if effect.warmup]
        if not warm:
            return None
        effect = warm[0]
        mark = effect.window.closes if effect.frozen else effect.window.opens
        at_end = len(behaviour.freezes) == 1 and effect.frozen
        turned = len(behaviour.freezes) == 2 and behaviour.freezes[-1] is effect and not effect.frozen
        if len(warm) > 1 or mark is None or not (at_end or turned) or effect.window.stage:
            raise CannotEject("a warm-up behind a metric condition and other freezes", effect.span)
        return self.mark(mark), self.plan.timeline.ticks(effect.warmup, {})

    def _span(self, group: Group) -> Any:
        effects = [effect for course in group.behaviour.courses.values() for effect in course.effects]
        return self.plan.rules.clauses[effects[0].clause].span if effects else None

    def _window(self, window: Interval) -> str | None:
        """A condition on `t`; None for all of time."""
        if window.always:
            return None
        if not window.conditional:
            opens, closes = self.plan.timeline.period(window, {})
            return None if opens <= 0 and closes >= NEVER else _within(opens, closes)
        opens_text, closes_text = self.mark(window.opens), None
        if window.closes is not None:
            closes_text = self.mark(window.closes)
        if window.stage:
            starts, ends = self._stage(window.stage)
            opens_text = f"max({opens_text}, {starts})"
            closes_text = closes_text if ends is None else f"min({closes_text or 'inf'}, {ends})"
        first = "" if opens_text == "0" else f"{opens_text} <= "
        if closes_text is None:
            return f"t >= {opens_text}"
        return f"{first}t < {closes_text}"

    def _stage(self, stage: int) -> tuple[int, int | None]:
        stretches = self.functions.stretches
        return stretches[stage].start, stretches[stage + 1].start if stage + 1 < len(stretches) else None

    def mark(self, mark: Mark) -> str:
        """The first tick at or after a mark."""
        if mark.event is None:
            return str(self.plan.timeline.tick(mark, {}))
        later = -(-mark.ticks.numerator // mark.ticks.denominator)
        return f"m.came[{mark.event}]" + (f" + {later}" if later else "")


def _pairs(steps: Stepwise[Any], attribute: str) -> Any:
    return ((tick, getattr(v, attribute)) for tick, v in zip(steps.ticks, steps.values, strict=True))


def _within(start: int, end: int) -> str:
    if start <= 0:
        return "True" if end >= NEVER else f"t < {end}"
    return f"t >= {start}" if end >= NEVER else f"{start} <= t < {end}"


def _constant(value: Any, driven: bool) -> str:
    return repr(float(value)) if driven else literal(value)


def _text(term: Term) -> str:
    return literal(term.value) if term.value is not None else term.text
