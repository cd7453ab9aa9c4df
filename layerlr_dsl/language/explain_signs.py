"""Mistakes in single characters and signs: quotes, brackets, arrows, operators of other languages."""

from __future__ import annotations

import re
import unicodedata

from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, error
from layerlr_dsl.language.failure import Failure
from layerlr_dsl.language.faults import detached_percent, replacing, shortened
from layerlr_dsl.language.source import Span

_LOOKALIKES = {
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
    "→": "->", "⇒": "->", "➔": "->", "⟶": "->",
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-",
    "×": "*", "·": "*", "∗": "*", "÷": "/",
    "≤": "<=", "≥": ">=", "≠": "!=", "，": ",", "；": ";", "（": "(", "）": ")",
}  # fmt: skip
_OPERATORS = {"&&": "and", "&": "and", "||": "or", "|": "or", "!": "not ", "**": "^", "<>": "!="}
_PATTERN_RUN = re.compile(r"[\w.*?\[\]{}<>,-]+")


def forbidden_character(f: Failure) -> Diagnostic | None:
    """LR010: a character that means nothing here, often one that looks like another."""
    if f.ended or (f.found.isascii() and f.found.isprintable()):
        return None
    character = f.found[0]
    if character.isalnum():
        return None
    return character_not_allowed(Span(f.source, f.at, f.at + 1))


def character_not_allowed(span: Span) -> Diagnostic:
    character = span.text
    name = unicodedata.name(character, "control character").lower()
    shown = (
        f"`{character}`"
        if character.isprintable() and character not in " \xa0"
        else f"U+{ord(character):04X}"
    )
    meant = _LOOKALIKES.get(character) or (" " if unicodedata.category(character) == "Zs" else None)
    message = f"{shown} ({name}) is not allowed here"
    if meant is None:
        return error("LR010", message, span, "remove it, or put the name it belongs to in double quotes")
    what = "a space" if meant == " " else f"`{meant}`"
    fix = Fix(f"replace it by {what}", (Edit(span, meant),), safe=True)
    return error("LR010", message, span, f"write {what}", fix=fix)


def unclosed_text(f: Failure) -> Diagnostic | None:
    """LR002: a double quote without its partner on the line."""
    if f.found != '"':
        return None
    span = Span(f.source, f.at, f.at + len(f.rest_of_line().rstrip()))
    return error(
        "LR002", "this quote is never closed", span, 'a text ends on its own line: close it with `"`'
    )


def single_quotes(f: Failure) -> Diagnostic | None:
    if f.found not in {"'", "`"}:
        return None
    close = f.rest_of_line().find(f.found, 1)
    if close < 0:
        return error("LR001", "texts stand in double quotes", f.span, 'write `"..."`')
    span = Span(f.source, f.at, f.at + close + 1)
    written = '"' + span.text[1:-1].replace('"', '\\"') + '"'
    fix = replacing(span, written, safe=True)
    return error("LR001", "texts stand in double quotes", span, f"write `{shortened(written)}`", fix=fix)


def unclosed_regex(f: Failure) -> Diagnostic | None:
    """LR002: `/` where a regular expression may stand, and no second one on the line."""
    rest = f.rest_of_line()
    slashes = f.token_span(-1).to(f.span) if f.last == "SLASH" and f.touches("/") else f.span
    if slashes.text == "//":
        fix = replacing(slashes, "#", safe=not f.tokens)
        return error("LR001", "comments begin with `#`", slashes, "write `# ...`", fix=fix)
    if f.found != "/" or "REGEX" not in f.accepted:
        return None
    span = Span(f.source, f.at, f.at + len(rest.rstrip()))
    help_ = "a regular expression ends on its own line with `/`; a slash inside it is written `\\/`"
    return error("LR002", "this regular expression is never closed", span, help_)


def unclosed_bracket(f: Failure) -> Diagnostic | None:
    """LR002: `shape[0` without its bracket."""
    if "CLOSE_BRACKET" not in f.accepted:
        return None
    index = max(i for i, kind in enumerate(f.types) if kind == "OPEN_BRACKET")
    return error("LR002", "this bracket is never closed", f.token_span(index), "close it with `]`")


