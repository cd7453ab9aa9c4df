"""One HTML page that needs nothing but itself: curves and lanes, hover for a group, scrub through time."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Any

from layerlr_dsl.plots.series import Picture
from layerlr_dsl.tools.numbers import spelled


def draw(picture: Picture) -> str:
    """The page. Names are data in it, never markup."""
    template = files("layerlr_dsl.plots").joinpath("page.html").read_text(encoding="utf-8")
    before, between, after = _split(template, "__TITLE__", "__DATA__")
    return before + escape(picture.title) + between + _script(_data(picture)) + after


def _split(template: str, *marks: str) -> list[str]:
    pieces = []
    for mark in marks:
        piece, template = template.split(mark, 1)
        pieces.append(piece)
    return [*pieces, template]


def _script(data: Any) -> str:
    """JSON that can stand inside a script element: nothing in it can end the element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(picture: Picture) -> dict[str, Any]:
    low, high = picture.rate_range
    return {
        "title": picture.title,
        "epochs": picture.epochs,
        "times": [round(time, 6) for time in picture.times],
        "low": low,
        "high": high,
        "boundaries": picture.boundaries,
        "courses": picture.courses,
        "markers": [{"epoch": marker.epoch, "text": marker.text} for marker in picture.markers],
        "series": [
            {
                "name": one.name,
                "tensors": one.tensors,
                "numel": one.numel,
                "optimizer": one.optimizer,
                "schedule": one.schedule,
                "rates": [float(spelled(rate, 6)) for rate in one.rates],
                "frozen": [int(state) for state in one.frozen],
                "everTrains": one.ever_trains,
                "lanes": picture.spans(one, frozen=True),
            }
            for one in picture.series
        ],
    }
