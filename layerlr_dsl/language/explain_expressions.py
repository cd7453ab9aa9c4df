"""Mistakes in expressions: operators of other languages, values that are missing or out of place."""

from __future__ import annotations

import re

from layerlr_dsl.language.diagnostics import Diagnostic, error
from layerlr_dsl.language.failure import Failure
from layerlr_dsl.language.faults import detached_percent, replacing, shortened
from layerlr_dsl.language.source import Span
from layerlr_dsl.language.vocabulary import ATTRIBUTE_WORDS

_WRITTEN = {"&&": "and", "&": "and", "||": "or", "|": "or", "**": "^", "~": "matches", "=~": "matches"}
_COMPARED = {"=": "==", "=<": "<=", "=>": ">=", "<>": "!=", "===": "=="}
_COMPARISONS = {"<", "<=", ">", ">=", "==", "!=", "is", "matches"}
_COUNTING = {"UNTIL", "FROM", "AT", "EVERY", "WARMUP", "FOR", "BY"}
# Words that join values; where a value must stand they were read as names.
_JOINING = {"and", "or", "is", "mod", "matches"}


def is_not(f: Failure) -> Diagnostic | None:
    """`module is not norm`."""
    if f.kind(-2) != "IS" or f.tokens[-1].text != "not":
        return None
    span = f.token_span(-2).to(f.token_span(-1))
    return error("LR001", "there is no `is not`", span, "put `not` in front: `not module is norm`")


def word_for_value(f: Failure) -> Diagnostic | None:
    """LR005: `ndim > and tied`, `where is norm`."""
    if f.last != "NAME" or f.tokens[-1].text not in _JOINING or f.kind(-2) in {"ARROW", "COMMA", "EXPECT"}:
        return None
    word = f.token_span(-1)
    return error("LR005", f"a value is missing before `{word.text}`", word)


def chained_comparison(f: Failure) -> Diagnostic | None:
    """`1 < ndim < 4`."""
    if f.found not in _COMPARISONS or "PLUS" not in f.accepted or "COMPARE" in f.accepted:
        return None
    return error("LR001", "comparisons cannot be chained", f.span, "join two comparisons with `and`")


def other_operator(f: Failure) -> Diagnostic | None:
    """`&&`, `**`, `=` for equality, `%` for the remainder."""
    if f.found == "!" and f.expects_expression():
        return _rewritten(f, f.span, "not ")
    if f.expects_expression() and f.tokens:
        # The first half was read as an operator of its own.
        both = f.token_span(-1).to(f.span)
        if f.last == "STAR" and f.found == "*":
            return _rewritten(f, both, "^")
        if f.last == "COMPARE" and both.text in {"<>", "==="}:
            return _rewritten(f, both, _COMPARED[both.text])
        if f.last == "EQUAL" and f.found == "=" and f.touches():
            return _rewritten(f, both, "=")
    if not f.after_expression():
        return None
    if f.found in _COMPARED and "COMPARE" in f.accepted:
        return _rewritten(f, f.span, _COMPARED[f.found])
    if f.found == "%":
        return _percent(f)
    return _rewritten(f, f.span, _WRITTEN[f.found]) if f.found in _WRITTEN else None


def _percent(f: Failure) -> Diagnostic:
    follows = f.rest_of_line()[1:].lstrip()
    ends = not (follows[:1].isalnum() or follows[:1] == "(")
    if f.tokens[-1].text.endswith("%"):
        return error("LR001", "a number has one percent sign", f.span, "remove the second one")
    if f.last == "NUMBER" and (ends or re.match(r"(until|from|warmup|at|starting)\b", follows)):
        return detached_percent(f.token_span(-1).to(f.span), f.token_span(-1).end, f.at)
    help_ = "the remainder of a division is `mod`; `5%` is a number, its sign touching it"
    return error("LR001", "`%` is no operator", f.span, help_)


def _rewritten(f: Failure, span: Span, written: str) -> Diagnostic:
    fix = replacing(span, written, safe=True)
    shown = written.strip()
    return error("LR001", f"`{span.text}` is written `{shown}` here", span, f"write `{shown}`", fix=fix)


_TIME_BEHIND = re.compile(r"(?:in\s+)?(?:epoch|step)s?\b")


def foreign_expression(f: Failure) -> Diagnostic | None:
    """`where /bias/`, `name in (...)`, `name.endswith("bias")`: what other languages would let one say."""
    if f.found == "/" and f.last == "WHERE":
        help_ = "write `name matches /.../`, or select by `/.../` without `where`"
        return error("LR001", "a regular expression is no condition", f.span, help_)
    if f.found == "in" and f.after_expression() and _TIME_BEHIND.match(f.rest_of_line()):
        help_ = "write `at epoch N` for an expectation; a rule holds `from epoch N`, `until epoch N` or both"
        return error("LR001", "there is no `in`", f.span, help_)
    if f.found == "in" and f.after_expression():
        help_ = "join comparisons with `or`, or write `name matches /a|b/`"
        return error("LR001", "there is no `in`", f.span, help_)
    if f.found == "." and f.last == "NAME" and f.touches() and f.after_expression():
        asked = [f"{word.name}[k]" if word.kind == "sizes" else word.name for word in ATTRIBUTE_WORDS]
        help_ = f"what `where` sees has plain names: {', '.join(asked)}"
        return error("LR001", f"`{f.tokens[-1].text}` has no parts", f.span, help_)
    return None


def parentheses_missing(f: Failure) -> Diagnostic | None:
    """`until epoch 2 * n`, `every=2 * n epochs`: a number with a unit is one piece."""
    help_ = "write it in parentheses, as in `epoch (2 * n)`"
    if f.found in {"+", "-", "*", "/", "^", "mod"} and f.last in {"NUMBER", "NAME", "CLOSE"}:
        if f.after_expression() or not _COUNTING & set(f.types):
            return None
        return error("LR001", "an expression in a time stands in parentheses", f.span, help_)
    if f.found in {"epoch", "epochs", "step", "steps"} and f.after_expression() and f.inside_parentheses():
        return error("LR001", "an expression in front of a unit stands in parentheses", f.span, help_)
    return None


def regex_expected(f: Failure) -> Diagnostic | None:
    """`name matches "bias"`, `name matches bias`."""
    if f.last != "MATCHES" or not (f.found.startswith('"') or f.word()):
        return None
    inner = f.found[1:-1] if f.found.startswith('"') else f.found
    written = "/" + inner.replace("/", "\\/") + "/"
    fix = replacing(f.span, written, safe=f.found.startswith('"'))
    message = "`matches` takes a regular expression between slashes"
    return error("LR001", message, f.span, f"write `{shortened(written)}`", fix=fix)


def value_missing(f: Failure) -> Diagnostic | None:
    """LR005: `lr 1 +`, `muon(lr=)`, `where x >` and then the arrow."""
    if not f.tokens or not f.expects_expression() or "PATTERN" in f.accepted:
        return None
    if not (f.ended or f.found in {"->", ")", ",", "]"}):
        return None
    last = f.token_span(-1)
    help_ = "write one, as in `where ndim <= 1`" if f.last == "WHERE" else None
    message = "`where` has no condition" if f.last == "WHERE" else f"a value is missing after `{last.text}`"
    return error("LR005", message, last, help_)
