"""What could be written at a place in a statement that is not finished, told from the words before it.

The parser cannot help here, since what stands before the cursor is seldom a statement. A few words of
state are enough: the statement's own word, what part of it the cursor is in, and the word before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

Kind = Literal[
    "statement",
    "selector",
    "after selector",
    "where",
    "after is",
    "option",
    "value",
    "after value",
    "optimizer",
    "schedule",
    "optimizer argument",
    "schedule argument",
    "argument value",
    "moment",
    "moment unit",
    "duration unit",
    "after time",
    "after metric",
    "compared",
    "after comparison",
    "heading",
    "after schedule",
    "capture",
    "after capture",
    "model",
    "path",
    "name",
    "nothing",
]

_TOKEN = re.compile(
    r"""(?P<text>"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"?)
      | (?P<comment>\#[^\n]*)
      | (?P<space>[ \t\r\f\ufeff]+|\\[ \t\r]*\n|\n)
      | (?P<arrow>->)
      | (?P<sign>\*=|[=!<>]=|[-+/^%=(),;]|<(?!\w*>)|>)
      | (?P<number>\.?\d[\w.]*(?:(?<=[eE])[+-][\w.]*)*%?)
      | (?P<word>@?[^\s"\#,;()=+/^%]+?(?=->|[\s"\#,;()=+/^%]|$)|.)""",
    re.VERBOSE | re.DOTALL,
)
_REGEX = re.compile(r"/(?:[^/\\\n]|\\[^\n])*(?:/|$)")
_SELECTING = {"freeze", "unfreeze", "expect"}
_CLAUSE_WORDS = {"from", "until", "at", "every", "warmup"}
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


@dataclass(slots=True)
class Context:
    """Where the cursor is. `word` is what was typed of the word under it, and begins at `start`."""

    kind: Kind
    word: str = ""
    start: int = 0
    statement: str = ""
    """The word that the statement begins with; empty for a rule."""
    factory: str = ""
    """The optimizer or schedule whose arguments these are."""
    argument: str = ""
    given: set[str] = field(default_factory=set)
    """Options or arguments that are written already."""
    option: str = ""
    before: tuple[str, ...] = ()
    """The words since the last that says what part of the statement this is."""


@dataclass(slots=True)
class _Token:
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def context_at(text: str) -> Context:
    """The context at the end of `text`, which begins with the statement's first word."""
    tokens = _tokens(text)
    if tokens and tokens[-1].kind == "comment":
        return Context("nothing")
    word, start = "", len(text)
    if tokens and tokens[-1].kind in ("word", "number", "text", "regex") and tokens[-1].end == len(text):
        last = tokens.pop()
        word, start = last.text, last.start
    tokens = [token for token in tokens if token.kind not in ("space", "comment")]
    context = _Reader(tokens, word).read()
    context.word, context.start = word, start
    return context


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None, "the last alternative matches any character"
        kind, written = found.lastgroup or "word", found[0]
        if written == "/" and _regex_may_start(tokens):
            regex = _REGEX.match(text, at)
            kind, written = "regex", regex[0] if regex else "/"
        tokens.append(_Token(kind, written, at))
        at += len(written)
    return tokens


def _regex_may_start(tokens: list[_Token]) -> bool:
    before = [token for token in tokens if token.kind not in ("space", "comment")]
    if not before:
        return True
    return before[-1].text in {",", "except", "then", "of", "matches", *_SELECTING} or before[-1].text == "="


class _Reader:
    """Goes through the words before the cursor, keeping track of the part of the statement."""

    def __init__(self, tokens: list[_Token], word: str) -> None:
        self.tokens = tokens
        self.word = word

    def read(self) -> Context:
        if not self.tokens:
            return Context("statement")
        first = self.tokens[0].text
        rest = self.tokens[1:]
        arrow = next((n for n, token in enumerate(self.tokens) if token.kind == "arrow"), None)
        if arrow is not None:
            return self._settings(self.tokens[arrow + 1 :])
        if first == "model":
            return Context("model" if not rest else "nothing", statement=first)
        if first == "include":
            return Context("path" if not rest else "nothing", statement=first)
        if first in ("optimizer", "schedule"):
            context = self._factory(rest, first)
            context.statement = first
            return context
        if first in ("let", "group"):
            return self._definition(first, rest)
        if first == "stage":
            return self._heading(rest)
        if first == "after":
            return Context("heading" if not rest else "nothing", statement=first)
        if first in ("epochs", "steps", "steps_per_epoch"):
            return Context("value", statement=first)
        if first == "version":
            return Context("nothing", statement=first)
        if first in _SELECTING:
            return self._selection(first, rest)
        return self._selector(self.tokens, "")

    def _heading(self, rest: list[_Token]) -> Context:
        """Inside `stage NAME for D until METRIC stops falling for N epochs, fresh optimizer`."""
        words = tuple(token.text for token in rest)
        if not words:
            return Context("name", statement="stage")
        if words[-1] == "until" or "fresh" in words:
            return Context("nothing", statement="stage")
        if "until" in words:
            behind = self._condition(rest[words.index("until") + 1 :], "until", "stage")
            if behind.kind != "after time":
                return behind
        elif "for" in words and len(words) - words.index("for") < 3 and not words[-1].endswith("%"):
            return _stretch(rest[words.index("for") + 1 :], "stage")
        return Context("heading", statement="stage", before=words)

    def _definition(self, first: str, rest: list[_Token]) -> Context:
        equal = next((n for n, token in enumerate(rest) if token.text == "="), None)
        if equal is None:
            return Context("name", statement=first)
        if first == "group":
            return self._selector(rest[equal + 1 :], first)
        return Context("value", statement=first)

    # ------------------------------------------------------------ selectors

    def _selector(self, tokens: list[_Token], statement: str) -> Context:
        where = next((n for n, token in enumerate(tokens) if token.text == "where"), None)
        if where is not None:
            return self._where(tokens[where + 1 :], statement)
        last = tokens[-1].text if tokens else ""
        ready = last in ("", ",", "except", "then")
        before = tuple(token.text for token in tokens)
        return Context("selector" if ready else "after selector", statement=statement, before=before)

    def _where(self, tokens: list[_Token], statement: str) -> Context:
        if tokens and tokens[-1].text == "is":
            of_dtype = len(tokens) > 1 and tokens[-2].text == "dtype"
            return Context("after is", statement=statement, option="dtype" if of_dtype else "module")
        operators = ("", "(", ",", "and", "or", "not", "mod", "matches", "+", "-", "*", "/", "^")
        last = tokens[-1].text if tokens else ""
        if last in operators or last in _COMPARISONS:
            return Context("where", statement=statement)
        before = ("where", *(token.text for token in tokens))
        return Context("after selector", statement=statement, option="where", before=before)

    def _selection(self, statement: str, tokens: list[_Token]) -> Context:
        """Inside `freeze S ...`, `unfreeze S ...`, `expect S ...`."""
        for number in range(len(tokens) - 1, -1, -1):
            if tokens[number].text in _CLAUSE_WORDS:
                return self._time(tokens[number:], statement)
        if statement == "expect":
            return self._expectation(tokens)
        words = [token.text for token in tokens]
        if statement == "freeze" and words[:2] == ["statistics", "of"]:
            return self._selector(tokens[2:], "statistics")
        if statement == "unfreeze" and "by" in words[_last(words, "then") + 1 :]:
            behind = tuple(words[_last(words, "by") + 1 :])
            return Context("after capture" if behind else "capture", statement=statement, before=behind)
        return self._selector(tokens, statement)

    def _expectation(self, tokens: list[_Token]) -> Context:
        """Inside `expect SELECTOR OPTION == VALUE`, `expect SELECTOR frozen`, `expect groups == 3`."""
        compared = [n for n, token in enumerate(tokens) if token.text in _COMPARISONS]
        if not any(token.text == "where" for token in tokens):
            if compared:
                ended = tokens[-1].kind in ("number", "text", "word") or tokens[-1].text in (")", "%")
                return Context("after comparison" if ended else "value", statement="expect")
            if tokens and _follows_selector(tokens):
                stated = tokens[-1].text in ("frozen", "trains")
                return Context("after comparison" if stated else "compared", statement="expect")
            if len(tokens) == 1 and tokens[0].text in ("groups", "trainable"):
                return Context("compared", statement="expect")
        return self._selector(tokens, "expect")

    # ------------------------------------------------------------ settings

    def _settings(self, tokens: list[_Token]) -> Context:
        given: set[str] = set()
        start = depth = 0
        for number, token in enumerate(tokens):
            depth += (token.text == "(") - (token.text == ")")
            if token.text == "," and depth == 0:
                start = number + 1
        own = tokens[start:]
        given = _first_words(tokens[:start])
        if not own:
            return Context("option", given=given)
        option = own[0].text
        for number in range(len(own) - 1, 0, -1):
            if own[number].text in ("from", "until"):
                return self._time(own[number:], "")
        if option in ("optimizer", "schedule"):
            return self._factory(own[1:], option)
        last = own[-1].text
        if len(own) == 1 or last in ("*=", "(", ",", "+", "-", "*", "/", "^", "mod"):
            return Context("value", option=option)
        return Context("after value", option=option)

    def _factory(self, tokens: list[_Token], kind: str) -> Context:
        """Inside `optimizer NAME(...)`, `optimizer NAME = NAME(...)`, `schedule NAME(...) for D then NAME(...)`."""
        if kind == "optimizer" and len(tokens) > 1 and tokens[1].text == "=":
            tokens = tokens[2:]
        if kind == "schedule":
            words = [token.text for token in tokens]
            tokens = tokens[_last(words, "then") + 1 :]
            words = words[len(words) - len(tokens) :]
            if "for" in words:
                behind = tokens[words.index("for") + 1 :]
                return _stretch(behind, "") if len(behind) < 2 else Context("after schedule", option="for")
        if not tokens:
            return Context("optimizer" if kind == "optimizer" else "schedule")
        name = tokens[0].text
        depth = 0
        opened = start = -1
        for number, token in enumerate(tokens):
            depth += (token.text == "(") - (token.text == ")")
            if token.text == "(" and depth == 1:
                opened = start = number
            elif token.text == "," and depth == 1:
                start = number
        if opened < 0 or depth == 0:
            return Context("after value" if kind == "optimizer" else "after schedule", factory=name)
        given = {token.text for token, after in pairwise(tokens) if after.text == "="}
        own = tokens[start + 1 :]
        if len(own) < 2:
            argument: Kind = "optimizer argument" if kind == "optimizer" else "schedule argument"
            return Context(argument, factory=name, given=given)
        if own[-1].kind == "number" and kind == "schedule":
            return Context("duration unit", factory=name, argument=own[0].text)
        return Context("argument value", factory=name, argument=own[0].text, option=kind)

    # ------------------------------------------------------------ time

    def _time(self, tokens: list[_Token], statement: str) -> Context:
        """Behind `from`, `until`, `at`, `every` or `warmup`."""
        word, rest = tokens[0].text, tokens[1:]
        if word in ("every", "warmup"):
            if not rest:
                return Context("value", statement=statement)
            if len(rest) == 1:
                return Context("duration unit", statement=statement)
            before = tuple(token.text for token in rest)
            return Context("after time", statement=statement, option=word, before=before)
        if not rest:
            return Context("moment", statement=statement)
        if len(rest) == 1 and rest[0].text in ("epoch", "step"):
            return Context("value", statement=statement, option=word)
        if len(rest) == 1 and rest[0].kind == "number" and not rest[0].text.endswith("%"):
            return Context("moment unit", statement=statement)
        if rest[0].text not in ("epoch", "step", "(") and rest[0].kind in ("word", "text"):
            return self._condition(rest, word, statement)
        return Context("after time", statement=statement, option=word)

    def _condition(self, rest: list[_Token], word: str, statement: str) -> Context:
        """Inside `METRIC stops falling for N epochs by D`."""
        before = tuple(token.text for token in rest[1:])
        if len(before) < 3:
            return Context("after metric", statement=statement, before=before)
        if len(before) == 3 or before[-1] == "by":
            return Context("value", statement=statement, option=word)
        if len(before) == 4:
            return Context("duration unit", statement=statement, option="for")
        return Context("after time", statement=statement, option=word, before=before)


def _stretch(behind: list[_Token], statement: str) -> Context:
    """Inside `for D`: the number, then its unit."""
    kind: Kind = "duration unit" if behind and behind[-1].text != "(" else "value"
    return Context(kind, statement=statement, option="" if behind else "for")


def _last(words: list[str], word: str) -> int:
    """The place of the last such word; -1 where there is none."""
    return next((n for n in range(len(words) - 1, -1, -1) if words[n] == word), -1)


def _follows_selector(tokens: list[_Token]) -> bool:
    """Whether the last word stands where the option or state of an expectation does."""
    return len(tokens) > 1 and tokens[-1].kind == "word" and tokens[-2].text not in (",", "except")


def _first_words(tokens: list[_Token]) -> set[str]:
    """The options given so far: the words behind the arrow and behind every comma."""
    words: set[str] = set()
    depth = 0
    first = True
    for token in tokens:
        if first and token.kind == "word":
            words.add(token.text)
        first = token.text == "," and depth == 0
        depth += (token.text == "(") - (token.text == ")")
    return words
