"""The wording of syntax faults: what is wrong, where, and what to write instead."""

from __future__ import annotations

import re

from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, error
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.number_words import number_of

_NUMBERS_LOOK_LIKE = "numbers look like 3, 0.1, 1e-4 or 5%"
_MOMENTS = ("epoch", "step")
_TOUCHING = re.compile(r"(epoch|step)(\d+)")
_LARGE = re.compile(r"(\d+)([kKmM])")
_EXPONENTS = {"k": "000", "m": "000000"}
_BEGUN = re.compile(r"(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)[A-Za-z]+")
_EXPONENT_APART = re.compile(r"[ \t]+([+-]?\d+)\b")
_TIME_APART = re.compile(r"[ \t]+(epoch|step)s?\b")
_FACTOR = re.compile(r"\d+(?:\.\d+)?[xX]")
_DURATIONS = ("epochs", "steps", "epoch", "step")


def replacing(span: Span, replacement: str, *, safe: bool) -> Fix:
    """The fix that writes `replacement` instead of `span`."""
    shown = f"replace `{shortened(span.text)}` by `{replacement}`" if span.text else f"insert `{replacement}`"
    return Fix(shown, (Edit(span, replacement),), safe)


def shortened(text: str, longest: int = 40) -> str:
    """Text of the file as shown in a message: one line, printable, not too long."""
    line = text.split("\n", 1)[0].rstrip("\r")
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line[: longest + 1])
    return printable if len(printable) <= longest and len(line) == len(text) else printable[:longest] + "..."


# ---------------------------------------------------------------- numbers


def malformed_number(span: Span) -> Diagnostic:
    text = span.text
    message = f"`{shortened(text)}` is not a number"
    digits = text.rstrip("%")
    if len(digits) > 1000:
        return error("LR003", "this number is too long", span, "write it with an exponent, such as 1e-4")
    if digits.replace("_", "").replace(".", "", 1).isdigit() and "_" in digits and digits.isascii():
        plain = text.replace("_", "")
        return error("LR003", message, span, f"write `{plain}`", fix=replacing(span, plain, safe=True))
    number, unit = _split_unit(text)
    if number and unit:
        spaced = f"{number} {unit}"
        return error("LR003", message, span, f"write `{spaced}`", fix=replacing(span, spaced, safe=True))
    if (many := _LARGE.fullmatch(text)) is not None:
        plain = f"{many[1]}{_EXPONENTS[many[2].lower()]}"
        return error("LR003", message, span, f"write `{plain}`", fix=replacing(span, plain, safe=False))
    if _FACTOR.fullmatch(text):
        return error("LR003", message, span, f"a factor is written `lr *= {text[:-1]}`")
    if digits[:2].lower() in {"0x", "0b", "0o"}:
        return error("LR003", message, span, f"numbers are decimal: {_NUMBERS_LOOK_LIKE}")
    head, e, exponent = digits.lower().partition("e")
    if e and head.replace(".", "", 1).isdigit() and not exponent.strip("+-"):
        return _without_exponent(span, message)
    if e and exponent.lstrip("+-").isdigit() and len(exponent) > 4:
        return error("LR003", message, span, "the exponent is out of any range")
    if (begun := _BEGUN.fullmatch(text)) is not None:
        return error("LR003", message, span, f"write `{begun[1]}`", fix=replacing(span, begun[1], safe=False))
    return error("LR003", message, span, _NUMBERS_LOOK_LIKE)


def _without_exponent(span: Span, message: str) -> Diagnostic:
    """`1e`, and `1e -3`, whose exponent stands apart."""
    apart = _EXPONENT_APART.match(span.source.text, span.end)
    if apart is None:
        return error("LR003", message, span, f"digits are missing after `{span.text[-1]}`, as in 1e-4")
    whole, joined = Span(span.source, span.start, apart.end()), span.text + apart[1]
    return error("LR003", message, whole, f"write `{joined}`", fix=replacing(whole, joined, safe=True))


def _split_unit(text: str) -> tuple[str, str]:
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text[len(number) :]
    return (number, unit) if unit in _DURATIONS and number.replace(".", "", 1).isdigit() else ("", "")


def detached_percent(span: Span, value_end: int, sign_start: int) -> Diagnostic:
    gap = Span(span.source, value_end, sign_start)
    fix = Fix("remove the space", (Edit(gap, ""),), safe=True)
    written = f"{shortened(Span(span.source, span.start, value_end).text)}%"
    return error("LR003", "a percent sign touches its number", span, f"write `{written}`", fix=fix)


