"""The parser proper: runs the grammar's tables over a text, one statement at a time.

What Lark's LALR parser with its contextual lexer does, and no more: in every state the lexer
looks only for what the parser can take there. It is written out here because files are read
while people type: this loop takes a third of the time, and starting it does not import Lark.
A test holds it to Lark's own parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from layerlr_dsl.language import tables
from layerlr_dsl.language.tokens import Token

_BLANK = r"[ \t\r\f\uFEFF]*(?:\\[ \t\r]*\n[ \t\r\f\uFEFF]*)*"
# What the lexer finds in every state, besides what the parser can take: `END` ends statements.
_ALWAYS = ("END", "COMMENT")
# Signs that nothing else begins with: `-`, `*` and `=` may be the beginning of another.
_SIGNS = "+/^%(),[]"

Scan = Callable[[str, int], "re.Match[str] | None"]
Words = dict[str, dict[str, str]]


class Unreadable(Exception):
    """Nothing that stands at `at` can follow what was read."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at


class Machine:
    """Tables ready to run. It keeps nothing of what it read, so one serves all."""

    def __init__(self, made: tables.Tables) -> None:
        self.rows = made.states
        self.accepting = made.accepting
        self.rules = made.rules
        self._terminals = made.terminals
        self.words = frozenset(t.name for t in made.terminals if t.pattern.startswith(t.name.lower()))
        """The kinds of tokens that are one word of the language each, which is the kind's own name."""
        self._by_kinds: dict[frozenset[str], tuple[Scan, Words]] = {}
        self._scanners: list[tuple[Scan, Words] | None] = [None] * len(made.states)

    def scanner(self, state: int) -> tuple[Scan, Words]:
        """What finds the next token in `state`, and the kinds of the words among its matches."""
        found = self._scanners[state]
        if found is None:
            kinds = frozenset(self.rows[state]).union(_ALWAYS)
            found = self._by_kinds.get(kinds) or self._make_scanner(kinds)
            self._by_kinds[kinds] = self._scanners[state] = found
        return found

    def _make_scanner(self, kinds: frozenset[str]) -> tuple[Scan, Words]:
        # Names are looked for wherever patterns are not, and words that end where a name ends are found as
        # such; so are signs together. Then few scanners differ: to compile one takes as long as fifty lines.
        named = kinds if "PATTERN" in kinds else kinds | {"NAME"}
        terminals = [t for t in self._terminals if t.name in named]
        words = self._absorbed(terminals)
        words.setdefault("NAME", {}).update(
            {t.name.lower(): t.name for t in terminals if t.pattern == rf"{t.name.lower()}(?!\w)"}
        )
        words["SIGN"] = {t.pattern: t.name for t in terminals if t.literal and t.pattern in _SIGNS}
        found = {name for within in words.values() for name in within.values()}
        choices = [
            f"(?P<{t.name}>{re.escape(t.pattern) if t.literal else t.pattern})"
            for t in terminals
            if t.name not in found
        ]
        choices.append(f"(?P<SIGN>[{re.escape(_SIGNS)}])")
        return _compiled(rf"{_BLANK}(?:{'|'.join(choices)}|(?P<EOF>\Z))"), words

    def _absorbed(self, terminals: list[tables.Terminal]) -> Words:
        """Words that a longer terminal matches whole: they are found as such and re-typed, so `freezer` is a name."""
        words: Words = {}
        literals = [t for t in terminals if t.literal]
        for liberal in terminals:
            if not liberal.literal:
                match = re.compile(liberal.pattern).fullmatch
                for word in literals:
                    if word.priority == liberal.priority and match(word.pattern):
                        words.setdefault(liberal.name, {})[word.pattern] = word.name
        return words

    def next_token(self, state: int, text: str, at: int) -> Token:
        """The next token that can be taken in `state`, at or behind `at`; EOF at the end. Raises Unreadable."""
        scan, words = self.scanner(state)
        match = scan(text, at)
        if match is None:
            raise Unreadable(_past_blanks(text, at))
        kind = match.lastgroup
        assert kind is not None, "every choice is a named group"
        written = match[kind]
        end = match.end()
        if kind in words:
            kind = words[kind].get(written, kind)
            if kind not in self.rows[state]:
                raise Unreadable(end - len(written))
        return Token(kind, written, end - len(written), end)

    def callbacks(self, builder: object) -> list[tuple[str, int, Callable[[list[Any]], Any] | None, Any]]:
        """The rules with the methods of `builder` that they call."""
        return [
            (r.origin, r.size, getattr(builder, r.method) if r.method else None, r.shape) for r in self.rules
        ]

    def accepted(self, kinds: tuple[str, ...]) -> frozenset[str]:
        """The kinds of tokens that may follow tokens of these kinds; `$END` is the end of the statement."""
        stack = [0]
        for kind in kinds:
            self.shift(stack, kind)
        return self.acceptable(stack)

    def acceptable(self, stack: list[int]) -> frozenset[str]:
        """The kinds of tokens that may follow with this stack of states."""
        return frozenset(
            kind for kind in self.rows[stack[-1]] if kind.isupper() and self.shift(stack[:], kind)
        )

    def uses(self, stack: list[int], kind: str) -> frozenset[str]:
        """What a token could be that is taken next: the builder's methods for it, and the kinds behind it."""
        taken = stack[:]
        if not self.shift(taken, kind):
            return frozenset()
        actions = self.rows[taken[-1]].items()
        reduced = {self.rules[~to].method or self.rules[~to].origin for _, to in actions if to < 0}
        return frozenset(reduced | {follows for follows, to in actions if to >= 0 and follows.isupper()})

    def shift(self, stack: list[int], kind: str) -> bool:
        """Take a token of this kind in, without building anything; False where it cannot follow."""
        rows, rules = self.rows, self.rules
        while (action := rows[stack[-1]].get(kind)) is not None:
            if action >= 0:
                stack.append(action)
                return True
            rule = rules[~action]
            del stack[-rule.size :]
            stack.append(rows[stack[-1]][rule.origin])
            if kind == "$END" and stack[-1] == self.accepting:
                return True
        return False


