"""From text to syntax tree, one statement at a time.

The tokens of the whole file come from one lexer that knows what the parser can take next.
Each statement is parsed on its own, so a fault in one leaves the others alone, and all the
faults of a file are found in one run.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import lru_cache
from threading import Lock
from typing import Any, cast

from lark import Lark, Token, UnexpectedCharacters, UnexpectedToken

from layerlr_dsl.language import faults, recovery, tables, wholeness
from layerlr_dsl.language.builder import TreeBuilder
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.explain import explain
from layerlr_dsl.language.expression_builder import DEEPEST_NESTING, TooDeep
from layerlr_dsl.language.failure import failure_at
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.language.syntax import Comment, Damaged, File, Statement

_BLANK = re.compile(r"[ \t\r\f\uFEFF\n;]+|\\[ \t\r]*\n|(#[^\n]*)")
# A file with more faults than this is no rule file; reading on would take long and help nobody.
_MOST_FAULTS = 10_000
# What a `let` or `group`, perhaps misspelled, would have named.
_DEFINITION = re.compile(r"(?:let|group)[ \t]+([^\W\d]\w*)|\w+[ \t]+([^\W\d]\w*)[ \t]*:?=")

# One parser serves all: its callbacks build for the source at hand, so one text is read at a time.
_LOCK = Lock()


def parse(source: Source) -> tuple[File, tuple[Diagnostic, ...]]:
    """The syntax tree of `source` and its syntax errors (LR0xx), in the order of the text.

    Never raises, whatever the text: statements that cannot be read are left out of the tree.
    """
    with _LOCK, _collector_paused():
        reading = _Reading(source)
        reading.run()
    return _finished(reading)


def parse_keeping_tokens(source: Source) -> tuple[File, tuple[Diagnostic, ...], list[list[Token]]]:
    """As `parse`, with the tokens of each statement of the tree, in the order of the statements."""
    with _LOCK, _collector_paused():
        reading = _TokenKeeping(source)
        reading.run()
    return *_finished(reading), reading.kept


def _finished(reading: _Reading) -> tuple[File, tuple[Diagnostic, ...]]:
    source = reading.source
    comments = tuple(
        Comment(Span(source, at, at + len(text)), text) for at, text in sorted(reading.comments.items())
    )
    file = File(source, tuple(reading.statements), comments, tuple(reading.damaged))
    return file, tuple(_in_order(reading.diagnostics + wholeness.check(file)))


def parse_first(source: Source) -> tuple[File, tuple[Diagnostic, ...], int]:
    """The first statement of `source` alone, its syntax errors, and where the next one is looked for.

    For editors, which read again only what changed. What holds for a text as a whole (LR008 to LR010)
    is left unchecked. Never raises.
    """
    with _LOCK, _collector_paused():
        reading = _Reading(source)
        if reading._to_next_statement():
            reading._read_statement()
        comments = tuple(
            Comment(Span(source, at, at + len(text)), text) for at, text in sorted(reading.comments.items())
        )
        file = File(source, tuple(reading.statements), comments, tuple(reading.damaged))
        return file, tuple(_in_order(reading.diagnostics)), reading.place.char_pos


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No cycles are made here, and passes of the collector over the growing tree double the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _in_order(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """By place in the text; two findings of one kind at one place are one finding."""
    once = {(d.code, d.span.start if d.span else 0): d for d in reversed(diagnostics)}
    return [once[key] for key in sorted(once, key=lambda key: (key[1], key[0]))]


@lru_cache(maxsize=1)
def _machine() -> tuple[Lark, TreeBuilder, dict[int, str]]:
    builder = TreeBuilder()
    comments: dict[int, str] = {}

    def on_comment(token: Token) -> Token:
        comments[cast(int, token.start_pos)] = token.rstrip("\r")
        return token

    return tables.load(builder, on_comment), builder, comments


@lru_cache(maxsize=512)
def _accepted_after(types: tuple[str, ...]) -> frozenset[str]:
    """The terminals that may follow tokens of these types, exactly.

    Asked of a parser of its own: the one that failed may have reduced too much already, since
    tables merge states whose followers differ.
    """
    session: Any = _machine()[0].parse_interactive("")
    silent = copy(session.parser_state.parse_conf)
    silent.callbacks = {}
    session.parser_state.parse_conf = silent
    for kind in types:
        session.feed_token(Token(kind, ""))
    return frozenset(session.accepts())


class _Reading:
    """One pass over one text."""

    def __init__(self, source: Source) -> None:
        parser, self.builder, shared = _machine()
        shared.clear()
        self.comments = shared
        self.source = source
        self.text = source.text
        self.builder.begin(source)
        session: Any = parser.parse_interactive(self.text)
        self.state = session.parser_state
        self.lexer = session.lexer_thread
        self.place = session.lexer_thread.state.line_ctr
        self.first_state = self.state.state_stack[0]
        self.statements: list[Statement] = []
        self.diagnostics: list[Diagnostic] = []
        self.damaged: list[Damaged] = []
        self.indented_until = -1

    def run(self) -> None:
        while self._to_next_statement():
            if len(self.diagnostics) >= _MOST_FAULTS:
                here = Span(self.source, self.place.char_pos, self.place.char_pos + 1)
                self.diagnostics.append(faults.too_many(here, _MOST_FAULTS))
                break
            self._read_statement()
        self.comments = dict(self.comments)
        self.builder.begin(Source("", ""))

    def _to_next_statement(self) -> bool:
        """Go past blanks, comments and empty statements; False at the end of the text."""
        text, at = self.text, self.place.char_pos
        while blank := _BLANK.match(text, at):
            at = blank.end()
            if blank[1]:
                self.comments[blank.start(1)] = blank[1].rstrip("\r")
        self.place.char_pos = at
        return bool(at < len(text))

    def _read_statement(self) -> None:
        self.builder.begin_statement()
        self.state.state_stack[:] = [self.first_state]
        self.state.value_stack.clear()
        start = self.place.char_pos
        tokens: list[Token] = []
        try:
            statement = self._parse_statement(tokens)
        except UnexpectedToken as problem:
            ended = problem.token.type == "$END"
            at = (_end(tokens[-1]) if tokens else start) if ended else _begin(problem.token)
            self._recover(start, tokens, at)
        except UnexpectedCharacters as problem:
            self._recover(start, tokens, problem.pos_in_stream or start)
        except TooDeep as problem:
            self._give_up(start, tokens, problem.token)
        else:
            self.builder.finish_statement()
            if self.builder.faults:
                self.diagnostics += self.builder.faults
                self._note_damage(start, statement.span.end)
            else:
                self._keep(statement, tokens)

    def _keep(self, statement: Statement, tokens: list[Token]) -> None:
        self.statements.append(statement)

    def _parse_statement(self, tokens: list[Token]) -> Statement:
        feed = self.state.feed_token
        note = tokens.append
        for token in self.lexer.lex(self.state):
            if token.type == "END":
                if self._goes_on(token):
                    continue
                break
            feed(token)
            note(token)
        return cast(Statement, feed(Token("$END", ""), True))

    def _goes_on(self, end: Token) -> bool:
        """Whether the statement goes on behind this newline."""
        if end == ";":
            return False
        last = self.state.value_stack[-1]
        kind = last.type if type(last) is Token else ""
        if len(self.builder.opened) + (kind == "OPEN") - (kind == "CLOSE") > 0:
            return True
        return kind == "COMMA" and self._is_indented_behind(_end(end))

    def _is_indented_behind(self, newline: int) -> bool:
        """Whether the next line with more than a comment is indented; each run of lines is looked at once."""
        if newline > self.indented_until and (
            line := recovery.NEXT_LINE_IS_INDENTED.match(self.text, newline)
        ):
            self.indented_until = line.end()
        return newline <= self.indented_until

    def _recover(self, start: int, tokens: list[Token], at: int) -> None:
        """Explain the fault at `at` and go to the end of the statement."""
        outermost, innermost = _open_parentheses(tokens)
        # Behind a selector, `/` begins a regular expression and divides nothing.
        previous = str(tokens[-1]) if tokens and tokens[-1].type != "PATTERN" else ""
        ending = recovery.end_of_statement(self.text, start, at, outermost, previous)
        self.diagnostics += [d for d in self.builder.faults if d.span and d.span.start < ending.end]
        if ending.unclosed and innermost is not None:
            span = Span(self.source, innermost, innermost + 1)
            self.diagnostics.append(faults.unclosed_parenthesis(span))
        else:
            self.diagnostics.append(explain(failure_at(self.source, start, at, tokens, _accepted_after)))
        self._leave(start, ending)

    def _give_up(self, start: int, tokens: list[Token], token: Token) -> None:
        """A statement nested too deeply ends where its parentheses do."""
        span = Span(self.source, _begin(token), _end(token))
        self.diagnostics.append(faults.nested_too_deeply(span, DEEPEST_NESTING))
        outermost, _ = _open_parentheses(tokens)
        self._leave(start, recovery.end_of_statement(self.text, start, span.start, outermost, str(token)))

    def _leave(self, start: int, ending: recovery.Ending) -> None:
        self.comments.update(ending.comments)
        self.place.char_pos = max(ending.end, start + 1)
        self._note_damage(start, self.place.char_pos)

    def _note_damage(self, start: int, end: int) -> None:
        named = _DEFINITION.match(self.text, start)
        self.damaged.append(Damaged(Span(self.source, start, end), (named[1] or named[2]) if named else None))


class _TokenKeeping(_Reading):
    """A reading for those who lay a text out anew."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.kept: list[list[Token]] = []

    def _keep(self, statement: Statement, tokens: list[Token]) -> None:
        super()._keep(statement, tokens)
        self.kept.append(tokens)


def _open_parentheses(tokens: list[Token]) -> tuple[int | None, int | None]:
    """Where the outermost and the innermost parenthesis open at the last token begin."""
    opened: list[int] = []
    for token in tokens:
        if token.type == "OPEN":
            opened.append(_begin(token))
        elif token.type == "CLOSE" and opened:
            opened.pop()
    return (opened[0], opened[-1]) if opened else (None, None)


def _begin(token: Token) -> int:
    return cast(int, token.start_pos)


def _end(token: Token) -> int:
    return cast(int, token.end_pos)
