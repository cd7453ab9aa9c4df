"""What may be written at a place in a statement that is not finished, as the grammar's own tables tell it.

The tokens before the cursor are those that the parser reads; the kinds of tokens that may follow are then
known exactly. What a name would be there is told by the rules that it could become part of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
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
    "definition",
]

# The uses of a name that tell its role, the telling ones first: a name that can be a value may be much else.
_ROLES: tuple[tuple[str, Role], ...] = (
    ("metric", "moment"),
    ("bare_setting", "option"),
    ("COMPARE", "option"),
    ("bare_factory", "factory"),
    ("is_name", "class"),
    ("duration", "stretch"),
    ("patience", "patience"),
    ("reversed_moment", "moment"),
    ("name", "value"),
    ("EQUAL", "definition"),
)
_WHOLE = frozenset({"ASCENDING", "DESCENDING"})
"""Words behind which the statement goes on by itself."""
_WORDS = frozenset({"PATTERN", "NAME", "NUMBER", "STRING", "REGEX", "GROUP_NAME"})
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
            behind = self._opened()
        elif self.has("ARROW"):
            behind = [token.kind for token in self.tokens].index("ARROW")
        else:
            return frozenset()
        return frozenset(own[0].text for own in _parted(self.tokens[behind + 1 :])[:-1] if own)

    @property
    def factory(self) -> str:
        """The optimizer or schedule whose arguments these are; empty elsewhere."""
        opened = self._opened()
        name, kind = (self.tokens[opened - 1], self.tokens[opened - 2]) if opened > 1 else (None, None)
        if name is None or kind is None or kind.kind not in ("OPTIMIZER", "SCHEDULE"):
            return ""
        return name.text

    @property
    def factory_kind(self) -> str:
        """`optimizer` or `schedule`, where the cursor is at its name or among its arguments."""
        kinds = [token for token in self.tokens if token.kind in ("OPTIMIZER", "SCHEDULE")]
        return kinds[-1].text if kinds else ""

    def _opened(self) -> int:
        """The place of the outermost parenthesis that is open; -1 if none is."""
        opened: list[int] = []
        for place, token in enumerate(self.tokens):
            if token.kind == "OPEN":
                opened.append(place)
            elif token.kind == "CLOSE":
                opened.pop()
        return opened[0] if opened else -1

    def phrases(self, kind: str) -> Iterator[str]:
        """A word that may stand here, with the words that must follow it: `stops falling for`."""
        yield from _phrases(self.states, kind)


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


def context_at(text: str) -> Context | None:
    """The context at the end of `text`, which begins with a statement; None in a comment or behind a fault."""
    tables = machine()
    tokens: list[Token] = []
    states, at, opened = [0], 0, 0
    while True:
        try:
            token = tables.next_token(states[-1], text, at)
        except Unreadable as problem:
            return _unfinished(text, problem.at, tokens, states)
        if token.end == len(text) and (token.kind in _WORDS or token.text.isalpha()):
            return _context(text, token.start, tokens, states)
        at = token.end
        if token.kind == "EOF":
            return _context(text, len(text), tokens, states)
        if token.kind == "COMMENT":
            if at == len(text):
                return None
        elif token.kind != "END":
            if not text[at:].strip() and [one.kind for one in tokens] == ["EXPECT"]:
                token = tables.next_token(states[-1], f"{text} ==", token.start)  # it may be counted
            if not tables.shift(states, token.kind):
                return None
            tokens.append(token)
            opened += (token.kind == "OPEN") - (token.kind == "CLOSE")
        elif token.text == ";" or not (opened or (tokens and tokens[-1].kind == "COMMA")):
            tokens, states, opened = [], [0], 0


def _unfinished(text: str, at: int, tokens: list[Token], states: list[int]) -> Context | None:
    """At a word that is no token yet, such as a text without its end; None behind what cannot be read."""
    rest = text[at:]
    if not rest.startswith(_OPENS_A_WORD) and not all(sign.isalnum() or sign == "_" for sign in rest):
        return None
    return None if "\n" in rest else _context(text, at, tokens, states)


def _context(text: str, start: int, tokens: list[Token], states: list[int]) -> Context:
    tables = machine()
    accepted = tables.acceptable(states)
    if [token.text for token in tokens] == ["freeze", "statistics"]:
        accepted |= {"OF"}  # the lexer takes the word for one only where `of` and a selector follow
    role = _role(tables.uses(states, "NAME"))
    if role == "value" and "TRUE" not in accepted:
        role = "count"
    if role == "definition" and any(token.kind == "OPEN" for token in tokens):
        role = "argument"
    return Context(text[start:], start, tuple(tokens), accepted, role, states)


def _role(uses: frozenset[str]) -> Role:
    return next((role for use, role in _ROLES if use in uses), "")


def _phrases(states: list[int], kind: str) -> Iterator[str]:
    tables = machine()
    behind = states[:]
    tables.shift(behind, kind)
    following = tables.acceptable(behind)
    if following <= tables.words and following and kind not in _WHOLE:
        for other in sorted(following):
            yield from (f"{kind.lower()} {rest}" for rest in _phrases(behind, other))
    else:
        yield kind.lower()
