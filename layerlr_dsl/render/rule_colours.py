"""The colours of a rule text in a notebook: of what is shown, and of what is written in a cell."""

from __future__ import annotations

from collections.abc import Iterator

_COLOURS = {
    "Comment": ("comment", "#6e7781", "font-style:italic"),
    "Keyword": ("keyword", "#8250df", "font-weight:600"),
    "Operator.Word": ("keyword", "#8250df", "font-weight:600"),
    "Operator": ("operator", "#8250df", ""),
    "Name.Tag": ("def", "#0969da", ""),
    "Name.Attribute": ("string", "#bf5700", ""),
    "Name.Class": ("variable-2", "#1a7f37", ""),
    "Name.Function": ("variable-2", "#1a7f37", ""),
    "Literal": ("number", "#0a7d7d", ""),
}
"""By token: the colour of that name in JupyterLab's theme, one for elsewhere that is read on white and on black,
and what tells it apart without colours."""


def style(kind: str) -> str:
    """The CSS of a kind of token of the lexer (`Name.Tag`), or of the nearest kind it belongs to; "" for plain text."""
    found = next((_COLOURS[name] for name in _kinds(kind) if name in _COLOURS), None)
    if found is None:
        return ""
    name, colour, more = found
    return f"color:var(--jp-mirror-editor-{name}-color,{colour});{more}".rstrip(";")


def _kinds(kind: str) -> Iterator[str]:
    """From the kind itself to the widest: `Operator.Word`, `Operator`."""
    parts = kind.split(".")
    while parts:
        yield ".".join(parts)
        parts.pop()
