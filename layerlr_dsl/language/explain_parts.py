"""Mistakes about the parts of a statement: missing, repeated, misplaced or misspelled ones."""

from __future__ import annotations

import re

from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, error
from layerlr_dsl.language.explain_time import TIME_WORDS
from layerlr_dsl.language.failure import WORDS, Failure
from layerlr_dsl.language.faults import replacing, shortened
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.nearest import nearest

_SELECTING = {"FREEZE", "UNFREEZE", "EXPECT", "THEN", "COMMA", "EXCEPT"}
# A layer may have any of these names, but right behind such a word it rarely does.
_PART_WORDS = {"from", "until", "at", "every", "warmup", "updating", "starting", "then"}
_COMMAS = re.compile(r",(?:[ \t]*,)*")
# Directions by their meaning: by spelling, `decreasing` is nearer to `rising`.
_MEANT = {
    **dict.fromkeys(("decreasing", "falls", "fall", "dropping", "declining", "shrinking"), "falling"),
    **dict.fromkeys(("desc", "reversed", "reverse", "down", "downwards"), "descending"),
    **dict.fromkeys(("asc", "up", "upwards"), "ascending"),
    **dict.fromkeys(("increasing", "rises", "rise", "growing", "climbing"), "rising"),
}
_DASHED = re.compile(r"warm-?up\b")
_NEEDED = {
    "ARROW": ("this rule has no options", "write `SELECTOR -> OPTION VALUE`, as in `fc -> lr 1e-3`"),
    "EXCEPT": ("`except` has no selector", "write what to leave out"),
    "FROM": ("`from` has no time", "write `from epoch N`, `from step N` or `from N%`"),
    "UNTIL": ("`until` has no time", "write `until epoch N`, `until step N` or `until N%`"),
    "AT": ("`at` has no time", "write `at epoch N`, `at step N` or `at N%`"),
    "WARMUP": ("`warmup` has no length", "write `warmup N steps`, `warmup N epochs` or `warmup N%`"),
    "EVERY": ("`every` has no length", "write `every N epochs`"),
    "FOR": ("`for` has no length", "write `for N epochs`, `for N steps` or `for N%`"),
    "BY": ("`by` is incomplete", "write the capture that the turns go by, as in `by i descending`"),
    "FRESH": ("`fresh` is incomplete", "write `fresh optimizer`"),
    "UPDATING": ("`updating` is incomplete", "write `updating statistics`"),
    "IS": ("`is` has no word", "write a class or a family, as in `module is norm`"),
    "MATCHES": ("`matches` has no regular expression", "write one between slashes, as in `/bias$/`"),
    "OPTIMIZER": ("`optimizer` names none", "write one, as in `optimizer muon(lr=0.02)`"),
    "SCHEDULE": ("`schedule` names none", "write one, as in `schedule cosine(warmup=5%)`"),
}


# ---------------------------------------------------------------- selectors


def selector_missing(f: Failure) -> Diagnostic | None:
    """LR005: `-> lr 1`, `freeze until epoch 5`, `unfreeze a then at epoch 3`."""
    if not f.tokens and f.found == "->":
        help_ = "write `SELECTOR -> ...`; `**` selects everything"
        return error("LR005", "this rule has no selector", f.span, help_)
    if f.types[1:2] == ("WHERE",) and f.first in _SELECTING:
        word = f.token_span(0).text
        help_ = f"write `{word} SELECTOR where ...`; a layer of this name stands in quotes"
        return error("LR005", f"no selector stands between `{word}` and `where`", f.token_span(1), help_)
    if f.last != "PATTERN" or f.kind(-2) not in _SELECTING or f.ended:
        return None
    before, place = f.token_span(-2).text, f.token_span(-1)
    if place.text not in _PART_WORDS:
        return None
    form = "remove the comma" if before == "," else f"write `{before} SELECTOR {place.text} ...`"
    help_ = f"{form}; a layer of this name stands in quotes"
    return error("LR005", f"no selector stands between `{before}` and `{place.text}`", place, help_)


def repeated_part(f: Failure) -> Diagnostic | None:
    """LR005: a second `except`, `where`, `from`, `until` or `warmup`."""
    kind = f.found.upper()
    if f.found != f.found.lower() or kind not in {"EXCEPT", "WHERE", "FROM", "UNTIL", "WARMUP"}:
        return None
    if kind not in f.types or (kind in {"EXCEPT", "WHERE"} and "THEN" in f.types[f.types.index(kind) :]):
        return None
    help_ = {
        "EXCEPT": "list everything to leave out after one `except`, with commas",
        "WHERE": "join the conditions with `and` or `or` after one `where`",
    }.get(kind, "a statement has one time window; write a second statement for another")
    return error("LR005", f"`{f.found}` stands twice in this statement", f.span, help_)


