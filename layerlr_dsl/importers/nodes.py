"""Syntax trees made of plain values: what importers say goes through these to the printer, never as pasted text."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any, TypeAlias

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.printing import selector_of
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.tools.numbers import spelled

HERE = Span(Source("", ""), 0, 0)
_LARGE = 1e6
"""Whole floats from here on keep their own spelling."""
Plain: TypeAlias = Any
"""A number, text, boolean or tuple; or a node, which stays as it is."""


def value(plain: Plain) -> s.Expression:
    """The expression of a plain value. Raises TypeError for what no rule file can spell."""
    if isinstance(plain, bool):
        return s.Boolean(HERE, plain)
    if isinstance(plain, int | float):
        return _number(plain)
    if isinstance(plain, str):
        return s.String(HERE, plain)
    if isinstance(plain, tuple | list):
        return s.Tuple(HERE, tuple(value(item) for item in plain))
    if plain is None or not hasattr(plain, "span"):
        raise TypeError(f"a {type(plain).__name__} has no spelling in a rule file")
    return plain  # type: ignore[no-any-return]


def _number(plain: int | float) -> s.Expression:
    if plain < 0:
        return s.Negative(HERE, _number(-plain))
    if plain != plain or plain == float("inf"):
        raise TypeError(f"{plain} has no spelling in a rule file")
    whole = isinstance(plain, float) and plain.is_integer() and plain < _LARGE
    return s.Number(HERE, str(int(plain)) if whole else repr(plain))


def name(word: str) -> s.Name:
    return s.Name(HERE, word)


def let(word: str, plain: Plain) -> s.LetStatement:
    return s.LetStatement(HERE, word, HERE, value(plain))


def arithmetic(left: Plain, operator: Any, right: Plain) -> s.Arithmetic:
    return s.Arithmetic(HERE, operator, value(left), value(right))


def call(function: str, *arguments: Plain) -> s.Call:
    return s.Call(HERE, function, HERE, tuple(value(argument) for argument in arguments))


def called_with_keywords(function: str, *arguments: Plain, **keywords: Plain) -> s.Call:
    """A call such as `ramp(..., endpoint=true)`, or of a schedule as a function."""
    named = tuple(_argument(word, plain) for word, plain in keywords.items())
    return s.Call(HERE, function, HERE, tuple(value(argument) for argument in arguments), named)


def half_wave(angle: Plain) -> s.Expression:
    """(1 + cos(angle)) / 2: from 1 at 0 to 0 at pi."""
    return arithmetic(arithmetic(1, "+", call("cos", angle)), "/", 2)


def above(least: Plain, share: Plain, top: Plain = None) -> s.Expression:
    """What goes from `least` at a share of 0 to `top` (None: 1) at 1."""
    if not least:
        return value(share) if top is None else arithmetic(top, "*", share)
    height = arithmetic(1 if top is None else top, "-", least)
    return arithmetic(least, "+", arithmetic(height, "*", share))


def point(when: s.Duration, plain: Plain) -> s.Tuple:
    """A point of a `ramp`."""
    return s.Tuple(HERE, (when, value(plain)))


# ---------------------------------------------------------------- conditions


def compared(attribute: str, operator: Any, plain: Plain) -> s.Comparison:
    return s.Comparison(HERE, operator, name(attribute), value(plain))


def less(left: Plain, right: Plain) -> s.Comparison:
    return s.Comparison(HERE, "<", value(left), value(right))


def module_is(word: str) -> s.Is:
    return s.Is(HERE, name("module"), word, HERE)


def matches(attribute: str, pattern: str) -> s.Matches:
    return s.Matches(HERE, name(attribute), s.Regex(HERE, pattern))


def any_of(conditions: Iterable[s.Expression]) -> s.Expression:
    return reduce(lambda left, right: s.Logic(HERE, "or", left, right), conditions)


def all_of(conditions: Iterable[s.Expression]) -> s.Expression:
    return reduce(lambda left, right: s.Logic(HERE, "and", left, right), conditions)


def negated(condition: s.Expression) -> s.Not:
    return s.Not(HERE, condition)


# ---------------------------------------------------------------- selectors


def named(dotted: str) -> s.Pattern:
    """The item of exactly one name and what is below it, whatever its characters."""
    text = selector_of(dotted)
    return s.Pattern(HERE, text[1:-1], True) if text.startswith('"') else s.Pattern(HERE, text)


def pattern(text: str) -> s.Pattern:
    """An item with wildcards."""
    return s.Pattern(HERE, text)


def regex(text: str) -> s.Regex:
    return s.Regex(HERE, text)


EVERYTHING = pattern("**")


def selector(
    *items: s.SelectorItem, exclude: tuple[s.SelectorItem, ...] = (), where: s.Expression | None = None
) -> s.Selector:
    return s.Selector(HERE, items or (EVERYTHING,), exclude, where)


# ---------------------------------------------------------------- time


def epochs(number: Plain) -> s.Duration:
    return s.Duration(HERE, value(number), "epochs")


def steps(number: Plain) -> s.Duration:
    return s.Duration(HERE, value(number), "steps")


def percent(share: float) -> s.Duration:
    """A share of the run, such as 0.05, as a duration."""
    return s.Duration(HERE, value(float(spelled(share * 100, 12))), "percent")


# ---------------------------------------------------------------- optimizers, schedules, statements


def factory(called: str, **arguments: Plain) -> s.Factory:
    return s.Factory(HERE, called, HERE, tuple(_argument(word, plain) for word, plain in arguments.items()))


def _argument(word: str, plain: Plain) -> s.Argument:
    durations = isinstance(plain, tuple) and any(isinstance(item, s.Duration) for item in plain)
    whole = plain if durations or isinstance(plain, s.Duration) else value(plain)
    return s.Argument(HERE, word, HERE, whole, HERE)


def sequence(*parts: tuple[s.Factory, s.Duration | None]) -> s.ScheduleSequence:
    return s.ScheduleSequence(HERE, tuple(s.SchedulePart(HERE, made, length) for made, length in parts))


def schedule(called: str, **arguments: Plain) -> s.ScheduleSequence:
    """A schedule of one part."""
    return sequence((factory(called, **arguments), None))


def setting(option: str, plain: Plain, quoted: bool = False, multiply: bool = False) -> s.Setting:
    whole: Any = plain if isinstance(plain, s.Factory | s.ScheduleSequence) else value(plain)
    return s.Setting(HERE, option, HERE, multiply, whole, quoted)


def rule(which: s.Selector, settings: Iterable[s.Setting]) -> s.RuleStatement:
    return s.RuleStatement(HERE, which, tuple(settings), None)


def freeze(which: s.Selector) -> s.FreezeStatement:
    return s.FreezeStatement(HERE, which, False, None, None)
