"""One canonical layout of rule files: spaces, lines, aligned arrows; comments stay where they were.

Nothing but layout changes: names, numbers and texts stay as typed, and the result is parsed and
compared with what was read before anyone sees it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import groupby

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import RuleError, error, has_errors
from layerlr_dsl.language.layout import WIDEST, Layout
from layerlr_dsl.language.parser import parse, parse_keeping_tokens
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.language.tokens import Token
from layerlr_dsl.language.trees import same

# Arrows line up behind selectors up to this long; one long selector must not push all of them away.
_WIDEST_ALIGNED = 40


@dataclass(slots=True)
class _Item:
    """What stands between two line ends of the text: statements, a comment behind them, or either."""

    layouts: list[Layout] = field(default_factory=list)
    comment: str = ""
    after_blank: bool = False
    # Settled by the block that a rule stands in.
    column: int = 0


def format_text(source: Source) -> str:
    """The text of `source` in the one canonical layout; formatting it again changes nothing.

    Raises RuleError where the text has syntax errors, whose statements nobody can lay out.
    """
    file, diagnostics, tokens = parse_keeping_tokens(source)
    if has_errors(diagnostics):
        raise RuleError(diagnostics)
    items = _items(file, tokens)
    _set_headings_apart(items)
    _align(items)
    written = _written(items)
    _refuse_change(file, Source(source.name, written))
    return written


def _refuse_change(before: s.File, source: Source) -> None:
    after, diagnostics = parse(source)
    texts = [comment.text.rstrip() for comment in before.comments]
    if (
        has_errors(diagnostics)
        or not same(before.statements, after.statements)
        or texts != [comment.text for comment in after.comments]
    ):
        whole = Span(before.source, 0, len(before.source.text))
        message = "laying this text out anew would change its meaning, so it is left as it is"
        raise RuleError([error("LR001", message, whole, "this is a fault of layerlr: please report it")])


# ---------------------------------------------------------------- lines


def _items(file: s.File, tokens: list[list[Token]]) -> list[_Item]:
    """The text by lines: statements that share one are separated, unless a comment speaks of them all."""
    text = file.source.text
    items: list[_Item] = []
    end = 0  # of what was last seen
    for start, stop, part in _parts(file, tokens):
        gap = text[end:start]
        newlines = len(re.sub(r"\\[ \t\r]*\n", "", gap).split("\n")) - 1 if end else 0
        if isinstance(part, Layout):
            if newlines or not items or items[-1].comment:
                items.append(_Item([part], after_blank=newlines > 1))
            else:
                items[-1].layouts.append(part)
        elif newlines or not items:
            items.append(_Item(comment=part, after_blank=newlines > 1))
        else:
            items[-1].comment = part
        end = stop
    return [single for item in items for single in _separated(item)]


def _parts(file: s.File, tokens: list[list[Token]]) -> list[tuple[int, int, Layout | str]]:
    """Statements, and the comments between them, in the order of the text."""
    parts: list[tuple[int, int, Layout | str]] = []
    inside: list[tuple[int, int]] = []
    for statement, its_tokens in zip(file.statements, tokens, strict=True):
        start, stop = its_tokens[0].start, its_tokens[-1].end
        parts.append((start, stop, Layout(file.source.text, statement, its_tokens)))
        inside.append((start, stop))
    for comment in file.comments:
        at = comment.span.start
        before = bisect_right(inside, (at, at)) - 1
        if before < 0 or inside[before][1] <= at:
            parts.append((at, comment.span.end, comment.text.rstrip()))
    return sorted(parts, key=lambda part: part[0])


def _separated(item: _Item) -> list[_Item]:
    if len(item.layouts) < 2 or item.comment:
        return [item]
    first, *others = item.layouts
    return [
        _Item([first], after_blank=item.after_blank),
        *(_Item([o]) for o in others),
    ]


def _set_headings_apart(items: list[_Item]) -> None:
    """A blank line stands above each heading, and above the comments that introduce it."""
    for index, item in enumerate(items):
        if item.layouts and item.layouts[0].is_heading:
            top = index
            while top and not items[top].after_blank and not items[top - 1].layouts:
                top -= 1
            items[top].after_blank = top > 0


# ---------------------------------------------------------------- arrows


def _align(items: list[_Item]) -> None:
    """Line up the arrows of rules that follow each other line by line."""
    block = 0
    keys = []
    for item in items:
        alone = item.after_blank or not _can_align(item)
        block += alone
        keys.append(block)
        block += not _can_align(item)
    for _, members in groupby(zip(keys, items, strict=True), key=lambda pair: pair[0]):
        rules = [item for _, item in members if _can_align(item)]
        heads = [len(item.layouts[0].head() or "") for item in rules]
        column = max((h for h in heads if h <= _WIDEST_ALIGNED), default=0)
        for item, head in zip(rules, heads, strict=True):
            fits = column + 1 + len(item.layouts[0].tail()) <= WIDEST
            item.column = column if head <= column and fits else 0


def _can_align(item: _Item) -> bool:
    if len(item.layouts) != 1:
        return False
    layout = item.layouts[0]
    return layout.head() is not None and not layout.has_comments and len(layout.one_line()) <= WIDEST


# ---------------------------------------------------------------- text


def _written(items: list[_Item]) -> str:
    lines = [_lines(item) for item in items]
    _append_comments(items, lines)
    blanks = ["\n" if item.after_blank else "" for item in items]
    return "".join(
        blank + "".join(line + "\n" for line in own) for blank, own in zip(blanks, lines, strict=True)
    )


def _append_comments(items: list[_Item], lines: list[list[str]]) -> None:
    """Put trailing comments behind their lines, in one column where they follow each other."""
    run = 0
    keys = []
    for item, own in zip(items, lines, strict=True):
        trailing = bool(item.comment and item.layouts and len(own) == 1)
        run += item.after_blank or not trailing
        keys.append(run)
        run += not trailing
    for _, members in groupby(range(len(items)), key=keys.__getitem__):
        run_of = [n for n in members if items[n].comment]
        column = max((len(lines[n][-1]) for n in run_of if items[n].layouts), default=0)
        for n in run_of:
            before = lines[n][-1].ljust(column) + "  " if items[n].layouts else ""
            lines[n][-1] = before + items[n].comment


def _lines(item: _Item) -> list[str]:
    if not item.layouts:
        return [""]
    if len(item.layouts) > 1:
        return "; ".join("\n".join(_statement_lines(layout)) for layout in item.layouts).split("\n")
    if item.column:
        layout = item.layouts[0]
        return [(layout.head() or "").ljust(item.column) + " " + layout.tail()]
    return _statement_lines(item.layouts[0])


def _statement_lines(layout: Layout) -> list[str]:
    if layout.has_comments:
        return layout.as_broken()
    one = layout.one_line()
    return [one] if len(one) <= WIDEST else layout.wrapped()
