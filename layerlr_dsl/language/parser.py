"""From text to syntax tree, one statement at a time.

The tokens of the whole file come from one lexer that knows what the parser can take next.
Each statement is parsed on its own, so a fault in one leaves the others alone, and all the
faults of a file are found in one run.
"""

from __future__ import annotations

import re
from functools import lru_cache
from threading import Lock
from typing import Any, cast

from lark import Lark, Token, UnexpectedInput

from layerlr_dsl.language import faults, tables
from layerlr_dsl.language.builder import DEEPEST_NESTING, TooDeep, TreeBuilder
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.language.syntax import Comment, File, Statement

_BLANK = re.compile(r"(?:[ \t\r\f\uFEFF\n;]|\\[ \t\r]*\n)*")
_NEXT_LINE_IS_INDENTED = re.compile(r"(?:[ \t\r]*(?:#[^\n]*)?\n)*[ \t]+[^\s#]")
_COMMENT = re.compile(r"#[^\n]*")

# One parser serves all: its callbacks build for the source at hand, so one text is read at a time.
_LOCK = Lock()


def parse(source: Source) -> tuple[File, tuple[Diagnostic, ...]]:
    """The syntax tree of `source` and its syntax errors (LR0xx), in the order of the text.

    Never raises, whatever the text: statements that cannot be read are left out of the tree.
    """
    with _LOCK:
        reading = _Reading(source)
        reading.run()
    statements = tuple(reading.statements)
    comments = tuple(
        Comment(Span(source, at, at + len(text)), text) for at, text in sorted(reading.comments.items())
    )
    found = reading.diagnostics
    found.sort(key=lambda d: d.span.start if d.span else 0)
    return File(source, statements, comments), tuple(found)


@lru_cache(maxsize=1)
def _machine() -> tuple[Lark, TreeBuilder, dict[int, str]]:
    builder = TreeBuilder()
    comments: dict[int, str] = {}

    def on_comment(token: Token) -> Token:
        comments[cast(int, token.start_pos)] = token.rstrip("\r")
        return token

    return tables.load(builder, on_comment), builder, comments


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
        self.session = session
        self.state = session.parser_state
        self.lexer = session.lexer_thread
        self.place = session.lexer_thread.state.line_ctr
        self.first_state = self.state.state_stack[0]
        self.statements: list[Statement] = []
        self.diagnostics: list[Diagnostic] = []

    def run(self) -> None:
        while self._to_next_statement():
            self._read_statement()
        self.comments = dict(self.comments)

    def _to_next_statement(self) -> bool:
        """Go past blanks, comments and empty statements; False at the end of the text."""
        at = _BLANK.match(self.text, self.place.char_pos).end()
        while comment := _COMMENT.match(self.text, at):
            self.comments[at] = comment[0].rstrip("\r")
            at = _BLANK.match(self.text, comment.end()).end()
        self.place.char_pos = at
        return at < len(self.text)

    def _read_statement(self) -> None:
        self.builder.begin_statement()
        self.state.state_stack[:] = [self.first_state]
        self.state.value_stack.clear()
        start = self.place.char_pos
        tokens: list[Token] = []
        try:
            statement = self._parse_statement(tokens)
        except UnexpectedInput as problem:
            self._recover(start, tokens, problem)
        except TooDeep as problem:
            span = Span(self.source, problem.token.start_pos, problem.token.end_pos)
            self._skip(start, span.end)
            self.diagnostics.append(faults.nested_too_deeply(span, DEEPEST_NESTING))
        else:
            self.builder.finish_statement()
            if self.builder.faults:
                self.diagnostics += self.builder.faults
            else:
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
        return kind == "COMMA" and _NEXT_LINE_IS_INDENTED.match(self.text, end.end_pos) is not None

    def _recover(self, start: int, tokens: list[Token], problem: UnexpectedInput) -> None:
        at = problem.pos_in_stream
        token = getattr(problem, "token", None)
        if token is not None and token.type == "$END":
            at = tokens[-1].end_pos if tokens else start
        self._skip(start, at)
        self.diagnostics.append(
            Diagnostic(
                "LR001", "error", f"unexpected {self.text[at : at + 10]!r}", Span(self.source, at, at + 1)
            )
        )

    def _skip(self, start: int, at: int) -> None:
        end = self.text.find("\n", at)
        self.place.char_pos = end if end >= 0 else len(self.text)
