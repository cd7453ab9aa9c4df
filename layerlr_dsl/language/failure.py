"""The place where a statement stopped making sense, with what its explanation may need to know."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.language.tokens import Token

_LEXEME = re.compile(
    r"""[^\W\d]\w* | \.?\d[\w.]*(?:(?<=[eE])[+-][\w.]*)*%? | "[^"\\\n]*(?:\\[^\n][^"\\\n]*)*" | @\w*
      | -+> | =+> | ~+> | <-+ | \|\| | && | \*\* | // | [-+*/:]= | [=!<>]= | =< | =~ | <> | .""",
    re.VERBOSE,
)
_STATEMENT_END = re.compile(r"[ \t\r\f]*(?:[\n;#]|\Z)")
# What the lexer takes for a word where it stands, and how a message writes it.
WORDS = {
    "EXCEPT": "except",
    "WHERE": "where",
    "FROM": "from",
    "UNTIL": "until",
    "WARMUP": "warmup",
    "UPDATING": "updating",
    "STATISTICS": "statistics",
    "AT": "at",
    "THEN": "then",
    "EVERY": "every",
    "STARTING": "starting",
    "FROZEN": "frozen",
    "TRAINS": "trains",
    "STOPS": "stops",
    "FALLING": "falling",
    "RISING": "rising",
    "DESCENDING": "descending",
    "ASCENDING": "ascending",
    "OF": "of",
    "FRESH": "fresh",
    "STAGES": "stages",
    "FOR": "for",
    "BY": "by",
    "OR": "or",
    "AND": "and",
    "IS": "is",
    "MATCHES": "matches",
    "MOD": "mod",
    "NOT": "not",
}


def failure_at(
    source: Source,
    start: int,
    at: int,
    tokens: list[Token],
    find_accepted: Callable[[tuple[str, ...]], frozenset[str]],
) -> Failure:
    """The failure at `at`; an arrow whose `-` was taken for a sign is put together again."""
    if tokens and tokens[-1].kind == "MINUS" and tokens[-1].end == at and source.text[at : at + 1] == ">":
        at, tokens = at - 1, tokens[:-1]
    ended = _STATEMENT_END.match(source.text, at) is not None
    return Failure(source, start, at, ended, tuple(tokens), find_accepted)


@dataclass(frozen=True)
class Failure:
    """A statement read up to `at`, where nothing that stands there could follow."""

    source: Source
    start: int
    at: int
    ended: bool
    tokens: tuple[Token, ...]
    find_accepted: Callable[[tuple[str, ...]], frozenset[str]]

    @cached_property
    def accepted(self) -> frozenset[str]:
        """The names of the terminals that could have followed, exactly."""
        return self.find_accepted(self.types)

    @cached_property
    def found(self) -> str:
        """What stands there instead; empty where the statement ends."""
        piece = _LEXEME.match(self.source.text, self.at)
        return piece[0] if piece and not self.ended else ""

    @property
    def first(self) -> str:
        """The type of the statement's first token; empty if even that is wrong."""
        return self.tokens[0].kind if self.tokens else ""

    @property
    def last(self) -> str:
        return self.tokens[-1].kind if self.tokens else ""

    @cached_property
    def types(self) -> tuple[str, ...]:
        return tuple(token.kind for token in self.tokens)

    @property
    def span(self) -> Span:
        """The offending piece; the last token where the statement ends too early."""
        if self.ended and self.tokens:
            return self.token_span(-1)
        return Span(self.source, self.at, self.at + max(1, len(self.found)))

    def token_span(self, index: int) -> Span:
        token = self.tokens[index]
        return Span(self.source, token.start, token.end)

    def kind(self, index: int) -> str:
        """The type of a token counted from the end; empty before the statement's first."""
        return self.types[index] if len(self.types) >= -index else ""

    def read(self) -> Span:
        """The statement as far as it could be read."""
        return Span(self.source, self.start, self.token_span(-1).end)

    def gap(self) -> Span:
        """The empty place right behind the last token, for insertions."""
        end = self.token_span(-1).end
        return Span(self.source, end, end)

    def touches(self) -> bool:
        """Whether what stands there follows the last token without a blank."""
        return bool(self.tokens) and self.token_span(-1).end == self.at

    def word(self) -> bool:
        """Whether what stands there is a word."""
        return self.found.isidentifier()

    def accepted_words(self) -> tuple[str, ...]:
        return tuple(WORDS[name] for name in self.accepted if name in WORDS)

    def expects_expression(self) -> bool:
        return "NUMBER" in self.accepted and "OPEN" in self.accepted

    def after_expression(self) -> bool:
        return "PLUS" in self.accepted

    def inside_parentheses(self) -> bool:
        return self.types.count("OPEN") > self.types.count("CLOSE")

    def rest_of_line(self) -> str:
        end = self.source.text.find("\n", self.at)
        return self.source.text[self.at : end if end >= 0 else len(self.source.text)].rstrip("\r")
