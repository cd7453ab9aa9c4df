"""Mistakes in single characters and signs: quotes, brackets, arrows, signs of other languages."""

from __future__ import annotations

import re
from dataclasses import replace

from layerlr_dsl.language.characters import LOOKALIKES, character_not_allowed
from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, error
from layerlr_dsl.language.failure import Failure
from layerlr_dsl.language.faults import replacing, shortened
from layerlr_dsl.language.source import Span

_BROKEN_ARROW = re.compile(r"-+\s+>|-{2,}|<\s*-+|[-=~]*>+|:=?|=+(?!>)")
_QUOTED = re.compile(r"[“”„«»][^\n“”„«»]*[“”„«»]")
_PATTERN_RUN = re.compile(r"[\w.*?\[\]{}<>,-]+")
_SELECTED = {"PATTERN", "STRING", "REGEX", "GROUP_NAME"}


def forbidden_character(f: Failure) -> Diagnostic | None:
    """LR010: a character that means nothing here, often one that looks like another."""
    if f.ended or (f.found.isascii() and f.found.isprintable()) or f.found[0].isalnum():
        return None
    found = character_not_allowed(Span(f.source, f.at, f.at + 1))
    if LOOKALIKES.get(f.found[0]) == '"' and (pair := _QUOTED.match(f.source.text, f.at)):
        edits = tuple(Edit(Span(f.source, at, at + 1), '"') for at in (pair.start(), pair.end() - 1))
        return replace(found, fix=Fix("replace both quotes", edits, safe=True))
    return found


# ---------------------------------------------------------------- quotes and slashes


def unclosed_text(f: Failure) -> Diagnostic | None:
    """LR002: a double quote without its partner on the line."""
    if f.found != '"':
        return None
    span = Span(f.source, f.at, f.at + len(f.rest_of_line().rstrip()))
    help_ = 'a text ends on its own line: close it with `"`'
    return error("LR002", "this quote is never closed", span, help_)


def single_quotes(f: Failure) -> Diagnostic | None:
    if f.found not in {"'", "`"} or (f.last == "NUMBER" and f.touches()):
        return None
    close = f.rest_of_line().find(f.found, 1)
    if close < 0:
        return error("LR001", "texts stand in double quotes", f.span, 'write `"..."`')
    span = Span(f.source, f.at, f.at + close + 1)
    written = '"' + span.text[1:-1].replace('"', '\\"') + '"'
    fix = replacing(span, written, safe=True)
    return error("LR001", "texts stand in double quotes", span, f"write `{shortened(written)}`", fix=fix)


def slash_comment(f: Failure) -> Diagnostic | None:
    """`// a comment`: one slash may have been read as a division already."""
    divided = f.last == "SLASH" and f.found == "/" and f.touches()
    slashes = f.token_span(-1).to(f.span) if divided else f.span
    if slashes.text != "//" or f.ended:
        return None
    fix = replacing(slashes, "#", safe=not f.tokens)
    return error("LR001", "comments begin with `#`", slashes, "write `# ...`", fix=fix)


def unclosed_regex(f: Failure) -> Diagnostic | None:
    """LR002: `/` where a regular expression may stand, and no second one on the line."""
    if f.found != "/" or "REGEX" not in f.accepted:
        return None
    span = Span(f.source, f.at, f.at + len(f.rest_of_line().rstrip()))
    help_ = "a regular expression ends on its own line with `/`; a slash inside it is written `\\/`"
    return error("LR002", "this regular expression is never closed", span, help_)


# ---------------------------------------------------------------- brackets


def unclosed_bracket(f: Failure) -> Diagnostic | None:
    """LR002: `shape[0` without its bracket."""
    if "CLOSE_BRACKET" not in f.accepted or "]" in f.rest_of_line():
        return None
    index = max(i for i, kind in enumerate(f.types) if kind == "OPEN_BRACKET")
    return error("LR002", "this bracket is never closed", f.token_span(index), "close it with `]`")


def unmatched_closing(f: Failure) -> Diagnostic | None:
    if f.found == ")" and f.last == "OPEN":
        span = f.token_span(-1).to(f.span)
        help_ = "write a value, or remove them"
        return error("LR005", "nothing stands between these parentheses", span, help_)
    if f.found not in {")", "]", "}"} or f.inside_parentheses():
        return None
    fix = Fix(f"remove `{f.found}`", (Edit(f.span, ""),))
    return error("LR001", f"this `{f.found}` closes nothing", f.span, "remove it", fix=fix)