def part_out_of_order(f: Failure) -> Diagnostic | None:
    """LR005: `except` behind `where`, `from` behind `until`, a window behind the warm-up."""
    order = {"except": {"WHERE"}, "updating": {"FROM", "UNTIL", "WARMUP"}, "from": {"UNTIL", "WARMUP"},
             "until": {"WARMUP"}, "starting": {"WARMUP"}}  # fmt: skip
    if f.first == "STAGE":
        order = {"for": {"UNTIL"}}
    later = order.get(f.found, set()) & set(f.types)
    if not later:
        return None
    other = next(token.text for token in f.tokens if token.kind in later)
    return error("LR005", f"`{f.found}` comes before `{other}`", f.span, f"move it in front of `{other}`")


def selection_behind_arrow(f: Failure) -> Diagnostic | None:
    """LR005: `fc -> lr 1 except fc.bias`: what narrows a selector stands in front of the arrow."""
    timed = f.found == "when" and {"FROM", "UNTIL"} & f.accepted
    if f.found in {"if", "when", "with"} and "WHERE" in f.accepted and not timed:
        fix = replacing(f.span, "where", safe=False)
        return error("LR001", "a condition is written with `where`", f.span, "write `where`", fix=fix)
    if f.found not in {"except", "where", "if"} or "ARROW" not in f.types:
        return None
    word = "where" if f.found == "if" else f.found
    help_ = f"write `SELECTOR {word} ... -> OPTION VALUE`"
    return error("LR005", f"`{f.found}` belongs to the selector, in front of `->`", f.span, help_)


# ---------------------------------------------------------------- commas


def comma_after_where(f: Failure) -> Diagnostic | None:
    """LR006: `a where x, b`: does the condition hold for b?"""
    if f.found != "," or f.inside_parentheses() or "CLOSE_BRACKET" in f.accepted or f.first == "LET":
        return None
    parts = [kind for kind in f.types if kind in {"WHERE", "ARROW", "THEN", "UNTIL", "FROM", "AT"}]
    if not parts or parts[-1] != "WHERE":
        return None
    help_ = "name the part with `group NAME = ... where ...` and list it as `@NAME`"
    return error("LR006", "a comma cannot follow `where`", f.span, help_)


def misplaced_comma(f: Failure) -> Diagnostic | None:
    """LR005: a comma and nothing behind it; LR001: a comma behind the window."""
    if f.ended and f.last == "COMMA":
        help_ = "remove it, or indent the next line to go on there"
        return error("LR005", "nothing follows this comma", f.token_span(-1), help_)
    if f.found == "," and f.last == "COMMA":
        commas = _COMMAS.match(f.source.text, f.at)
        span = Span(f.source, f.at, commas.end() if commas else f.at + 1)
        fix = Fix("remove `,`", (Edit(span, ""),), safe=True)
        return error("LR001", "nothing stands between two commas", span, "remove one", fix=fix)
    if f.found == "->" and "ARROW" in f.types and f.after_expression():
        fix = replacing(f.span, ",", safe=False)
        return error("LR001", "a rule has one arrow", f.span, "separate its options with `,`", fix=fix)
    if f.found == "," and "ARROW" in f.types and {"FROM", "UNTIL"} & set(f.types):
        help_ = "write all options before the window, which holds for all of them"
        return error("LR001", "the window ends a rule", f.span, help_)
    return None


_OF_PROSE = frozenset(
    {"of", "the", "with", "by", "in", "for", "after", "before", "during", "when", "but", "as", "to"}
)
"""Words that join sentences, and name no layer or option: what they stand for is not a list."""


def missing_comma(f: Failure) -> Diagnostic | None:
    """`lr 1e-3 weight_decay 0`: options, arguments and items are listed with commas."""
    if (
        f.found == "="
        and f.last == "NAME"
        and f.kind(-2) in {"NUMBER", "NAME", "CLOSE"}
        and f.inside_parentheses()
    ):
        return _no_comma(f, f.token_span(-1), f.token_span(-2).end)  # read as a number and its unit
    if (
        "COMMA" not in f.accepted
        or f.first == "STAGE"
        or not (f.word() or f.found[:1].isdigit() or f.found[:1] in {'"', "@"})
        or f.found in _OF_PROSE
    ):
        return None
    if f.found == "and" and not f.after_expression():
        fix = replacing(f.span, ",", safe=False)
        return error("LR001", "what is listed is separated by commas", f.span, "write `,`", fix=fix)
    return _no_comma(f, f.span, f.gap().start)


def _no_comma(f: Failure, before: Span, place: int) -> Diagnostic:
    fix = Fix("insert `,`", (Edit(Span(f.source, place, place), ","),))
    message = f"`,` is missing before `{shortened(before.text)}`"
    return error("LR001", message, before, "what is listed is separated by commas", fix=fix)


# ---------------------------------------------------------------- options and arguments


def option_without_name(f: Failure) -> Diagnostic | None:
    """LR005: `fc -> 1e-3`: a value for which option?"""
    if f.last not in {"ARROW", "COMMA"} or "ARROW" not in f.types or not f.found[:1].isdigit():
        return None
    help_ = f"write which option it is for, as in `lr {f.found}`"
    return error("LR005", f"`{shortened(f.found)}` is given to no option", f.span, help_)