def other_arrow(f: Failure) -> Diagnostic | None:
    """`fc => lr 1`, `fc: lr 1`: what other languages write for `->`."""
    if (
        "ARROW" not in f.accepted
        or f.after_expression()
        or f.found not in {":", ":=", "=>", "==>", "-->", "~>", "="}
    ):
        return None
    if f.found in {"=", ":="}:
        name = f.source.text[f.start : f.token_span(-1).end]
        if re.fullmatch(r"\w+", name):
            help_ = f"a value gets a name with `let {name} = ...`, a rule is written `{name} -> OPTION VALUE`"
            return error("LR001", f"unexpected `{f.found}`", f.span, help_)
    arrow = " ->" if f.source.text[f.at - 1 : f.at].strip() else "->"
    fix = replacing(f.span, arrow, safe=f.found != "=")
    return error("LR001", f"a rule has `->` between its selector and its options, not `{f.found}`", f.span,
                 "write `SELECTOR -> OPTION VALUE`", fix=fix)  # fmt: skip


def assigned_option(f: Failure) -> Diagnostic | None:
    """`lr = 1e-3`, `lr: 1e-3`, `lr += 1`: an option and its value stand side by side."""
    if "TIMES_EQUAL" not in f.accepted:
        return None
    option = shortened(f.source.text[f.token_span(-1).start : f.token_span(-1).end])
    if f.found in {"=", ":", ":=", "=="}:
        # The sign goes, and so does the blank in front of it.
        before = f.token_span(-1).end
        gap = Span(f.source, before, f.at + len(f.found))
        follows = f.source.text[gap.end : gap.end + 1]
        fix = Fix(f"remove `{f.found}`", (Edit(gap, "" if follows.isspace() else " "),), safe=True)
        return error(
            "LR001", f"an option is set without `{f.found}`", f.span, f"write `{option} VALUE`", fix=fix
        )
    if f.found == "*":
        fix = replacing(f.span, "*=", safe=True)
        return error(
            "LR001", "an option is multiplied with `*=`", f.span, f"write `{option} *= VALUE`", fix=fix
        )
    if f.found in {"+=", "-=", "/=", "+", "/"}:
        help_ = f"`{option} *= VALUE` multiplies what the rules above give; nothing else changes it in place"
        return error("LR001", f"an option cannot be changed with `{f.found}`", f.span, help_)
    return None


def other_operator(f: Failure) -> Diagnostic | None:
    """`&&`, `**`, `=` for equality, `%` for the remainder."""
    found = f.found
    if found == "!" and f.expects_expression():
        return _rewritten(f, "not ")
    if found == "*" and f.last == "STAR" and f.expects_expression():
        span = f.token_span(-1).to(f.span)
        return error(
            "LR001", "a power is written with `^`", span, "write `^`", fix=replacing(span, "^", safe=True)
        )
    if not f.after_expression():
        return None
    if found == "=" and "COMPARE" in f.accepted:
        return _rewritten(f, "==")
    if found == "%":
        return _percent(f)
    if found in {"&&", "&", "||", "|", "<>", "**"}:
        return _rewritten(f, _OPERATORS[found])
    return None


def _percent(f: Failure) -> Diagnostic:
    follows = f.rest_of_line()[1:].lstrip()
    if f.last == "NUMBER" and not (follows[:1].isalnum() or follows[:1] == "("):
        return detached_percent(f.token_span(-1).to(f.span), f.token_span(-1).end, f.at)
    if (
        f.last == "NUMBER"
        and f.token_span(-1).end < f.at
        and re.match(r"(until|from|warmup|at|starting)\b", follows)
    ):
        return detached_percent(f.token_span(-1).to(f.span), f.token_span(-1).end, f.at)
    help_ = "the remainder of a division is `mod`; `5%` is a number, its sign touching it"
    return error("LR001", "`%` is no operator", f.span, help_)


def _rewritten(f: Failure, written: str) -> Diagnostic:
    fix = replacing(f.span, written, safe=True)
    shown = written.strip()
    return error("LR001", f"`{f.found}` is written `{shown}` here", f.span, f"write `{shown}`", fix=fix)


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


def unmatched_closing(f: Failure) -> Diagnostic | None:
    if f.found == ")" and f.last == "OPEN":
        return error("LR005", "nothing stands between these parentheses", f.token_span(-1).to(f.span),
                     "write a value, or remove them")  # fmt: skip
    if f.found not in {")", "]", "}"} or f.inside_parentheses():
        return None
    fix = Fix(f"remove `{f.found}`", (Edit(f.span, ""),))
    return error("LR001", f"this `{f.found}` closes nothing", f.span, "remove it", fix=fix)