def list_in_brackets(f: Failure) -> Diagnostic | None:
    """`freeze (a, b)`, `freeze [a, b]`, `at=[30, 60]`."""
    if f.found in {"(", "["} and "PATTERN" in f.accepted:
        help_ = "list what is selected with commas, without brackets: `a, b`"
        return error("LR001", f"a selector stands without `{f.found}`", f.span, help_)
    if f.found in {"[", "{"} and f.expects_expression():
        return _values_in_brackets(f)
    if f.last == "PATTERN" and f.tokens[-1].text.startswith("[") and "]" not in f.tokens[-1].text:
        help_ = "list what is selected with commas, without brackets: `a, b`"
        return error("LR001", "a selector stands without `[`", f.token_span(-1), help_)
    return None


def _values_in_brackets(f: Failure) -> Diagnostic:
    message = "a list of values stands in parentheses"
    whole = re.match(r"\[([^\[\](){}\n]*)\]", f.source.text[f.at :])
    if whole is None:
        return error("LR001", message, f.span, "write `(A, B)`")
    span = Span(f.source, f.at, f.at + whole.end())
    fix = replacing(span, f"({whole[1]})", safe=True)
    return error("LR001", message, span, f"write `({shortened(whole[1])})`", fix=fix)


def spaced_pattern(f: Failure) -> Diagnostic | None:
    """LR011: `layer{1, 2}`: braces hold no spaces."""
    if f.last != "PATTERN":
        return None
    token = f.token_span(-1)
    for opening, closing in ("{}", "[]", "<>"):
        if token.text.rfind(opening) > token.text.rfind(closing) and closing in f.rest_of_line():
            end = f.at + f.rest_of_line().index(closing) + 1
            tail = _PATTERN_RUN.match(f.source.text, end)
            span = Span(f.source, token.start, tail.end() if tail else end)
            joined = re.sub(r"\s+", "", span.text)
            if not _PATTERN_RUN.fullmatch(joined):
                return None
            fix = replacing(span, joined, safe=True)
            message = f"no spaces inside `{opening}...{closing}`"
            return error("LR011", message, span, f"write `{shortened(joined)}`", fix=fix)
    return None


# ---------------------------------------------------------------- signs about selectors


def odd_selector(f: Failure) -> Diagnostic | None:
    """`fc$`, `^fc`, `layer(1|2)`, `fc/weight`, `!fc`, `@ stem`, `@stem.conv1`: signs that no pattern has."""
    if f.found == "!" and "PATTERN" in f.accepted:
        return error("LR001", "`!` selects nothing", f.span, "leave something out with `SELECTOR except ...`")
    if f.found == "@" and "GROUP_NAME" in f.accepted:
        return error("LR001", "`@` stands right before the name of a group", f.span, "write `@NAME`")
    if f.found == "." and f.last == "GROUP_NAME" and f.touches():
        help_ = "define a group for the part, or write the dotted names themselves"
        return error("LR001", "a group is selected as a whole", f.span, help_)
    if f.last == "PATTERN" and f.touches() and f.found in {"/", ":"} and "->" in f.rest_of_line():
        fix = replacing(f.span, ".", safe=False)
        return error("LR001", f"the segments of a name are joined by dots, not `{f.found}`", f.span,
                     "write `.`, as in `layer1.0.conv1`", fix=fix)  # fmt: skip
    inside = f.last == "PATTERN" and f.touches() and f.found in set("(|$^+\\/%&~`")
    if inside or ("PATTERN" in f.accepted and f.found in set("^$|+")):
        help_ = "a regular expression stands between slashes, `/.../`; a name with odd characters in double quotes"
        return error("LR001", f"`{f.found}` means nothing in a pattern", f.span, help_)
    return None


def other_arrow(f: Failure) -> Diagnostic | None:
    """`fc => lr 1`, `fc: lr 1`, `fc -- lr 1`: what is written for `->` elsewhere, or by mistake."""
    if f.last == "ARROW" and f.found == ">" and f.touches():
        heads = len(f.rest_of_line()) - len(f.rest_of_line().lstrip(">"))
        both = Span(f.source, f.token_span(-1).start, f.at + heads)
        fix = replacing(both, "->", safe=True)
        return error("LR001", f"the arrow of a rule is `->`, not `{both.text}`", both, "write `->`", fix=fix)
    if f.last not in _SELECTED or "ARROW" not in f.accepted or f.after_expression():
        return None
    sign = _BROKEN_ARROW.match(f.source.text, f.at)
    if sign is None:
        return None
    span = Span(f.source, f.at, sign.end())
    selected = f.read().text
    if span.text in {"=", ":=", "=="} and selected.isidentifier():
        form = f"a value gets a name with `let {selected} = ...`, a rule is `{selected} -> OPTION VALUE`"
        return error("LR001", f"unexpected `{span.text}`", span, form)
    fix = replacing(span, " ->" if f.touches() else "->", safe="=" not in span.text or ">" in span.text)
    message = f"a rule has `->` between its selector and its options, not `{span.text}`"
    return error("LR001", message, span, "write `SELECTOR -> OPTION VALUE`", fix=fix)
