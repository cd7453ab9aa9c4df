"""Mistakes about stages, sequences of schedules, turns and statistics."""

from __future__ import annotations

import re

from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, error
from layerlr_dsl.language.failure import Failure
from layerlr_dsl.language.faults import replacing, shortened
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.nearest import nearest

_HEADING = "write `stage NAME for 5 epochs`"
_HEADING_WORDS = {"for", "until", "fresh"}
_LENGTH = re.compile(r"\d[\w.]*[ \t]*(?:epochs?\b|steps?\b|%)|\d[\d.]*%")
_MOMENT = re.compile(r"(epoch|step)[ \t]+(\d[\w.]*)")
_FRESH = re.compile(
    r"(?:(?:and|with|with a)[ \t]+)?(?:fresh\b|(?:fresh|new|reset|clean)[ \t]+)(?:[ \t]*optimizer\b)?"
)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?![\d.])")
_NAME_RUN = re.compile(r"[\w.-]+")
_LENGTHS = {"EPOCHS", "STEPS", "STEPS_PER_EPOCH"}


# ---------------------------------------------------------------- headings


def stage_without_name(f: Failure) -> Diagnostic | None:
    """LR005: `stage for 3 epochs`, `stage until val_loss ...`, `stage, fresh optimizer`."""
    if f.first != "STAGE" or len(f.tokens) < 2:
        return None
    named = f.tokens[1].text not in _HEADING_WORDS or f.found in _HEADING_WORDS or f.ended
    unnamed = f.kind(-2) == "COMMA" and f.tokens[-1].text == "fresh" and f.types[1] == "COMMA"
    if (named or len(f.tokens) > 2) and not unnamed:
        return None
    return error("LR005", "this stage has no name", f.token_span(0), _HEADING)


def name_of_a_stage(f: Failure) -> Diagnostic | None:
    """`stage layer-4 for 1 epoch`, `stage a.b`, `stage 1`: a name is one word."""
    if f.first != "STAGE" or "ARROW" in f.types or "->" in f.rest_of_line():
        return None
    joined = f.types == ("STAGE", "NAME") and f.touches() and f.found in {".", "-"}
    if not joined and not (len(f.tokens) == 1 and f.found[:1].isdigit()):
        return None
    run = _NAME_RUN.match(f.source.text, f.token_span(1).start if joined else f.at)
    assert run is not None, "a name or a digit stands there"
    span = Span(f.source, run.start(), run.end())
    help_ = f"{_HEADING}; names are letters, digits and `_`"
    return error("LR001", f"`{shortened(span.text)}` cannot be a name", span, help_)


def sign_in_heading(f: Failure) -> Diagnostic | None:
    """`stage head: for 1 epoch`, `stage head = 5 epochs`, `stage head {`, `after stages:`."""
    if (
        f.types[:2] not in {("STAGE", "NAME"), ("AFTER", "STAGES")}
        or f.found not in {":", "=", "{"}
        or f.inside_parentheses()
    ):
        return None
    help_ = "remove it: what follows a heading holds in its stage, up to the next heading"
    fix = Fix(f"remove `{f.found}`", (Edit(f.span, ""),))
    return error("LR001", f"a heading takes no `{f.found}`", f.span, help_, fix=fix)


def comma_in_heading(f: Failure) -> Diagnostic | None:
    """`stage a, for 3 epochs`: only `fresh optimizer` stands behind a comma."""
    if (
        f.first != "STAGE"
        or f.last != "COMMA"
        or f.found not in {"for", "until"}
        or "FRESH" not in f.accepted
    ):
        return None
    comma = f.token_span(-1)
    fix = Fix("remove `,`", (Edit(comma, ""),), safe=True)
    return error("LR001", f"no comma stands before `{f.found}`", comma, "remove it", fix=fix)


def length_without_for(f: Failure) -> Diagnostic | None:
    """`stage head 3 epochs`, `schedule linear 5 epochs then cosine`."""
    if "FOR" not in f.accepted or not _LENGTH.match(f.source.text, f.at):
        return None
    fix = Fix("insert `for`", (Edit(f.gap(), " for"),))
    return error("LR001", "`for` is missing before this length", f.span, "write `for` in front", fix=fix)


