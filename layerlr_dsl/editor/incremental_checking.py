"""What the language alone has to say of a document, worked out only for what changed.

A statement is checked in its surroundings: lets, groups, optimizers and includes. While those stay as
they are, a change of one rule costs the checking of one rule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from layerlr_dsl.api import Rules
from layerlr_dsl.editor.including import Includes
from layerlr_dsl.editor.incremental_parsing import Fragment, Piece, Pieces
from layerlr_dsl.editor.other_optimizers import ForeignOptimizer, refuse_foreign
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language import wholeness
from layerlr_dsl.language.checked import CheckedRules, CheckedSelector, PatternItem
from layerlr_dsl.language.checker import check_expanded
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.includes import Expansion
from layerlr_dsl.language.source import Source, Span

_SURROUNDINGS = (
    s.LetStatement,
    s.GroupStatement,
    s.OptimizerStatement,
    s.ScheduleStatement,
    s.EpochsStatement,
    s.StepsStatement,
    s.StepsPerEpochStatement,
    s.StageStatement,
    s.AfterStagesStatement,
    s.ModelStatement,
    s.IncludeStatement,
)
_BATCH = 32
"""Rules checked at once: few enough to take a couple of milliseconds."""


class Checker:
    """Keeps the findings of a document's statements (`Piece.checked`) up to date."""

    def __init__(self, pieces: Pieces, root: Path | None) -> None:
        self.pieces = pieces
        self.includes = Includes(pieces.path, root)
        self.rules: CheckedRules | None = None
        """The surroundings as last checked, with those rules that were checked along with them."""
        self._main = Source(pieces.name, "", pieces.path)
        self._surroundings: list[Piece] = []
        self._unsettled = True

    def notice(self) -> None:
        """Take in what was read: every rule is checked again if its surroundings changed."""
        surroundings = [piece for piece in self.pieces.pieces if _surrounds(piece)]
        changed = self.includes.refresh(surroundings) or surroundings != self._surroundings
        self._surroundings = surroundings
        if changed or any(piece.pending for piece in surroundings):
            self._unsettled = True
            for piece in self.pieces.pieces:
                piece.pending = piece.statement is not None

    def check(self, seconds: float = float("inf")) -> bool:
        """Check on for so long; True once everything is checked. Raises ForeignOptimizer."""
        until = perf_counter() + seconds
        pending = [p for p in self.pieces.pieces if p.pending and not _surrounds(p)]
        while pending or self._unsettled:
            self._check(pending[:_BATCH])
            del pending[:_BATCH]
            if perf_counter() >= until:
                break
        return not pending

    def _check(self, batch: list[Piece]) -> None:
        chosen = sorted([*self._surroundings, *batch], key=lambda piece: piece.start)
        try:
            refuse_foreign(self._surroundings, self.includes.statements)
        except ForeignOptimizer:
            named = [
                p for p in self._surroundings if isinstance(p.statement, (s.LetStatement, s.GroupStatement))
            ]
            self.rules = check_expanded(self._main, self._expansion(named))
            raise
        rules = Rules(check_expanded(self._main, self._expansion(chosen)))
        found: dict[int, list[Diagnostic]] = defaultdict(list)
        for diagnostic in rules.diagnostics:
            found[self._home(diagnostic)].append(diagnostic)
        items = _items(rules.checked)
        for piece in chosen:
            piece.checked = tuple(found[id(piece.fragment)])
            piece.items = tuple(items[id(piece.fragment)])
            piece.pending = False
        self.rules = rules.checked
        self._unsettled = False

    def _expansion(self, chosen: list[Piece]) -> Expansion:
        expansion = Expansion(None, sources=[self._main])
        for piece in chosen:
            if isinstance(piece.statement, s.IncludeStatement):
                expansion.statements += [(x, True) for x in self.includes.statements[id(piece)]]
                expansion.diagnostics.add(*self.includes.diagnostics[id(piece)])
                expansion.lost |= self.includes.lost[id(piece)]
            elif piece.statement is not None:
                expansion.statements.append((piece.statement, False))
            elif piece.damage is not None and piece.damage.defines is not None:
                expansion.lost[piece.damage.defines] = piece.damage.span
        return expansion

    def _home(self, diagnostic: Diagnostic) -> int:
        """The id of the fragment that a finding belongs to; for an included file, of its include."""
        assert diagnostic.span is not None
        source = diagnostic.span.source
        if isinstance(source, Fragment):
            return id(source)
        key = self.includes.piece_of(source)
        return next((id(p.fragment) for p in self._surroundings if id(p) == key), 0)


def _surrounds(piece: Piece) -> bool:
    """Whether other statements are checked by what this one says, or would have said."""
    statement = piece.statement
    if piece.damage is not None:
        return piece.damage.defines is not None
    if isinstance(statement, s.RuleStatement):
        return any(setting.option == "optimizer" for setting in statement.settings)
    return isinstance(statement, _SURROUNDINGS)


def _items(rules: CheckedRules) -> dict[int, list[PatternItem]]:
    items: dict[int, list[PatternItem]] = defaultdict(list)
    for selector in _selectors(rules):
        for item in (*selector.include, *selector.exclude):
            if isinstance(item, PatternItem) and isinstance(item.span.source, Fragment):
                items[id(item.span.source)].append(item)
    return items


def _selectors(rules: CheckedRules) -> Iterator[CheckedSelector]:
    yield from rules.groups.values()
    yield from (selector for clause in rules.clauses for selector in clause.selectors)
    yield from (e.selector for e in rules.expectations if e.selector is not None)
    yield from (one.selector for one in rules.left_out)


def as_a_whole(pieces: Pieces) -> list[Diagnostic]:
    """LR008 to LR010: what holds for the text as a whole."""
    source = Source(pieces.name, pieces.text, pieces.path)
    own = [p for p in pieces.pieces if isinstance(p.statement, _ONCE)]
    # A heading that cannot be read is one still.
    damaged = [p for p in pieces.pieces[1:] if p.damage is not None]
    placed = [_placed(piece, source) for piece in own]
    others = tuple(s.Damaged(Span(source, p.start, p.end)) for p in (*pieces.pieces[:1], *damaged))
    return wholeness.check(s.File(source, tuple(placed), (), others))


_ONCE = (
    s.VersionStatement,
    s.ModelStatement,
    s.EpochsStatement,
    s.StepsStatement,
    s.StepsPerEpochStatement,
    s.OptimizerStatement,
    s.ScheduleStatement,
    s.StageStatement,
    s.AfterStagesStatement,
)


def _placed(piece: Piece, source: Source) -> s.Statement:
    """The statement with its outer spans moved to where it stands in the document."""

    def moved(span: Span) -> Span:
        return Span(source, span.start + piece.fragment.start, span.end + piece.fragment.start)

    statement = piece.statement
    assert statement is not None
    if isinstance(statement, s.VersionStatement):
        number = replace(statement.number, span=moved(statement.number.span))
        return s.VersionStatement(moved(statement.span), number)
    return replace(statement, span=moved(statement.span))
