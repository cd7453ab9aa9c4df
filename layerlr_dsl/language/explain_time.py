"""Mistakes about time: units, windows, metrics."""

from __future__ import annotations

import re

from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, error
from layerlr_dsl.language.failure import Failure
from layerlr_dsl.language.faults import replacing
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.nearest import nearest

# What people write for `from` and `until`.
TIME_WORDS = {"for", "at", "before", "after", "when", "while", "during", "to", "till", "on", "in"}
_UNITS = {"epoch", "epochs", "step", "steps"}
_BEFORE_TIME = {"UNTIL", "FROM", "AT"}
_BEFORE_COUNT = _BEFORE_TIME | {"EVERY", "WARMUP", "FOR"}
_METRIC = re.compile(r"[\w./:@-]+(?=[ \t]+(stops|falling|rising)\b)")
_TIME = re.compile(r"(epochs?|steps?)[ \t]+[\w(]|[\d.]+[ \t]*(epochs?\b|steps?\b|%)")


def sign_in_time(f: Failure) -> Diagnostic | None:
    """`until: epoch 5`, `epoch=5`, `warmup: 3 epochs`."""
    if f.found not in {":", "=", ":=", "=="} or not f.tokens:
        return None
    unit = f.last == "NAME" and f.kind(-2) in _BEFORE_COUNT and f.tokens[-1].text in _UNITS
    if not unit and f.last not in _BEFORE_COUNT:
        return None
    gap = Span(f.source, f.token_span(-1).end, f.at + len(f.found))
    follows = f.source.text[gap.end : gap.end + 1]
    fix = Fix(f"remove `{f.found}`", (Edit(gap, "" if follows.isspace() else " "),), safe=True)
    return error("LR001", f"`{f.tokens[-1].text}` takes no `{f.found}`", f.span, "remove it", fix=fix)


def metric_without_quotes(f: Failure) -> Diagnostic | None:
    """`until val/loss stops falling`: a metric that is no plain name."""
    if f.last != "NAME" or f.kind(-2) not in _BEFORE_TIME:
        return None
    metric = _METRIC.match(f.source.text, f.token_span(-1).start)
    if metric is None or metric[0].isidentifier():
        return None
    span = Span(f.source, metric.start(), metric.end())
    fix = replacing(span, f'"{span.text}"', safe=True)
    message = "a metric with such signs stands in double quotes"
    return error("LR001", message, span, f'write `"{span.text}"`', fix=fix)


def number_missing(f: Failure) -> Diagnostic | None:
    """LR005: `until epoch`, `every epochs`: a unit without its number."""
    if f.last != "NAME" or f.kind(-2) not in _BEFORE_COUNT:
        return None
    unit = f.tokens[-1].text
    if unit not in _UNITS or not (f.ended or "NUMBER" in f.accepted):
        return None
    one = unit.rstrip("s")
    form = f"{one} 5" if f.kind(-2) in _BEFORE_TIME else f"2 {one}s"
    return error("LR005", f"`{unit}` has no number", f.token_span(-1), f"write `{f.tokens[-2].text} {form}`")


def misspelled_stops(f: Failure) -> Diagnostic | None:
    """LR004: `until val_loss stop falling`: the misspelled word was taken for a number's name."""
    if (
        f.found not in {"falling", "rising"}
        or f.last != "NAME"
        or nearest(f.tokens[-1].text, ["stops"]) is None
    ):
        return None
    word = f.token_span(-1)
    fix = replacing(word, "stops", safe=False)
    return error("LR004", f"unknown word `{word.text}`", word, "did you mean `stops`?", fix=fix)


def other_condition(f: Failure) -> Diagnostic | None:
    """`until val_loss > 3`, `until val_loss falls for 3 epochs`."""
    compared = f.found in {"<", ">", "<=", ">=", "==", "="} and f.kind(-2) in _BEFORE_TIME
    told = f.found == "for" and f.kind(-2) == "NAME" and f.kind(-3) in _BEFORE_TIME
    if f.last != "NAME" or not (compared or told):
        return None
    metric = f.token_span(-2) if told else f.token_span(-1)
    help_ = f"write `{metric.text} stops falling for N epochs`, or `rising`"
    return error("LR001", "a metric is waited for in one way only", metric.to(f.span), help_)


def time_word_missing(f: Failure) -> Diagnostic | None:
    """`freeze layer1 epoch 3`, `unfreeze layer4 epoch 3`."""
    words = [word for word in ("from", "until", "at") if word.upper() in f.accepted]
    if not words or f.last in _BEFORE_COUNT or not _TIME.match(f.source.text, f.at):
        return None
    listed = " or ".join(f"`{word}`" for word in words)
    fix = Fix(f"insert `{words[0]}`", (Edit(f.gap(), f" {words[0]}"),)) if len(words) == 1 else None
    help_ = f"write {listed} in front, as in `{words[-1]} epoch 5`"
    return error("LR001", f"{listed} is missing before this time", f.span, help_, fix=fix)


def second_time(f: Failure) -> Diagnostic | None:
    """`unfreeze a at epoch 5 then b at epoch 10`."""
    if f.first != "UNFREEZE" or f.found != "then" or "AT" not in f.types:
        return None
    help_ = "write `unfreeze A then B every 2 epochs`, or an `unfreeze` of its own for each time"
    return error("LR001", "each `unfreeze` has one time", f.span, help_)


def other_time_word(f: Failure) -> Diagnostic | None:
    """`freeze a for 5 epochs`, `fc -> lr 1 at epoch 5`."""
    if f.found not in TIME_WORDS or not {"FROM", "UNTIL"} & f.accepted:
        return None
    openings = " and ".join(f"`{word} TIME`" for word in ("from", "until") if word.upper() in f.accepted)
    help_ = f"a window is written with {openings}, as in `until epoch 5`"
    return error("LR001", f"`{f.found}` begins no time window", f.span, help_)