def moment_for_length(f: Failure) -> Diagnostic | None:
    """`stage a for epoch 5`, `ramp((epoch 5, 1))`, `warmup=epoch 5`: a moment where a stretch of time belongs."""
    if f.last != "NAME" or not f.found[:1].isdigit():
        return None
    if f.kind(-2) != "FOR" and not (f.inside_parentheses() and f.kind(-2) in {"OPEN", "EQUAL", "COMMA"}):
        return None
    moment = _MOMENT.match(f.source.text, f.token_span(-1).start)
    if moment is None:
        return None
    span = Span(f.source, *moment.span())
    written = f"{moment[2]} {moment[1]}s"
    fix = replacing(span, written, safe=False)
    return error("LR001", "a stretch of time belongs here", span, f"write `{written}`", fix=fix)


def beginning_of_a_stage(f: Failure) -> Diagnostic | None:
    """`stage b from epoch 5`: stages follow one another."""
    if f.first != "STAGE" or f.types[1:2] != ("NAME",) or f.found not in {"from", "at", "after", "starting"}:
        return None
    help_ = "it begins where the stage before it ends: give that one its length with `for`"
    return error("LR001", "a stage does not say when it begins", f.span, help_)


def fresh_without_comma(f: Failure) -> Diagnostic | None:
    """`stage a fresh optimizer`, `stage a with fresh optimizer`, `stage a, reset optimizer`."""
    if f.first != "STAGE" or f.types[1:2] != ("NAME",) or not f.found:
        return None
    rest = _FRESH.match(f.rest_of_line())
    if rest is None:
        return None
    comma = f.last == "COMMA"
    span = Span(f.source, f.at if comma else f.gap().start, f.at + rest.end())
    written = "fresh optimizer" if comma else ", fresh optimizer"
    fix = replacing(span, written, safe=False)
    shown = Span(f.source, f.at, span.end)
    return error("LR001", "a stage ends with `, fresh optimizer`", shown, f"write `{written}`", fix=fix)


# ---------------------------------------------------------------- sequences


def nothing_behind_then(f: Failure) -> Diagnostic | None:
    """LR005: `schedule linear for 3 epochs then`, and the next line not indented."""
    if f.last != "THEN" or not f.ended:
        return None
    what = "schedule" if "FOR" in f.types or "NAME" in f.accepted else "selector"
    help_ = f"write the next {what}, or indent the next line to go on there"
    return error("LR005", f"`then` has no {what}", f.token_span(-1), help_)


def joined_schedules(f: Failure) -> Diagnostic | None:
    """`schedule linear for 5 epochs, cosine`, `schedule linear until epoch 5 then cosine`."""
    if f.first != "SCHEDULE" or "THEN" not in f.accepted or f.inside_parentheses():
        return None
    if f.found == "," and "FOR" in f.types:
        fix = replacing(f.span, " then", safe=False)
        return error("LR001", "schedules follow one another with `then`", f.span, "write `then`", fix=fix)
    if f.found in {"until", "from", "at", "during"}:
        help_ = "write `for N epochs then ...`; each schedule of a sequence has the length of its part"
        return error("LR001", f"a schedule takes `for`, not `{f.found}`", f.span, help_)
    if f.found in {"+", "*", "-", "/"}:
        help_ = f"define it with `let NAME = ... {f.found} ...` and write `schedule NAME`"
        return error("LR001", "a schedule is one name, not an expression", f.span, help_)
    return None


def named_optimizer(f: Failure) -> Diagnostic | None:
    """`optimizer critic adam(lr=1)`, `optimizer critic: adam(lr=1)`."""
    if f.types != ("OPTIMIZER", "NAME") or "EQUAL" not in f.accepted or not f.found:
        return None
    form = f"write `optimizer {f.tokens[1].text} = NAME(...)`"
    if f.found in {":", ":=", "=="}:
        fix = replacing(f.span, " =" if f.touches() else "=", safe=True)
        return error("LR001", f"a named optimizer takes `=`, not `{f.found}`", f.span, form, fix=fix)
    if not f.word() or not re.match(r"\w+[ \t]*(?:\(|$|[#;])", f.rest_of_line()):
        return None
    fix = Fix("insert `=`", (Edit(f.gap(), " ="),))
    return error("LR001", "`=` is missing behind the name", f.token_span(1), form, fix=fix)


# ---------------------------------------------------------------- turns


def capture_of_a_turn(f: Failure) -> Diagnostic | None:
    """`unfreeze layers.<i> by <i> every 1 epoch`, `unfreeze layers.<i> descending by i`."""
    if f.first != "UNFREEZE":
        return None
    if f.last == "BY" and f.found == "<":
        pair = re.match(r"<(\w+)>", f.rest_of_line())
        if pair is None:
            return None
        span = Span(f.source, f.at, f.at + pair.end())
        fix = replacing(span, pair[1], safe=True)
        return error(
            "LR001", "behind `by` a capture stands without its signs", span, f"write `{pair[1]}`", fix=fix
        )
    if f.found in {"descending", "ascending"} and "BY" in f.accepted:
        help_ = f"write `by i {f.found}`, with the capture of the selector"
        return error("LR005", f"`{f.found}` has nothing to go by", f.span, help_)
    return None


