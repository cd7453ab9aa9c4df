"""From text to syntax tree, one statement at a time.

Each statement is parsed on its own, so a fault in one leaves the others alone, and all the
faults of a file are found in one run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

from layerlr_dsl.language import faults, recovery, wholeness
from layerlr_dsl.language.builder import TreeBuilder
from layerlr_dsl.language.diagnostics import Diagnostic, Findings
from layerlr_dsl.language.expression_builder import DEEPEST_NESTING, TooDeep
from layerlr_dsl.language.machine import Run, Unreadable, accepted_after, machine
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.language.syntax import Comment, Damaged, File, Statement
from layerlr_dsl.language.tokens import Token
from layerlr_dsl.tools.collector import collector_paused

_BLANK = re.compile(r"[ \t\r\f\uFEFF\n;]+|\\[ \t\r]*\n|(#[^\n]*)")
_NOTHING = re.compile(r"(?:[ \t\r\f\uFEFF]|\\[ \t\r]*\n)*(?:#[^\n]*)?")
_BLANKS_AND_BREAKS = re.compile(r"[ \t\r\f\uFEFF\n]*(?=[^ \t\r\f\uFEFF\n;#\\])")
# A file with more faults than this is no rule file; reading on would take long and help nobody.
_MOST_FAULTS = 10_000
# Bounds on the time and memory that a text can cost: the largest statement within takes a second or two.
_MOST_TOKENS = 200_000
_MOST_STATEMENTS = 200_000
# Behind these a statement goes on in the next line, if that is indented.
_JOINING = ("COMMA", "THEN")
# What a `let` or `group`, perhaps misspelled, would have named.
_DEFINITION = re.compile(r"(?:let|group)[ \t]+([^\W\d]\w*)|\w+[ \t]+([^\W\d]\w*)[ \t]*:?=")


def parse(source: Source) -> tuple[File, tuple[Diagnostic, ...]]:
    """The syntax tree of `source` and its syntax errors (LR0xx), in the order of the text.

    Never raises, whatever the text: statements that cannot be read are left out of the tree.
    """
    with collector_paused():
        reading = _Reading(source)
        reading.run()
        return _finished(reading)


def parse_keeping_tokens(source: Source) -> tuple[File, tuple[Diagnostic, ...], list[list[Token]]]:
    """As `parse`, with the tokens of each statement of the tree, in the order of the statements."""
    with collector_paused():
        reading = _TokenKeeping(source)
        reading.run()
        return *_finished(reading), reading.kept


def parse_first(source: Source) -> tuple[File, tuple[Diagnostic, ...], int]:
    """The first statement of `source` alone, its syntax errors, and where the next one is looked for.

    For editors, which read again only what changed. What holds for a text as a whole (LR008 to LR010)
    is left unchecked. Never raises.
    """
    with collector_paused():
        reading = _Reading(source)
        reading.run_once()
    return reading.file(), tuple(_in_order(reading.diagnostics)), reading.at


def _finished(reading: _Reading) -> tuple[File, tuple[Diagnostic, ...]]:
    file = reading.file()
    return file, tuple(_in_order([*reading.diagnostics, *wholeness.check(file)]))


def _in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By place in the text; two findings of one kind at one place are one finding."""
    once = {(d.code, d.span.start if d.span else 0): d for d in reversed([*diagnostics])}
    return [once[key] for key in sorted(once, key=lambda key: (key[1], key[0]))]


class _TooLong(Exception):
    """A statement of more tokens than anyone writes."""


