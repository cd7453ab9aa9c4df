"""What may be written at a place in a statement that is not finished, as the grammar's own tables tell it.

The tokens before the cursor are those that the parser reads; the kinds of tokens that may follow are then
known exactly. What a name would be there is told by the rules that it could become part of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from layerlr_dsl.language.machine import Unreadable, machine
from layerlr_dsl.language.tokens import Token
from layerlr_dsl.tools.records import record

Role = Literal[
    "",
    "option",
    "factory",
    "argument",
    "value",
    "count",
    "moment",
    "stretch",
    "patience",
    "class",
    "capture",
    "definition",
]

# The uses of a name that tell its role, the telling ones first: a name that can be a value may be much else.
_ROLES: tuple[tuple[str, Role], ...] = (
    ("metric", "moment"),
    ("bare_setting", "option"),
    ("COMPARE", "option"),
    ("bare_factory", "factory"),
    ("is_name", "class"),
    ("turn", "capture"),
    ("duration", "stretch"),
    ("patience", "patience"),
    ("reversed_moment", "moment"),
    ("name", "value"),
    ("EQUAL", "definition"),
)
_WORDS = frozenset({"PATTERN", "NAME", "NUMBER", "STRING", "REGEX", "GROUP_NAME", "GROUP_CAPTURE"})
# What may come next may tell what the last word was: `groups` is counted where a comparison follows.
_AHEAD = (" ==", " of")
_AS_A_LAYER = frozenset({"ARROW", "COMMA", "EXCEPT", "WHERE"})
"""What follows a word that opens a statement where a layer is called so."""
_OPENS_A_WORD = ('"', "/", "@", "{", "[", "<")


@record
class Context:
    """Where the cursor is. `word` is what was typed of the word under it, and begins at `start`."""

    word: str
    start: int
    tokens: tuple[Token, ...] = ()
    """Of the statement, before the word."""
    accepted: frozenset[str] = frozenset()
    """The kinds of tokens that may stand here."""
    role: Role = ""
    """What a name would be here; empty where none may stand."""
    factory: str = ""
    """The optimizer or schedule whose arguments these are."""
    states: list[int] = field(default_factory=list, compare=False)

    @property
    def statement(self) -> str:
        """The word that the statement begins with; empty for a rule."""
        first = self.tokens[0] if self.tokens else None
        opens = first is not None and first.kind not in _WORDS and not self.has("ARROW")
        return first.text if first is not None and opens else ""

    def has(self, kind: str) -> bool:
        return any(token.kind == kind for token in self.tokens)

    @property
    def given(self) -> frozenset[str]:
        """The options that are given already, or the arguments where the cursor is among some."""
        if self.factory:
            behind = _opened(self.tokens)
        elif self.has("ARROW"):
            behind = [token.kind for token in self.tokens].index("ARROW")
        else:
            return frozenset()
        return frozenset(own[0].text for own in _parted(self.tokens[behind + 1 :])[:-1] if own)

    @property
    def factory_kind(self) -> str:
        """`optimizer` or `schedule`, where the cursor is at its name or among its arguments."""
        kinds = [token for token in self.tokens if token.kind in ("OPTIMIZER", "SCHEDULE")]
        return kinds[-1].text if kinds else ""

    @property
    def part(self) -> frozenset[str]:
        """The kinds of tokens in the schedule of a sequence, or the turn, that the cursor is in."""
        kinds = [token.kind for token in self.tokens]
        last = max((n for n, kind in enumerate(kinds) if kind in ("THEN", "SCHEDULE")), default=-1)
        return frozenset(kinds[last + 1 :])

    def phrases(self, kind: str) -> Iterator[str]:
        """A word that may stand here, with the words that must follow it: `stops falling for`."""
        yield from _phrases(self.states, kind)


def _opened(tokens: Sequence[Token]) -> int:
    """The place of the outermost parenthesis that is open; -1 if none is."""
    opened: list[int] = []
    for place, token in enumerate(tokens):
        if token.kind == "OPEN":
            opened.append(place)
        elif token.kind == "CLOSE":
            opened.pop()
    return opened[0] if opened else -1


def _parted(tokens: tuple[Token, ...]) -> list[list[Token]]:
    """What commas separate that stand in no parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.kind == "OPEN") - (token.kind == "CLOSE")
        if token.kind == "COMMA" and not depth:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