# ---------------------------------------------------------------- statistics


def statistics_of(f: Failure) -> Diagnostic | None:
    """`freeze statistics layer1`, `freeze statistic of a`, `unfreeze statistics of a`, `freeze a statistics`."""
    if f.first not in {"FREEZE", "UNFREEZE"}:
        return None
    if f.ended and f.last == "OF":
        return error("LR005", "`statistics of` has no selector", f.token_span(-1), "write whose statistics")
    if f.types[1:2] == ("HELD",) and f.found == "warmup":
        help_ = "they stand still or they do not: end the statement with its window"
        return error("LR001", "statistics have no warm-up", f.span, help_)
    if f.found == "of" and f.last == "PATTERN" and len(f.tokens) == 2:
        return _misspelled_statistics(f)
    form = "write `freeze statistics of SELECTOR`"
    bare = f.types == ("FREEZE", "PATTERN") and f.tokens[1].text == "statistics"
    if bare and (f.found[:1] in {'"', "@", "/", "*"} or (f.word() and f.found not in f.accepted_words())):
        fix = Fix("insert `of`", (Edit(f.gap(), " of"),))
        return error("LR001", "`of` is missing behind `statistics`", f.token_span(1), form, fix=fix)
    if f.found == "statistics" and "UPDATING" in f.accepted:
        help_ = f"{form}, or `freeze SELECTOR updating statistics`"
        return error("LR001", "`statistics` does not stand alone", f.span, help_)
    return None


def _misspelled_statistics(f: Failure) -> Diagnostic | None:
    word = f.token_span(1)
    if word.text == "statistics":  # behind `unfreeze`
        help_ = "end a `freeze statistics of` with its own `until`, or write `freeze ... updating statistics`"
        return error("LR001", "only `freeze` speaks of statistics", word.to(f.span), help_)
    if word.text != "stats" and nearest(word.text, ["statistics"]) is None:
        return None
    fix = replacing(word, "statistics", safe=False)
    return error("LR004", f"unknown word `{word.text}`", word, "did you mean `statistics`?", fix=fix)


# ---------------------------------------------------------------- values


def group_as_value(f: Failure) -> Diagnostic | None:
    """`let n = @blocks`, `count(@blocks.<i>)`: a group is counted, never worked out."""
    if f.found.startswith("@") and f.expects_expression() and "GROUP_NAME" not in f.accepted:
        help_ = f"count what it has: `count({f.found})`, `last({f.found})` or `first({f.found})`"
        return error("LR001", "a group has no value of its own", f.span, help_)
    if f.found != "." or f.last not in {"GROUP_NAME", "GROUP_CAPTURE"} or not f.inside_parentheses():
        return None
    help_ = "write `@NAME.i`, with the name of one capture and without its signs"
    return error("LR001", "a group is asked for one capture", f.token_span(-1).to(f.span), help_)


def value_behind_keyword(f: Failure) -> Diagnostic | None:
    """`max(a=1, 3)`: what is given by name comes last."""
    if f.last != "COMMA" or not f.inside_parentheses() or "NAME" not in f.accepted or f.expects_expression():
        return None
    if {"OPTIMIZER", "SCHEDULE"} & set(f.types) or not f.found or f.found in {")", ","}:
        return None
    help_ = "move it in front of what is given by name, or name it too"
    return error("LR001", f"`{shortened(f.found)}` has no name", f.span, help_)


def grouped_digits(f: Failure) -> Diagnostic | None:
    """`steps 600,000`: digits are set apart by `_`."""
    number = f.types[1:2] == ("NUMBER",) and len(f.tokens) == 2
    leading = f.types[1:] == () and f.found[:1].isdigit()
    if f.first not in _LENGTHS or (not (number and f.found == ",") and not leading):
        return None
    written = _GROUPED.match(f.source.text, f.token_span(1).start if number else f.at)
    if written is None:
        return None
    span = Span(f.source, *written.span())
    fix = replacing(span, span.text.replace(",", "_"), safe=True)
    return error(
        "LR003", "a comma cannot stand in a number", span, f"write `{span.text.replace(',', '_')}`", fix=fix
    )
