"""Two rule files on one model as a page: their stills side by side, the blocks that differ marked, and what differs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from html import escape
from importlib.resources import files

from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plots.chart import of_network
from layerlr_dsl.plots.colours import Scale, scale
from layerlr_dsl.plots.network import Drawing, drawing
from layerlr_dsl.plots.svg import draw
from layerlr_dsl.tools.records import record


@record
class Side:
    """One of the two: its plan, what it is called, and the names of the parameters that differ."""

    plan: Plan
    title: str
    changed: Set[str]


def page(old: Side, new: Side, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The page. heads, rows: the table below the pictures. Raises UnknownLength."""
    shown = [drawing(side.plan, side.title) for side in (old, new)]
    scales = [scale(one) for one in shown]
    both = Scale(min(one.low for one in scales), max(one.high for one in scales))
    pictures = "".join(
        f'<figure role="region" aria-label="{escape(side.title)}" tabindex="0">{draw(of_network(one, marked_kinds(side, one), "differs from the other", both))}</figure>'
        for side, one in zip((old, new), shown, strict=True)
    )
    listed = list(rows)
    title = f"{old.title} and {new.title}"
    template = files("layerlr_dsl.plots").joinpath("page", "compared.html").read_text(encoding="utf-8")
    parts = {
        "__TITLE__": escape(title),
        "__HEADING__": escape(title),
        "__PICTURES__": pictures,
        "__CHANGES__": _table(heads, listed) if listed else "<p>Nothing differs.</p>",
    }
    out = ""
    for mark, part in parts.items():
        before, template = template.split(mark, 1)
        out += before + part
    return out + template


def marked_kinds(side: Side, shown: Drawing) -> frozenset[int]:
    """The kinds of the parameters that differ."""
    classes = side.plan.matches.class_of
    names = enumerate(side.plan.inventory.names)
    return frozenset(shown.told.kind_of[classes[row]] for row, name in names if name in side.changed)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
