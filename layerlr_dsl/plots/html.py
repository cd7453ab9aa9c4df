"""One HTML page that needs nothing but itself: the network as blocks, its rules, and time to move through.

The page is made of a drawing's data (`data`), which says each thing once, and of a script that draws it.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from layerlr_dsl.plots.chart import MOST_LANES, fan
from layerlr_dsl.plots.network import Drawing, Measure
from layerlr_dsl.plots.series import MOST_LABELS, Curve, Picture
from layerlr_dsl.plots.told import Kind, Said
from layerlr_dsl.plots.tree import Structure
from layerlr_dsl.tools.numbers import spelled

DIGITS = 5
MOST_PLAIN = 400_000
"""Characters of data that stand in the page as they are."""


def draw(drawing: Drawing) -> str:
    """The page. Names are data in it, never markup."""
    return page(drawing.picture.title, data(drawing))


def following(name: str, news: dict[str, Any]) -> str:
    """A page that goes on as a file changes: what is known of it now, called `name` while nothing is drawn."""
    shown = news.get("drawing") or {"title": name}
    return page(shown["title"], shown, {part: of for part, of in news.items() if part != "drawing"})


def page(title: str, shown: dict[str, Any], live: dict[str, Any] | None = None) -> str:
    """The page of some data.

    live: findings to show beside it. Such a page asks the server that it came from for what is new behind
    the `version` of these; without a version it is told by messages, as a page in an editor is.
    """
    style, script = _part("page.css"), _part("page.js")
    policy = "" if live is None else "connect-src 'self'; "
    parts = {
        "__POLICY__": policy,
        "__TITLE__": escape(title),
        "__STYLE__": style,
        "__DATA__": _packed(as_script({**shown, "live": live})),
        "__SCRIPT__": script,
    }
    out = []
    rest = _part("page.html")
    for mark, part in parts.items():
        before, rest = rest.split(mark, 1)
        out += [before, part]
    return "".join([*out, rest])


def _part(name: str) -> str:
    return files("layerlr_dsl.plots").joinpath("page", name).read_text(encoding="utf-8")


def as_script(data: Any) -> str:
    """JSON that can stand inside a script element: nothing in it can end the element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _packed(text: str) -> str:
    """A text of JSON as an expression of the script: packed where it is long."""
    if len(text) <= MOST_PLAIN:
        return text
    packed = b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")
    return f'"{packed}"'


def data(drawing: Drawing) -> dict[str, Any]:
    """A drawing as JSON: lists in place of records where there may be many, curves by their shape."""
    picture, told = drawing.picture, drawing.told
    shapes = _Shapes()
    low, high = picture.rate_range
    return {
        "title": picture.title,
        "unit": picture.unit,
        "end": picture.epochs,
        "times": [round(time, 6) for time in picture.times],
        "low": low,
        "high": high,
        "boundaries": picture.boundaries,
        "supposed": picture.supposed,
        "markers": [{"at": marker.epoch, "text": marker.assumed} for marker in picture.markers],
        "stages": picture.stages,
        "stretches": [[s.start, s.end, s.trainable, s.stops_at] for s in drawing.stretches],
        "ordered": drawing.tree.ordered,
        "groups": [
            {
                "name": one.name,
                "label": [one.label.name, one.label.remark] if one.label else [one.name, ""],
                "tensors": one.tensors,
                "numel": one.numel,
                "optimizer": one.optimizer,
                "schedule": one.schedule,
                "trains": one.ever_trains,
                "frozen": picture.spans(one, frozen=True),
            }
            for one in picture.series
        ],
        "measures": [_measure(picture, measure, shapes) for measure in drawing.measures],
        "shapes": shapes.known,
        "optimizers": drawing.optimizers,
        "rules": [[r.text, r.place, r.line, r.stage, r.tensors, r.numel] for r in told.rules],
        "said": [_said(one) for one in told.said],
        "kinds": [_kind(kind) for kind in told.kinds],
        "structures": [_structure(structure) for structure in drawing.tree.structures],
        "blocks": [[block.structure, block.kinds, block.children] for block in drawing.tree.blocks],
        "root": drawing.tree.root,
    }


def _measure(picture: Picture, measure: Measure, shapes: _Shapes) -> dict[str, Any]:
    """`of`: what each group has, as a height and a shape; `curves`: which of them take one course."""
    of = [None if values is None else shapes.curve(values) for values in measure.values]
    curves = [
        _curve(picture, curve, measure.curves is picture.curves) for curve in measure.curves[:MOST_LANES]
    ]
    return {"option": measure.option, "label": measure.label, "of": of, "curves": curves}


def _curve(picture: Picture, curve: Curve, fans: bool) -> dict[str, Any]:
    """Its fan as points of time, lowest and highest; `assumed`: when a metric decides whether it is frozen."""
    one = picture.drawn(curve)
    bands = fan(picture, one) if fans else []
    return {
        "label": [curve.label.name, curve.label.remark],
        "groups": curve.groups[:MOST_LABELS],
        "numel": curve.numel,
        "place": round(curve.place, 4),
        "fan": [[[round(at, 6), _short(low), _short(high)] for at, low, high in band] for band in bands],
        "assumed": picture.where(one.fan.frees) if one.fan is not None else [],
    }


def _said(one: Said) -> list[Any]:
    return [one.rule, one.option, int(one.multiplies), one.value, one.formula, one.holds]


def _kind(kind: Kind) -> list[Any]:
    return [kind.group, kind.optimizer, kind.tensors, kind.said, kind.rules, dict(kind.base)]


def _structure(alike: Structure) -> list[Any]:
    tensors = [[t.leaf, t.shape, t.numel, *([t.tied] if t.tied else [])] for t in alike.tensors]
    return [alike.module, tensors, alike.segments, alike.numel, alike.count]


class _Shapes:
    """Courses over time, each shape once: groups mostly differ in how high they go."""

    def __init__(self) -> None:
        self.known: list[Sequence[float]] = []
        self._numbers: dict[Sequence[float], int] = {}

    def curve(self, values: Sequence[float]) -> tuple[float, int]:
        """A height, and the number of a shape: their product is the course."""
        height = max(map(abs, values), default=0.0) or 1.0
        shape = tuple(self._rounded(value / height for value in values))
        if shape not in self._numbers:
            self._numbers[shape] = len(self.known)
            self.known.append(shape)
        return float(spelled(float(height), 10)), self._numbers[shape]

    def _rounded(self, values: Iterable[float]) -> Iterable[float]:
        return map(_short, values)


def _short(value: float) -> float:
    """A number with a few digits, which JSON spells in as few signs."""
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short
