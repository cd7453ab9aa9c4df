"""Plans, rules and findings as fragments of HTML that need no script: what a notebook shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plots.chart import of_network
from layerlr_dsl.plots.network import drawing
from layerlr_dsl.plots.series import UnknownLength
from layerlr_dsl.plots.svg import draw
from layerlr_dsl.render import plan as table
from layerlr_dsl.render.rule_colours import style
from layerlr_dsl.render.text import render_all
from layerlr_dsl.tools.screen import Screen

_PRE = "font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:12px;line-height:1.35;white-space:pre;overflow-x:auto;margin:0"
_NARROWEST = 560
"""Pixels: where the output is narrower, the still scrolls rather than becoming too small to read."""
_EDGES = {"error": "#d1242f", "warning": "#bf8700", "info": "#0969da"}


def of_plan(plan: Plan) -> str:
    """The still of its network, and its table below, folded; the table alone where there is no time axis."""
    text = pre("\n".join(table.render(plan, plan.inventory.source, Screen(width=96))))
    try:
        picture = draw(of_network(drawing(plan, plan.inventory.source)))
    except UnknownLength:
        return f"<div>{text}</div>"
    still = f'<div style="overflow-x:auto"><div style="min-width:{_NARROWEST}px">{picture}</div></div>'
    return f"<div>{still}<details><summary>groups and phases</summary>{text}</details></div>"


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
    said = style(".".join(token)) if text.strip() else ""
    return f'<span style="{said}">{escape(text)}</span>' if said else escape(text)
