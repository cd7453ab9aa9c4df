"""Plans, rules and findings as fragments of HTML that need no script: what a notebook shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plots.chart import of_network
from layerlr_dsl.plots.network import drawing
from layerlr_dsl.plots.series import UnknownLength
from layerlr_dsl.plots.svg import draw
from layerlr_dsl.render import plan as table
from layerlr_dsl.render.text import render_all
from layerlr_dsl.tools.screen import Screen

_PRE = "font-size:12px;line-height:1.35;white-space:pre;overflow-x:auto;margin:0"
_EDGES = {"error": "#d1242f", "warning": "#bf8700", "info": "#0969da"}


def of_plan(plan: Plan) -> str:
    """The still of its network, and its table below, folded; the table alone where there is no time axis."""
    text = pre("\n".join(table.render(plan, plan.inventory.source, Screen(width=96))))
    try:
        picture = draw(of_network(drawing(plan, plan.inventory.source)))
    except UnknownLength:
        return f"<div>{text}</div>"
    return f"<div>{picture}<details><summary>groups and phases</summary>{text}</details></div>"


def of_rules(text: str, found: Sequence[Diagnostic]) -> str:
    """The text in colours with the numbers of its lines, and the findings below it."""
    lines = coloured(text) or [""]
    width = len(str(len(lines)))
    numbered = "\n".join(f"{number:>{width}}  {line}" for number, line in enumerate(lines, 1))
    return f'<div><pre style="{_PRE}">{numbered}</pre>{of_findings(found) if found else ""}</div>'


def of_findings(found: Iterable[Diagnostic]) -> str:
    """Each finding with its line and carets; a line of words where there is none."""
    each = [
        f'<div style="border-left:4px solid {_EDGES[one.severity]};padding-left:8px;margin:6px 0">'
        f"{pre(render_all([one], Screen(width=96)))}</div>"
        for one in found
    ]
    return f"<div>{''.join(each) or 'no findings'}</div>"


def pre(text: str) -> str:
    """Text as it stands, in a fixed-width face."""
    return f'<pre style="{_PRE}">{escape(text)}</pre>'


# ---------------------------------------------------------------- rules in colours


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


def coloured(text: str) -> list[str]:
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
