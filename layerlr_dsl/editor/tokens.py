"""What each word of a document is, for editors that colour by meaning: a capture is no `let`, a layer no option."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType

from layerlr_dsl.editor.lexer import LayerlrLexer
from layerlr_dsl.editor.session import Session
from layerlr_dsl.tools.records import record

KINDS = (
    "keyword",
    "comment",
    "string",
    "regexp",
    "number",
    "operator",
    "namespace",
    "property",
    "class",
    "type",
    "function",
    "variable",
    "parameter",
    "enumMember",
    "event",
)
"""In the protocol's own terms: selectors are namespaces, options properties, captures parameters."""
_KIND_OF: dict[_TokenType, str] = {
    Keyword: "keyword",
    Operator.Word: "keyword",
    Comment: "comment",
    String.Regex: "regexp",
    String: "string",
    Number: "number",
    Operator: "operator",
    Name.Tag: "namespace",
    Name.Attribute: "property",
    Name.Class: "class",
    Name.Label: "type",
    Name.Function: "function",
    Name.Builtin: "enumMember",
    Name.Namespace: "event",
    Name.Constant: "variable",
    Name.Variable: "parameter",
}


@record
class Word:
    """One word: from, to (as offsets in the document), and what it is."""

    start: int
    end: int
    kind: str


def words(session: Session) -> Iterator[list[Word]]:
    """The words of each statement in turn, the blanks and comments ahead of it included."""
    rules = session.checker.rules
    lets = frozenset(rules.lets) if rules is not None else frozenset()
    text, done = session.text.content, 0
    for end in [*(piece.end for piece in session.pieces.pieces), len(text)]:
        if end > done:
            yield [_placed(word, done, text, lets) for word in _lexed(text[done:end])]
            done = end


def _placed(word: Word, shift: int, text: str, lets: frozenset[str]) -> Word:
    start, end = word.start + shift, word.end + shift
    is_let = word.kind == "parameter" and text[start:end] in lets
    return Word(start, end, "variable" if is_let else word.kind)


@lru_cache(maxsize=8192)
def _lexed(text: str) -> tuple[Word, ...]:
    found = []
    for start, kind, value in LayerlrLexer().get_tokens_unprocessed(text):
        meant = _kind(kind)
        if meant is not None and value.strip():
            found.append(Word(start, start + len(value), meant))
    return tuple(found)


def _kind(found: _TokenType) -> str | None:
    kind: _TokenType | None = found
    while kind is not None:
        if kind in _KIND_OF:
            return _KIND_OF[kind]
        kind = kind.parent
    return None
