"""The statements of a document in a few words each, and what their selectors cover."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from layerlr_dsl.editor.incremental_parsing import Piece
from layerlr_dsl.editor.session import Covered, Session
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.words import short

_FREEZING = (
    s.FreezeStatement,
    s.FreezeStatisticsStatement,
    s.UnfreezeStatement,
    s.UnfreezeSequenceStatement,
)


@record
class Symbol:
    """A statement: its name, what it does, and the ranges of the whole and of the name."""

    name: str
    detail: str
    kind: str
    start: int
    end: int
    name_start: int
    name_end: int
    children: tuple[Symbol, ...] = ()
    """What stands under a heading."""


@record
class Hint:
    """A remark behind a statement: ` · 15 tensors, 8.4 M`."""

    offset: int
    text: str


def symbols(session: Session) -> Iterator[Symbol]:
    """Every statement that names or selects something; what a heading holds for is under it."""
    heading: Symbol | None = None
    under: list[Symbol] = []
    for piece, statement in session.pieces.statements():
        if isinstance(statement, s.Heading):
            yield from _closed(heading, under)
            heading, under = _heading(piece, statement), []
            continue
        for found in _symbols(piece, statement):
            if heading is None:
                yield found
            else:
                under.append(found)
    yield from _closed(heading, under)


def _closed(heading: Symbol | None, under: list[Symbol]) -> Iterator[Symbol]:
    if heading is not None:
        end = under[-1].end if under else heading.end
        yield replace(heading, end=end, children=tuple(under))


def _heading(piece: Piece, statement: s.Heading) -> Symbol:
    if isinstance(statement, s.AfterStagesStatement):
        return _symbol(piece, statement, "after stages", statement.span, "stage", statement.span)
    span, name = statement.span, statement.name_span
    rest = Span(span.source, name.end, span.end)
    return _symbol(piece, statement, f"stage {statement.name}", rest, "stage", name)


def _symbols(piece: Piece, statement: s.Statement) -> Iterator[Symbol]:
    """The symbol of one statement, if it has one."""
    if isinstance(statement, s.LetStatement):
        yield _symbol(piece, statement, statement.name, statement.value.span, "let", statement.name_span)
    elif isinstance(statement, s.GroupStatement):
        yield _symbol(
            piece, statement, f"@{statement.name}", statement.selector.span, "group", statement.name_span
        )
    elif isinstance(statement, (s.OptimizerStatement, s.ScheduleStatement)):
        yield _chosen(piece, statement)
    elif isinstance(statement, s.ModelStatement):
        yield _symbol(piece, statement, "model", statement.spec.span, "model", statement.spec.span)
    elif isinstance(statement, s.IncludeStatement):
        yield _symbol(piece, statement, "include", statement.path.span, "include", statement.path.span)
    elif isinstance(statement, s.RuleStatement):
        rest = Span(statement.span.source, statement.settings[0].span.start, statement.span.end)
        selector = statement.selector.span
        yield _symbol(piece, statement, _short(selector), rest, "rule", selector)
    elif isinstance(statement, _FREEZING):
        yield _symbol(piece, statement, _short(statement.span), statement.span, "freeze", statement.span)


def _chosen(piece: Piece, statement: s.OptimizerStatement | s.ScheduleStatement) -> Symbol:
    """An optimizer by its own name, if it has one; a schedule by the first of its sequence."""
    if isinstance(statement, s.ScheduleStatement):
        word, place, detail = (
            "schedule",
            statement.sequence.parts[0].factory.name_span,
            statement.sequence.span,
        )
    else:
        factory = statement.factory
        word, place, detail = "optimizer", statement.name_span or factory.name_span, factory.span
    return _symbol(piece, statement, f"{word} {place.text}", detail, word, place)


def hints(session: Session, start: int, end: int) -> Iterator[Hint]:
    """What the selectors of rules, groups and freezes between two offsets cover, behind each statement.

    In `unfreeze A then B`, behind each selector.
    """
    for covered in session.covered:
        place = covered.place
        if not covered.whole or place.gone or place.piece is None or not start <= place.start <= end:
            continue
        statement = place.piece.statement
        if statement is None or isinstance(statement, (s.ExpectOption, s.ExpectState, s.ExpectCount)):
            continue
        apart = isinstance(statement, s.UnfreezeSequenceStatement)
        at = place.end if apart else place.piece.fragment.start + statement.span.end
        yield Hint(at, f"\N{MIDDLE DOT} {_size(covered)}")


def _size(covered: Covered) -> str:
    if not covered.tensors:
        return "nothing"
    return f"{plural(covered.tensors, 'tensor')}, {short(covered.numel)}"


def _symbol(piece: Piece, statement: s.Statement, name: str, detail: Span, kind: str, span: Span) -> Symbol:
    shift = piece.fragment.start
    return Symbol(
        name,
        _short(detail),
        kind,
        statement.span.start + shift,
        statement.span.end + shift,
        span.start + shift,
        span.end + shift,
    )


def _short(span: Span) -> str:
    text = span.excerpt
    return text if len(text) <= 80 else text[:77] + "..."