# ---------------------------------------------------------------- units


def moment_without_unit(span: Span) -> Diagnostic:
    value = shortened(span.text)
    if value in _DURATIONS:
        return error("LR005", f"`{value}` has no number", span, f"write `{value.rstrip('s')} 5`")
    if touching := _TOUCHING.fullmatch(value):
        spaced = f"{touching[1]} {touching[2]}"
        fix = replacing(span, spaced, safe=True)
        return error("LR106", f"the number of `{value}` stands apart", span, f"write `{spaced}`", fix=fix)
    if value in {"half", "halfway", "middle", "end"}:
        shown = (
            "to the end of the run it holds without `until`" if value == "end" else "half of the run is `50%`"
        )
        return error("LR106", f"`{value}` is no time", span, shown)
    share = (
        f"`{value} stops falling for N epochs`"
        if value.isidentifier()
        else "a share of the run such as `50%`"
    )
    message = f"`{value}` has no unit: an epoch or a step?"
    return error("LR106", message, span, f"write `epoch {value}`, `step {value}`, or {share}")


def duration_without_unit(span: Span) -> Diagnostic:
    value = shortened(span.text)
    if value in _DURATIONS:
        one = f"1 {value.rstrip('s')}"
        return error(
            "LR005",
            f"`{value}` has no number",
            span,
            f"write `{one}`",
            fix=replacing(span, one, safe=value == one[2:]),
        )
    return error(
        "LR106",
        f"`{value}` has no unit: epochs or steps?",
        span,
        f"write `{value} epochs`, `{value} steps`, or a share of the run such as `5%`",
    )


def unknown_moment_unit(span: Span) -> Diagnostic:
    if span.text == "the":
        help = "leave out the article: `epoch 5`; to the end of the run it holds without `until`"
        return error("LR106", "`the` is no time", span, help)
    number, unit = number_of(span.text), _TIME_APART.match(span.source.text, span.end)
    if number is not None and unit is not None:
        return _unit_first(Span(span.source, span.start, unit.end()), f"{unit[1]} {number}")
    return _unknown_unit(
        span,
        _MOMENTS,
        "a time is `epoch N`, `step N`, `N%` of the run or `METRIC stops falling for N epochs`",
    )


def unknown_duration_unit(span: Span) -> Diagnostic:
    return _unknown_unit(span, _DURATIONS, "a stretch of time is `N epochs`, `N steps` or `N%` of the run")


def _unknown_unit(span: Span, units: tuple[str, ...], otherwise: str) -> Diagnostic:
    near = nearest(span.text, units)
    message = f"unknown unit `{shortened(span.text)}`"
    if near is None:
        return error("LR106", message, span, otherwise)
    plural_only = near.rstrip("s") == span.text.lower().rstrip("s")
    fix = replacing(span, near, safe=plural_only)
    return error("LR106", message, span, f"did you mean `{near}`?", fix=fix)


def reversed_moment(span: Span, value: Span, unit: str) -> Diagnostic:
    near = unit if unit in _MOMENTS else nearest(unit, _MOMENTS)
    if near is None:
        place = Span(span.source, value.end, span.end)
        return error(
            "LR106",
            f"unexpected `{unit}` after a time without a unit",
            place,
            moment_without_unit(value).help,
        )
    return _unit_first(span, f"{near} {value.text}")


def _unit_first(span: Span, written: str) -> Diagnostic:
    fix = replacing(span, written, safe=True)
    return error("LR106", f"the unit of a time comes first: `{written}`", span, f"write `{written}`", fix=fix)


def patience_unit(span: Span) -> Diagnostic:
    if span.text in ("step", "steps"):
        message = "a metric is reported once an epoch, so this counts epochs"
        return error("LR106", message, span, "write `for N epochs`")
    return _unknown_unit(span, ("epochs", "epoch"), "a metric is waited for `for N epochs`")


def patience_without_unit(span: Span) -> Diagnostic:
    value = shortened(span.text)
    if value in _DURATIONS:
        return error("LR005", f"`{value}` has no number", span, "write `for 3 epochs`")
    return error("LR106", f"`{value}` has no unit", span, f"write `for {value} epochs`")


