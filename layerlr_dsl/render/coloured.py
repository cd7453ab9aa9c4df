"""Rules in the colours of a notebook: selectors, options and values told apart, as HTML without a script.

Pygments does it, which comes with IPython; the lexer is found as Pygments finds that of any installed package.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

_COLOURS = {
    "Comment": ("comment", "#6e7781", "font-style:italic"),
    "Keyword": ("keyword", "#8250df", "font-weight:600"),
    "Operator.Word": ("keyword", "#8250df", "font-weight:600"),
    "Operator": ("operator", "#8250df", ""),
    "Name.Tag": ("def", "#0969da", ""),
    "Name.Attribute": ("attribute", "#bf5700", ""),
    "Name.Class": ("variable-2", "#1a7f37", ""),
    "Name.Function": ("variable-2", "#1a7f37", ""),
    "Literal": ("number", "#0a7d7d", ""),
}
"""By token: the colour of that name in JupyterLab's theme, one for elsewhere that is read on white and on black,
and what tells it apart without colours."""


def lines(text: str) -> list[str]:
    """The lines of a rule text as HTML; in one colour where Pygments, or its lexer, is not there."""
    lexer = _lexer()
    if lexer is None:
        return [escape(line) for line in text.splitlines()]
    found = [""]
    for token, value in lexer.get_tokens(text):
        for number, part in enumerate(value.split("\n")):
            if number:
                found.append("")
            found[-1] += _span(token, part)
    return found[: len(text.splitlines())]


def _lexer() -> Any:
    try:
        from pygments.lexers import get_lexer_by_name
        from pygments.util import ClassNotFound
    except ImportError:
        return None
    try:
        return get_lexer_by_name("layerlr", stripnl=False)
    except ClassNotFound:
        return None


def _span(token: Any, text: str) -> str:
    style = next((_COLOURS[name] for name in _names(token) if name in _COLOURS), None)
    if style is None or not text.strip():
        return escape(text)
    name, colour, more = style
    said = f"color:var(--jp-mirror-editor-{name}-color,{colour});{more}".rstrip(";")
    return f'<span style="{said}">{escape(text)}</span>'


def _names(token: Any) -> Iterator[str]:
    """A token's name and those of the kinds it belongs to: `Operator.Word`, `Operator`."""
    parts = list(token)
    while parts:
        yield ".".join(parts)
        parts.pop()
