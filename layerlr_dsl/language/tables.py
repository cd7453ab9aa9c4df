"""The parser's tables: built from the grammar once, saved beside this module, checked when loaded.

Run `python -m layerlr_dsl.language.tables` after a change of the grammar. Where the saved
tables do not fit (another grammar, another Lark, a damaged file), the parser is built from the
grammar, which takes a quarter of a second instead of some milliseconds.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import lark
from lark import Lark, Token

from layerlr_dsl.language.resources import grammar_path

SAVED = Path(__file__).with_name("tables.bin")
# Options that hold live objects; they are given anew to every parser.
_LIVE_OPTIONS = ("transformer", "postlex", "lexer_callbacks")


class _AlwaysSeparates:
    """Has the lexer find the ends of statements even where the grammar has no use for one."""

    always_accept = ("END",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


def load(builder: object, on_comment: Callable[[Token], Token]) -> Lark:
    """A parser whose rules call `builder` as they are reduced, from saved tables if they fit."""
    live = _live_options(builder, on_comment)
    grammar = grammar_path().read_bytes()
    try:
        saved = SAVED.read_bytes()
        head, _, body = saved.partition(b"\n")
        if head != _fingerprint(grammar):
            return build(grammar, live)
        parser: Lark = Lark.__new__(Lark)._load(io.BytesIO(body), **live)
    except (OSError, pickle.PickleError, LookupError, AttributeError, TypeError, ValueError, EOFError):
        return build(grammar, live)
    return parser


def build(grammar: bytes, live: dict[str, Any]) -> Lark:
    """A parser straight from the grammar; strict where Lark can be (it needs `interegular` for that)."""
    from lark.lexer import has_interegular

    return Lark(
        grammar.decode("utf-8"),
        parser="lalr",
        lexer="contextual",
        strict=has_interegular,
        keep_all_tokens=True,
        maybe_placeholders=True,
        **live,
    )


def saved_tables(grammar: bytes) -> bytes:
    """What the file of saved tables must hold for `grammar`."""
    buffer = io.BytesIO()
    build(grammar, _live_options(object(), _unchanged)).save(buffer, _LIVE_OPTIONS)
    return _fingerprint(grammar) + b"\n" + buffer.getvalue()


def _live_options(builder: object, on_comment: Callable[[Token], Token]) -> dict[str, Any]:
    return {
        "transformer": builder,
        "postlex": _AlwaysSeparates(),
        "lexer_callbacks": {"COMMENT": on_comment},
    }


def _unchanged(token: Token) -> Token:
    return token


def _fingerprint(grammar: bytes) -> bytes:
    text = grammar.replace(b"\r\n", b"\n")
    return f"layerlr tables, lark {lark.__version__}, grammar {sha256(text).hexdigest()}".encode()


if __name__ == "__main__":
    SAVED.write_bytes(saved_tables(grammar_path().read_bytes()))