def duration_in_expression(span: Span) -> Diagnostic:
    return error(
        "LR001",
        "stretches of time cannot stand in an expression",
        span,
        "they are values of arguments, as in `multistep(at=(30 epochs, 60 epochs))`, "
        "and points of `ramp((0%, A), (5 epochs, B))`",
    )


# ---------------------------------------------------------------- schedules and stages


def part_without_length(span: Span) -> Diagnostic:
    shown = shortened(span.text)
    return error(
        "LR005",
        f"`{shown}` does not say for how long",
        span,
        f"write `{shown} for N epochs then ...`; only the last schedule of a sequence goes on to the end",
    )


def last_part_with_length(part: Span, length: Span) -> Diagnostic:
    """A schedule with a length, and nothing that follows it; the span is from `for` on."""
    gap = Span(part.source, part.start, length.start)
    begin = part.start + gap.text.rindex("for")
    span = Span(part.source, begin, length.end)
    head = Span(part.source, part.start + len(gap.text[: begin - part.start].rstrip()), length.end)
    fix = Fix(f"remove `{shortened(span.text)}`", (Edit(head, ""),))
    return error(
        "LR005",
        "the last schedule goes on to the end and takes no length",
        span,
        "remove it, or write `then` and the schedule that follows",
        fix=fix,
    )


def stage_until_moment(span: Span, has_length: bool) -> Diagnostic:
    message = "a stage ends after a stretch of time, or when a metric stops"
    help_ = "leave it out: the stage has its length" if has_length else f"write {_as_length(span.text)}"
    return error("LR001", message, span, help_)


def _as_length(moment: str) -> str:
    unit, _, count = moment.partition(" ")
    if unit in _MOMENTS and count:
        return f"`for {count.strip()} {unit}s`, counted from the stage's start"
    return "`for 5 epochs`, or `until METRIC stops falling for N epochs`"


# ---------------------------------------------------------------- statements


def reserved_name(span: Span) -> Diagnostic:
    message = f"`{span.text}` is a word of expressions and cannot name a value"
    return error("LR001", message, span, "choose another name")


def option_without_value(span: Span) -> Diagnostic:
    option = shortened(span.text)
    if option in {"freeze", "unfreeze"}:
        return error(
            "LR005", f"`{option}` is no option", span, f"freezing is a statement: `{option} SELECTOR ...`"
        )
    if option.lower() in _TRAINS:
        message = f"`{option}` is no option"
        return error(
            "LR005",
            message,
            span,
            "what no `freeze` names trains: leave it out, or write `unfreeze SELECTOR`",
        )
    if option.lower() in _RESTS:
        return error(
            "LR005", f"`{option}` is no option", span, "what is not to train is frozen: `freeze SELECTOR`"
        )
    return error("LR005", f"`{option}` has no value", span, f"write `{option} VALUE`, as in `lr 1e-4`")


_TRAINS = frozenset({"train", "trains", "trainable", "training", "on", "learn", "finetune"})
_RESTS = frozenset(
    {"skip", "none", "off", "ignore", "exclude", "fixed", "lock", "locked", "untrainable", "stop"}
)


def unclosed_parenthesis(span: Span) -> Diagnostic:
    return error("LR002", "this parenthesis is never closed", span, "close it with `)`")


def nested_too_deeply(span: Span, deepest: int) -> Diagnostic:
    return error(
        "LR007",
        f"nested more than {deepest} levels deep",
        span,
        "name an inner part with `let` and use the name here",
    )


def too_long(span: Span, most: int) -> Diagnostic:
    return error(
        "LR007",
        f"this statement has more than {most:,} words and signs",
        span,
        "split it: select with wildcards, name parts with `let` and `group`",
    )


def too_many_statements(span: Span, most: int) -> Diagnostic:
    return error(
        "LR007",
        f"more than {most:,} statements: reading ends here",
        span,
        "say more with one rule: wildcards, captures and `where`",
    )


def too_many_waiting(span: Span, most: int) -> Diagnostic:
    return error(
        "LR007",
        f"more than {most:,} stages wait for a metric",
        span,
        "give some stages a length with `for`, or leave the later ones to a run of their own",
    )


def too_many_turns(span: Span, most: int) -> Diagnostic:
    return error(
        "LR007",
        f"more than {most:,} turns",
        span,
        "say them with a capture, as in `layers.<i> by i`, which has a turn for each value",
    )


def too_many(span: Span, most: int) -> Diagnostic:
    return error("LR001", f"more than {most:,} faults: reading ends here", span, "is this a rule file?")
