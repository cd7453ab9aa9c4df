"""The picture of the rooms, drawn from the table on the page of the architecture: what a room imports lies below it."""

from __future__ import annotations

import re
from html import escape
from itertools import permutations
from math import dist

WIDTH, ROW, HEIGHT, WIDE = 640, 56, 30, 90
COLUMNS = (64, 192, 320, 448, 576)
Place = tuple[float, float]
_ROOM = re.compile(r"^\| `(\w+)` \|[^|]+\|([^|]*)\|$", re.M)


def rooms(page: str) -> dict[str, set[str]]:
    """What each room of the table may import, in the order of the table."""
    return {name: set(re.findall(r"\w+", below)) for name, below in _ROOM.findall(page)}


def picture(page: str) -> str:
    """The rooms as an SVG element. Lines lead to what is imported, unless a line leads there by way of another."""
    known = rooms(page)
    floors = _floors(known)
    places = _places(floors, known)
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


def _places(floors: dict[str, int], known: dict[str, set[str]]) -> dict[str, Place]:
    """The middle of each room's box: from the ground up, where lines are short and lead behind no other box."""
    top, places = max(floors.values()), dict[str, Place]()
    for floor in range(top + 1):
        here = [name for name, own in floors.items() if own == floor]
        y = (top - floor) * ROW + ROW / 2
        tried = [
            dict(zip(here, [(x, y) for x in chosen], strict=True))
            for chosen in permutations(COLUMNS, len(here))
        ]
        places |= min(tried, key=lambda new: _cost(new, places, known))
    return places


def _cost(new: dict[str, Place], places: dict[str, Place], known: dict[str, set[str]]) -> float:
    """Of lines from new boxes to those below: their lengths, and far more for each box that one leads behind."""
    lines = [(new[name], places[below]) for name in new for below in _direct(name, known)]
    behind = sum(_leads_behind(above, below, box) for above, below in lines for box in places.values())
    aside = sum(abs(x - COLUMNS[2]) for x, _ in new.values())
    return behind * 10_000 + sum(dist(above, below) for above, below in lines) + aside / 10


def _leads_behind(above: Place, below: Place, box: Place) -> bool:
    if not above[1] < box[1] < below[1]:
        return False
    half = HEIGHT / 2 / (below[1] - above[1]) * abs(below[0] - above[0])
    x = above[0] + (below[0] - above[0]) * (box[1] - above[1]) / (below[1] - above[1])
    return abs(x - box[0]) < WIDE / 2 + half


def _line(above: Place, below: Place) -> str:
    half = HEIGHT / 2
    return f'<path d="M{above[0]:.0f},{above[1] + half:.0f}L{below[0]:.0f},{below[1] - half:.0f}"/>'


def _box(name: str, x: float, y: float) -> str:
    return (
        f'<rect x="{x - WIDE / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDE}" height="{HEIGHT}" rx="5"/>'
        f'<text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle">{escape(name)}</text>'
    )
