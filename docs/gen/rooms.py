"""The picture of the rooms, drawn from the table on the page of the architecture: what a room imports lies below it."""

from __future__ import annotations

import re
from html import escape

WIDTH, ROW, HEIGHT = 640, 56, 30
_ROOM = re.compile(r"^\| `(\w+)` \|[^|]+\|([^|]*)\|$", re.M)


def rooms(page: str) -> dict[str, set[str]]:
    """What each room of the table may import, in the order of the table."""
    return {name: set(re.findall(r"\w+", below)) for name, below in _ROOM.findall(page)}


def picture(page: str) -> str:
    """The rooms as an SVG element. Lines lead to what is imported, unless a line leads there by way of another."""
    known = rooms(page)
    floors = _floors(known)
    places = _places(floors)
    top = max(floors.values())
    lines = "".join(_line(places[name], places[below]) for name in known for below in _direct(name, known))
    boxes = "".join(_box(name, *place) for name, place in places.items())
    return (
        f'<svg class="rooms" viewBox="0 0 {WIDTH} {(top + 1) * ROW}" role="img" aria-label="The rooms">'
        f"<title>Each room imports only rooms below it</title>{lines}{boxes}</svg>"
    )


def _floors(known: dict[str, set[str]]) -> dict[str, int]:
    """How many rooms a room stands on, counted along the longest way down."""
    floors: dict[str, int] = {}
    for name, below in known.items():
        floors[name] = 1 + max((floors[other] for other in below), default=-1)
    return floors


def _direct(name: str, known: dict[str, set[str]]) -> list[str]:
    below = known[name]
    return sorted(other for other in below if not any(other in known[between] for between in below))


def _places(floors: dict[str, int]) -> dict[str, tuple[float, float]]:
    """The middle of each room's box; those of one floor stand side by side."""
    top, places = max(floors.values()), {}
    for floor in range(top + 1):
        here = [name for name, own in floors.items() if own == floor]
        for number, name in enumerate(here):
            places[name] = (WIDTH * (number + 1) / (len(here) + 1), (top - floor) * ROW + ROW / 2)
    return places


def _line(above: tuple[float, float], below: tuple[float, float]) -> str:
    half = HEIGHT / 2
    return f'<path d="M{above[0]:.0f},{above[1] + half:.0f}L{below[0]:.0f},{below[1] - half:.0f}"/>'


def _box(name: str, x: float, y: float) -> str:
    wide = 96
    return (
        f'<rect x="{x - wide / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{wide}" height="{HEIGHT}" rx="5"/>'
        f'<text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle">{escape(name)}</text>'
    )
