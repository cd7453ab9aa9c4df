"""How one statement is laid out: the spaces between its tokens, and its lines where one is too few."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.tokens import Token
from layerlr_dsl.language.trees import walk

WIDEST = 100
INDENT = "    "

_TIGHT_BEFORE = {"COMMA", "CLOSE", "CLOSE_BRACKET", "OPEN_BRACKET", "PERCENT"}
_TIGHT_AFTER = {"OPEN", "OPEN_BRACKET"}
_GAP = re.compile(r"(?P<comment>#[^\n]*)|(?P<joined>\\[ \t\r]*\n)|(?P<newline>\n)")


@dataclass(slots=True)
class Line:
    """A run of tokens, and the comment behind them; a comment on its own line has no tokens."""

    tokens: list[Token] = field(default_factory=list)
    comment: str = ""


class Layout:
    """Lays out the tokens of one statement; its tree says which signs belong to what."""

    def __init__(self, text: str, statement: s.Statement, tokens: list[Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._called: set[int] = set()
        self._signs: set[int] = set()
        for node in walk(statement):
            if isinstance(node, s.Call):
                self._called.add(node.function_span.end)
            elif isinstance(node, s.Factory):
                self._called.add(node.name_span.end)
            elif isinstance(node, s.Negative):
                self._signs.add(node.span.start)
        self.is_heading = isinstance(statement, s.Heading)
        named = isinstance(statement, s.OptimizerStatement) and statement.name is not None
        self._defines = 2 if named or isinstance(statement, s.LetStatement | s.GroupStatement) else -1

    @property
    def has_comments(self) -> bool:
        first, last = self._tokens[0], self._tokens[-1]
        return "#" in self._text[first.end : last.start] and any(line.comment for line in self._lines())

    def head(self) -> str | None:
        """What stands before the arrow of a rule; None for other statements."""
        for index, token in enumerate(self._tokens):
            if token.kind == "ARROW":
                return self._joined(0, self._tokens[:index])
        return None

    def tail(self) -> str:
        """A rule from its arrow on, in one line."""
        index = next(i for i, token in enumerate(self._tokens) if token.kind == "ARROW")
        return self._joined(index, self._tokens[index:])

    def one_line(self) -> str:
        return self._joined(0, self._tokens)

    def wrapped(self) -> list[str]:
        """Lines of at most 100 columns, broken behind commas and `then` as late as can be."""
        lines: list[str] = []
        line = ""
        for index, piece in self._pieces():
            written = self._joined(index, piece)
            joint = " " if line and index and self._apart(self._tokens[index - 1], piece[0], index) else ""
            if not line:
                line = written
            elif len(line) + len(joint) + len(written) <= WIDEST:
                line += joint + written
            else:
                lines.append(line)
                line = INDENT + written
        return [*lines, line]

    def as_broken(self) -> list[str]:
        """The lines that the writer chose, which comments inside the statement depend on."""
        lines: list[str] = []
        index = 0
        for line in self._lines():
            written = self._joined(index, line.tokens)
            index += len(line.tokens)
            indent = INDENT if lines and not written.startswith((")", "]")) else ""
            lines.append(indent + "  ".join(part for part in (written, line.comment) if part))
        return lines

    def _pieces(self) -> Iterable[tuple[int, list[Token]]]:
        begin = 0
        for index, token in enumerate(self._tokens):
            if token.kind in ("COMMA", "THEN") or index == len(self._tokens) - 1:
                yield begin, self._tokens[begin : index + 1]
                begin = index + 1

    def _lines(self) -> list[Line]:
        lines = [Line()]
        at = self._tokens[0].start
        for token in self._tokens:
            for piece in _GAP.finditer(self._text, at, token.start):
                if piece.lastgroup == "comment":
                    lines[-1].comment = piece[0].rstrip()
                elif piece.lastgroup == "newline" and (lines[-1].tokens or lines[-1].comment):
                    lines.append(Line())
            lines[-1].tokens.append(token)
            at = token.end
        return lines

    def _joined(self, index: int, tokens: list[Token]) -> str:
        """Tokens in one line; `index` is the place of the first among all of the statement's."""
        parts: list[str] = []
        for offset, token in enumerate(tokens):
            if offset and self._apart(tokens[offset - 1], token, index + offset):
                parts.append(" ")
            parts.append(token.text)
        return "".join(parts)

    def _apart(self, left: Token, right: Token, index: int) -> bool:
        """Whether a space stands between two neighbours, the right one at `index`."""
        if right.kind == "COMMA" and left.kind == "PATTERN":
            return is_open(left.text)
        if right.kind in _TIGHT_BEFORE or left.kind in _TIGHT_AFTER:
            return False
        if right.kind == "EQUAL":
            return index == self._defines
        if left.kind == "EQUAL":
            return index - 1 == self._defines
        if right.kind == "OPEN" and left.end in self._called:
            return False
        return not self._is_sign(left)

    def _is_sign(self, token: Token) -> bool:
        return token.kind == "MINUS" and token.start in self._signs


def is_open(pattern: str) -> bool:
    """Whether a bracket is unclosed, which would take the comma in if it touched."""
    return any(pattern.rfind(opening) > pattern.rfind(closing) for opening, closing in ("[]", "{}", "<>"))