class _Reading:
    """One pass over one text."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.at = 0
        self.machine = machine()
        self.builder = TreeBuilder(source)
        self.rules = self.machine.callbacks(self.builder)
        self.comments: dict[int, str] = {}
        self.statements: list[Statement] = []
        self.diagnostics = Findings()
        self.damaged: list[Damaged] = []
        self.indented_until = -1

    def run(self) -> None:
        while self._to_next_statement():
            if len(self.diagnostics) >= _MOST_FAULTS:
                here = Span(self.source, self.at, self.at + 1)
                self.diagnostics.add(faults.too_many(here, _MOST_FAULTS))
                break
            if len(self.statements) >= _MOST_STATEMENTS:
                here = Span(self.source, self.at, self.at + 1)
                self.diagnostics.add(faults.too_many_statements(here, _MOST_STATEMENTS))
                break
            self._read_statement()

    def run_once(self) -> None:
        if self._to_next_statement():
            self._read_statement()

    def file(self) -> File:
        """What was read so far."""
        found = sorted(self.comments.items())
        comments = tuple(Comment(Span(self.source, at, at + len(text)), text) for at, text in found)
        return File(self.source, tuple(self.statements), comments, tuple(self.damaged))

    def _to_next_statement(self) -> bool:
        """Go past blanks, comments and empty statements; False at the end of the text."""
        text, at = self.text, self.at
        while blank := _BLANK.match(text, at):
            at = blank.end()
            if blank[1]:
                self.comments[blank.start(1)] = blank[1].rstrip("\r")
        self.at = at
        return at < len(text)

    def _read_statement(self) -> None:
        self.builder.begin_statement()
        start = self.at
        tokens: list[Token] = []
        try:
            statement = self._parse_statement(tokens)
        except Unreadable as problem:
            self._recover(start, tokens, problem.at)
        except TooDeep as problem:
            token = problem.token
            self._give_up(start, tokens, token, faults.nested_too_deeply(self._span(token), DEEPEST_NESTING))
        except _TooLong:
            token = tokens[-1]
            self._give_up(start, tokens, token, faults.too_long(self._span(token), _MOST_TOKENS))
        else:
            self.builder.finish_statement()
            if self.builder.faults:
                self.diagnostics.add(*self.builder.faults)
                self._note_damage(start, statement.span.end)
            else:
                self._keep(statement, tokens)

    def _keep(self, statement: Statement, tokens: list[Token]) -> None:
        self.statements.append(statement)

    def _parse_statement(self, tokens: list[Token]) -> Statement:
        run = Run(self.machine, self.rules)
        text = self.text
        while True:
            token = run.next_token(text, self.at)
            kind = token.kind
            self.at = token.end
            if kind == "COMMENT":
                self.comments[token.start] = token.text.rstrip("\r")
            elif kind == "EOF" or (kind == "END" and not self._goes_on(token, run.values[-1])):
                return cast(Statement, run.finish(tokens[-1].end))
            elif kind != "END":
                run.feed(token)
                tokens.append(token)
                if len(tokens) > _MOST_TOKENS:
                    raise _TooLong

    def _goes_on(self, end: Token, last: object) -> bool:
        """Whether the statement goes on behind this newline; `last` is what was read last."""
        if end.text == ";":
            return False
        kind = last.kind if type(last) is Token else ""
        if len(self.builder.opened) + (kind == "OPEN") - (kind == "CLOSE") > 0:
            return True
        return kind in _JOINING and self._is_indented_behind(end.end)

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
        previous = tokens[-1].text if tokens and tokens[-1].kind != "PATTERN" else ""
        ending = recovery.end_of_statement(self.text, start, at, outermost, previous)
        self.diagnostics.add(*self._faults_before(ending.end))
        if ending.unclosed and innermost is not None:
            span = Span(self.source, innermost, innermost + 1)
            self.diagnostics.add(faults.unclosed_parenthesis(span))
        else:
            self.diagnostics.add(_explained(self.source, start, at, tokens))
        self._leave(start, ending)
        if _list_dangles(self.text, tokens, self.at):
            self._pass_rest_of_list()

    def _pass_rest_of_list(self) -> None:
        """Behind a comma or a `then` that dangles, go past a line that can only be the rest of its list."""
        joint = self.at
        blank = _BLANKS_AND_BREAKS.match(self.text, joint)
        if blank is None:
            return
        start = self.at = blank.end()
        tokens: list[Token] = []
        self.builder.begin_statement()
        try:
            self._parse_statement(tokens)
        except Unreadable as problem:
            if [token.kind for token in tokens] == ["PATTERN"]:
                fault = _explained(self.source, start, problem.at, tokens)
                if fault.code != "LR004":
                    ending = recovery.end_of_statement(self.text, start, problem.at, None)
                    self.diagnostics.add(*self._faults_before(ending.end))
                    self._leave(start, ending)
                    return
        except (TooDeep, _TooLong):
            pass
        self.at = joint

    def _faults_before(self, end: int) -> list[Diagnostic]:
        """What the builder found wrong in the part of a statement that is left out."""
        return [d for d in self.builder.faults if d.span and d.span.start < end]

    def _give_up(self, start: int, tokens: list[Token], token: Token, fault: Diagnostic) -> None:
        """A statement nested too deeply, or too long, ends where its parentheses do."""
        self.diagnostics.add(fault)
        outermost, _ = _open_parentheses(tokens)
        self._leave(start, recovery.end_of_statement(self.text, start, token.start, outermost, token.text))

    def _span(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    def _leave(self, start: int, ending: recovery.Ending) -> None:
        self.comments.update(ending.comments)
        self.at = max(ending.end, start + 1)
        self._note_damage(start, self.at)

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


def _list_dangles(text: str, tokens: list[Token], end: int) -> bool:
    """Whether a statement that could not be read ends at `end` with nothing behind its last comma or `then`."""
    return (
        bool(tokens)
        and tokens[-1].kind in _JOINING
        and _NOTHING.fullmatch(text, tokens[-1].end, end) is not None
    )


def _explained(source: Source, start: int, at: int, tokens: list[Token]) -> Diagnostic:
    from layerlr_dsl.language.explain import explain  # deferred: most files have no faults
    from layerlr_dsl.language.failure import failure_at

    return explain(failure_at(source, start, at, tokens, accepted_after))


def _open_parentheses(tokens: list[Token]) -> tuple[int | None, int | None]:
    """Where the outermost and the innermost parenthesis open at the last token begin."""
    opened: list[int] = []
    for token in tokens:
        if token.kind == "OPEN":
            opened.append(token.start)
        elif token.kind == "CLOSE" and opened:
            opened.pop()
    return (opened[0], opened[-1]) if opened else (None, None)
