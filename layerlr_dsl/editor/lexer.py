"""Highlighting with Pygments: `pygmentize -l layerlr rules.lr`, and every site built on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from pygments.lexer import RegexLexer, bygroups, default, include, words
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Text,
    Whitespace,
)

from layerlr_dsl.language.names import CAPTURE_FUNCTIONS, DTYPES, FUNCTIONS
from layerlr_dsl.language.vocabulary import ATTRIBUTES, FAMILIES

__all__ = ["LayerlrLexer"]


def _groups(*kinds: Any) -> Any:
    """What gives each group of an expression its kind; it can be asked for the kinds."""
    callback = cast("Callable[..., Any]", bygroups)(*kinds)
    callback.kinds = kinds
    return callback


_INSIDE = r"(?![\w.*?\[{<])"
"""Behind a word that may also be the name of a layer, or the beginning of one."""
_CLAUSE_WORDS = (
    "from",
    "until",
    "warmup",
    "updating",
    "statistics",
    "at",
    "then",
    "every",
    "starting",
    "frozen",
    "trains",
    "stops",
    "falling",
    "rising",
    "for",
    "by",
    "descending",
    "ascending",
)
_UNITS = ("epoch", "epochs", "step", "steps")
_PATTERN = r"(?:[\w.*?\]}]+|-(?!>)|\[!?\]?[^\s\]]*\]?|\{[^\s{}]*\}?|<[^\s<>]*>?)+"
_STRING = r'"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"'
_REGEX = r"/(?:[^/\\\n]|\\[^\n])[^/\\\n]*(?:\\[^\n][^/\\\n]*)*/"
_CONTINUED = r"(,)([ \t\r]*)(#[^\n]*)?(\n)(?=[ \t]+[^\s#])"
_THEN_CONTINUED = r"(then)([ \t\r]*)(#[^\n]*)?(\n)(?=[ \t]+[^\s#])"
_CONTINUED_TOKENS = _groups(Punctuation, Whitespace, Comment.Single, Whitespace)
_THEN_TOKENS = _groups(Operator.Word, Whitespace, Comment.Single, Whitespace)
_SCHEDULE_FOLLOWS = r"(?=[ \t]*(?:[(\n;#=]|$|(?:for|then)(?!\w)))"


class LayerlrLexer(RegexLexer):
    """Rule files of layerlr (`*.lr`). Every character comes out again, in its place."""

    name = "layerlr"
    url = "https://pypi.org/project/layerlr-dsl/"
    aliases: ClassVar[list[str]] = ["layerlr", "lr"]
    filenames: ClassVar[list[str]] = ["*.lr"]
    mimetypes: ClassVar[list[str]] = ["text/x-layerlr"]
    version_added = ""

    tokens: ClassVar[dict[str, list[Any]]] = {
        "root": [
            include("blank"),
            (r"[\n;]", Punctuation),
            (
                r"(let)([ \t]+)([^\W\d]\w*)([ \t]*)(=)",
                _groups(Keyword.Declaration, Whitespace, Name.Constant, Whitespace, Operator),
                "value",
            ),
            (
                r"(group)([ \t]+)([^\W\d]\w*)([ \t]*)(=)",
                _groups(Keyword.Declaration, Whitespace, Name.Label, Whitespace, Operator),
                "selector",
            ),
            (
                r"(optimizer)([ \t]+)([^\W\d]\w*)([ \t]*)(=)([ \t]*)([^\W\d]\w*)",
                _groups(Keyword, Whitespace, Name.Label, Whitespace, Operator, Whitespace, Name.Class),
                "value",
            ),
            (
                rf"(optimizer|schedule)([ \t]+)([^\W\d]\w*){_SCHEDULE_FOLLOWS}",
                _groups(Keyword, Whitespace, Name.Class),
                "schedule",
            ),
            (
                r"(stage)([ \t]+)([^\W\d]\w*)(?=[ \t]*(?:[\n;#,]|$|(?:for|until)(?!\w)))",
                _groups(Keyword.Declaration, Whitespace, Name.Namespace),
                "heading",
            ),
            (r"after[ \t]+stages(?=[ \t]*(?:[\n;#]|$))", Keyword.Declaration, "heading"),
            (
                r"(freeze)([ \t]+)(statistics)([ \t]+)(of)(?=[ \t])",
                _groups(Keyword, Whitespace, Keyword, Whitespace, Keyword),
                "selector",
            ),
            (r"(?:version|epochs|steps|steps_per_epoch)(?=[ \t]+[\w(.])", Keyword, "value"),
            (r'(?:model|include)(?=[ \t]+")', Keyword.Namespace, "value"),
            (r"(?:freeze|unfreeze|expect)(?=[ \t]+[^\s\-,;])", Keyword, "selector"),
            default("selector"),
        ],
        "blank": [
            (r"[ \t\r\f\ufeff]+", Whitespace),
            (r"\\[ \t\r]*\n", Whitespace),
            (r"#[^\n]*", Comment.Single),
        ],
        "selector": [
            include("blank"),
            (_CONTINUED, _CONTINUED_TOKENS),
            (r"[\n;]", Punctuation, "#pop"),
            (r"->", Operator, ("#pop", "settings")),
            (_THEN_CONTINUED, _THEN_TOKENS),
            (rf"(?:except|then){_INSIDE}", Operator.Word),
            (rf"where{_INSIDE}", Operator.Word, ("#pop", "value")),
            (words(_CLAUSE_WORDS, suffix=r"(?!\w)(?=[ \t\n;#]|$)"), Keyword, ("#pop", "value")),
            (r"[^\W\d]\w*(?=[ \t]*(?:[=!<>]=|[<>][ \t]))", Name.Attribute),
            (r"[=!<>]=", Operator, ("#pop", "value")),
            (r"[<>](?=[ \t])", Operator, ("#pop", "value")),
            (_STRING, String.Double),
            (_REGEX, String.Regex),
            (r"@[^\W\d]\w*", Name.Label),
            (_PATTERN, Name.Tag),
            (r",", Punctuation),
            (r".", Text),
        ],
        "settings": [
            include("blank"),
            (
                r"(optimizer|schedule)([ \t]+)([^\W\d]\w*)",
                _groups(Name.Attribute, Whitespace, Name.Class),
                ("#pop", "schedule"),
            ),
            (r"[^\W\d]\w*", Name.Attribute, ("#pop", "value")),
            (_STRING, Name.Attribute, ("#pop", "value")),
            default(("#pop", "value")),
        ],
        "value": [
            include("blank"),
            (_CONTINUED, _CONTINUED_TOKENS, ("#pop", "settings")),
            (r",", Punctuation, ("#pop", "settings")),
            (r"[\n;]", Punctuation, "#pop"),
            include("expression"),
        ],
        "schedule": [
            include("blank"),
            (_THEN_CONTINUED, _THEN_TOKENS, "next schedule"),
            (r"then(?!\w)", Operator.Word, "next schedule"),
            include("value"),
        ],
        "next schedule": [
            include("blank"),
            (r"[^\W\d]\w*", Name.Class, "#pop"),
            default("#pop"),
        ],
        "heading": [
            include("blank"),
            (
                r"(,)([ \t]*)(fresh)([ \t]+)(optimizer)(?!\w)",
                _groups(Punctuation, Whitespace, Keyword, Whitespace, Keyword),
            ),
            (r"[\n;]", Punctuation, "#pop"),
            include("expression"),
        ],
        "parentheses": [
            include("blank"),
            (r"\n", Whitespace),
            (r"\)", Punctuation, "#pop"),
            (r"([^\W\d]\w*)([ \t]*)(=)(?!=)", _groups(Name.Attribute, Whitespace, Operator)),
            (r",", Punctuation),
            (r"->|;", Punctuation, "#pop"),
            include("expression"),
        ],
        "expression": [
            (r"\(", Punctuation, "parentheses"),
            (_STRING, String.Double),
            (r"(matches)([ \t]*)(" + _REGEX + ")", _groups(Operator.Word, Whitespace, String.Regex)),
            (r"->", Operator, ("#pop", "settings")),
            (r"\*=|[=!<>]=|[-+*/^<>=%\[\]]", Operator),
            (r"\.?\d[\w.]*(?:(?<=[eE])[+-][\w.]*)*%?", Number),
            (words(("and", "or", "not", "is", "matches", "mod"), suffix=r"(?!\w)"), Operator.Word),
            (words(_CLAUSE_WORDS, suffix=r"(?!\w)"), Keyword),
            (words(("true", "false"), suffix=r"(?!\w)"), Keyword.Constant),
            (words(_UNITS, suffix=r"(?!\w)"), Keyword.Type),
            (words((*FUNCTIONS, *CAPTURE_FUNCTIONS), suffix=r"(?=[ \t]*\()"), Name.Function),
            (words(ATTRIBUTES, suffix=r"(?!\w)"), Name.Builtin),
            (words((*FAMILIES, *DTYPES), suffix=r"(?!\w)"), Name.Builtin.Pseudo),
            (r"@[^\W\d]\w*(?:\.[^\W\d]\w*)?", Name.Label),
            (r"[^\W\d]\w*", Name.Variable),
            (r".", Text),
        ],
    }