_TIMES = re.compile(r"\*(?:[ \t]*=)?")


def assigned_option(f: Failure) -> Diagnostic | None:
    """`lr = 1e-3`, `lr: 1e-3`, `lr += 1`: an option and its value stand side by side."""
    if "TIMES_EQUAL" not in f.accepted:
        return None
    option = shortened(f.token_span(-1).text)
    if f.found in {"=", ":", ":=", "=="}:
        gap = Span(f.source, f.token_span(-1).end, f.at + len(f.found))
        follows = f.source.text[gap.end : gap.end + 1]
        fix = Fix(f"remove `{f.found}`", (Edit(gap, "" if follows.isspace() else " "),), safe=True)
        message = f"an option is set without `{f.found}`"
        return error("LR001", message, f.span, f"write `{option} VALUE`", fix=fix)
    if f.found == "*":
        sign = _TIMES.match(f.source.text, f.at)
        fix = replacing(Span(f.source, f.at, sign.end() if sign else f.span.end), "*=", safe=True)
        return error(
            "LR001", "an option is multiplied with `*=`", f.span, f"write `{option} *= VALUE`", fix=fix
        )
    if f.found in {"+=", "-=", "/=", "+", "/"}:
        help_ = f"`{option} *= VALUE` multiplies what the rules above give; nothing else changes it in place"
        return error("LR001", f"an option cannot be changed with `{f.found}`", f.span, help_)
    return None


def argument_without_name(f: Failure) -> Diagnostic | None:
    """`exponential(0.9)`, `adamw(lr: 0.1)`, `cosine warmup=5%`: arguments are NAME=VALUE in parentheses."""
    if not {"OPTIMIZER", "SCHEDULE"} & set(f.types):
        return None
    if f.last == "NAME" and f.kind(-2) in {"OPTIMIZER", "SCHEDULE"} and "OPEN" in f.accepted:
        if not re.match(r"[\w.]+%?[ \t]*(=|$|[#;\n])", f.rest_of_line()):
            return None
        help_ = f"write `{f.tokens[-1].text}(NAME=VALUE, ...)`"
        return error("LR001", "arguments stand in parentheses", f.span, help_)
    if not f.inside_parentheses():
        return None
    if "EQUAL" in f.accepted and f.last == "NAME":
        return _argument_without_equal(f)
    listed = f.last in {"OPEN", "COMMA"} and "NAME" in f.accepted and not f.expects_expression()
    if listed and f.last == "OPEN" and f.found[:1].isdigit() and f.kind(-3) == "OPTIMIZER":
        fix = Fix("insert `lr=`", (Edit(Span(f.source, f.at, f.at), "lr="),))
        return error("LR001", "arguments are given by name", f.span, f"write `lr={f.found}`", fix=fix)
    if listed and f.found[:1] not in {")", ","}:
        return error("LR001", "arguments are given by name", f.span, "write `NAME=VALUE`, as in `gamma=0.9`")
    return None


def _argument_without_equal(f: Failure) -> Diagnostic:
    name = f.token_span(-1)
    help_ = f"write `{name.text}=VALUE`"
    if f.found in {":", ":=", "=="}:
        fix = replacing(f.span, "=", safe=True)
        return error("LR001", f"an argument takes `=`, not `{f.found}`", f.span, help_, fix=fix)
    if f.ended or f.found in {",", ")"}:
        return error("LR005", f"the argument `{name.text}` has no value", name, help_)
    gap = Span(f.source, name.end, f.at)
    fix = Fix("write `=`", (Edit(gap, "="),))
    return error("LR001", "`=` is missing behind the name of the argument", name, help_, fix=fix)


# ---------------------------------------------------------------- words and ends


def misspelled_word(f: Failure) -> Diagnostic | None:
    """LR004: a word inside the statement that is nearly one that could stand there."""
    if not f.word() or f.found in WORDS.values() or f.found in TIME_WORDS - {"till"}:
        return None
    words = f.accepted_words()
    meant = _MEANT.get(f.found)
    near = meant if meant in words else nearest(f.found, words)
    if near is None:
        return None
    written = _DASHED.match(f.source.text, f.at)
    span = Span(f.source, f.at, written.end()) if written else f.span
    fix = replacing(span, near, safe=False)
    return error("LR004", f"unknown word `{span.text}`", span, f"did you mean `{near}`?", fix=fix)


def ends_too_early(f: Failure) -> Diagnostic | None:
    """LR005: the statement, or what stands before its arrow, stops where something must follow."""
    if not (f.ended or f.found == "->") or f.last not in _NEEDED or len(f.tokens) == 1:
        return None
    message, help_ = _NEEDED[f.last]
    if f.first == "STAGE" and f.last == "UNTIL":
        help_ = "write `until METRIC stops falling for N epochs`"
    return error("LR005", message, f.token_span(-1), help_)