class Run:
    """One statement's way through the machine."""

    __slots__ = ("_machine", "_rules", "_states", "values")

    def __init__(self, machine: Machine, rules: list[Any]) -> None:
        self._machine = machine
        self._rules = rules
        self._states = [0]
        self.values: list[Any] = []

    def next_token(self, text: str, at: int) -> Token:
        """The next token at or behind `at`; its kind is EOF at the end of the text. Raises Unreadable."""
        return self._machine.next_token(self._states[-1], text, at)

    def feed(self, token: Token) -> None:
        """Take a token in. Raises Unreadable where it cannot follow."""
        rows, rules, states, values = self._machine.rows, self._rules, self._states, self.values
        kind = token.kind
        while (action := rows[states[-1]].get(kind)) is not None:
            if action >= 0:
                states.append(action)
                values.append(token)
                return
            origin, size, build, shape = rules[~action]
            if build is None:
                states[-1] = rows[states[-2]][origin]
                continue
            children = values[-size:]
            del values[-size:], states[-size:]
            if shape:
                children = [None if place is None else children[place] for place in shape]
            values.append(build(children))
            states.append(rows[states[-1]][origin])
            if kind == "$END" and states[-1] == self._machine.accepting:
                return
        raise Unreadable(token.start)

    def finish(self, at: int) -> Any:
        """The whole statement, which ends at `at`. Raises Unreadable where more must follow."""
        self.feed(Token("$END", "", at, at))
        return self.values[-1]


def _past_blanks(text: str, at: int) -> int:
    blanks = re.compile(_BLANK).match(text, at)
    return blanks.end() if blanks else at


@cache
def _compiled(pattern: str) -> Scan:
    return re.compile(pattern).match


@cache
def machine() -> Machine:
    """The machine of the grammar at hand."""
    return Machine(tables.load())


@cache
def accepted_after(kinds: tuple[str, ...]) -> frozenset[str]:
    """See `Machine.accepted`."""
    return machine().accepted(kinds)