@dataclass
class _Reading:
    """The tokens of a statement before the cursor, and where the parser stands behind them."""

    text: str
    tokens: list[Token] = field(default_factory=list)
    states: list[int] = field(default_factory=lambda: [0])
    factories: list[int] = field(default_factory=list)
    """The places of the names of optimizers and schedules."""

    def take(self, token: Token) -> bool:
        """Take a token in; False where it cannot follow."""
        if token.kind == "PATTERN" and not self.text[token.end :].strip():
            token = self._looking_ahead(token)
        if token.kind == "NAME" and self.role == "factory":
            self.factories.append(len(self.tokens))
        self.tokens.append(token)
        return machine().shift(self.states, token.kind)

    def _looking_ahead(self, token: Token) -> Token:
        tokens = (machine().next_token(self.states[-1], self.text + more, token.start) for more in _AHEAD)
        return next((other for other in tokens if other.kind != token.kind), token)

    def goes_on(self, end: Token) -> bool:
        """Whether the statement goes on behind a newline."""
        last = self.tokens[-1].kind if self.tokens else ""
        return end.text != ";" and (_opened(self.tokens) >= 0 or last in ("COMMA", "THEN"))

    @property
    def role(self) -> Role:
        uses = machine().uses(self.states, "NAME")
        role: Role = next((role for use, role in _ROLES if use in uses), "")
        if role == "value" and "TRUE" not in machine().acceptable(self.states):
            return "count"
        return "argument" if role == "definition" and _opened(self.tokens) >= 0 else role

    def context(self, start: int) -> Context:
        opened = _opened(self.tokens)
        factory = self.tokens[opened - 1].text if opened - 1 in self.factories else ""
        accepted = machine().acceptable(self.states)
        word, tokens = self.text[start:], tuple(self.tokens)
        return Context(word, start, tokens, accepted, self.role, factory, self.states)


def context_at(text: str) -> Context | None:
    """The context at the end of `text`, which begins with a statement; None in a comment or behind a fault."""
    reading, at = _Reading(text), 0
    while True:
        try:
            token = machine().next_token(reading.states[-1], text, at)
        except Unreadable as problem:
            return reading.context(problem.at) if _is_begun(text[problem.at :]) else None
        if token.end == len(text) and (token.kind in _WORDS or token.text.isidentifier()):
            return reading.context(token.start)
        at = token.end
        if token.kind == "EOF":
            return reading.context(len(text))
        if token.kind == "COMMENT":
            if at == len(text):
                return None
        elif token.kind != "END":
            if not reading.take(token):
                return None
        elif not reading.goes_on(token):
            reading = _Reading(text)


def _is_begun(rest: str) -> bool:
    """Whether what cannot be read is a word that is no token yet, such as a text without its end."""
    is_word = all(sign.isalnum() or sign == "_" for sign in rest)
    return "\n" not in rest and (is_word or rest.startswith(_OPENS_A_WORD))


def _phrases(states: list[int], kind: str) -> Iterator[str]:
    behind = states[:]
    machine().shift(behind, kind)
    following = machine().acceptable(behind) - (_AS_A_LAYER if states == [0] else frozenset())
    if (
        following
        and following <= machine().words
        and len({_behind(behind, other) for other in following}) == 1
    ):
        for other in sorted(following):
            yield from (f"{kind.lower()} {rest}" for rest in _phrases(behind, other))
    else:
        yield kind.lower()


def _behind(states: list[int], kind: str) -> frozenset[str]:
    behind = states[:]
    machine().shift(behind, kind)
    return machine().acceptable(behind)
