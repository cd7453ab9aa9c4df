"""Data flows one way: a room imports only the rooms below it, deferred and typing imports counted."""

from __future__ import annotations

from imports import MAY_IMPORT, imported, modules, room

# The package itself only names what is public, and `python -m` only calls the command line.
TOP = {"", "__main__"}


def _against_the_flow() -> set[tuple[str, str]]:
    known = modules()
    found = set()
    for name, path in known.items():
        for other in imported(path, known):
            if room(name) not in TOP | {room(other)} and room(other) not in MAY_IMPORT[room(name)]:
                found.add((name, room(other)))
    return found


def test_rooms_import_downwards_only() -> None:
    """An import against the flow is a knot."""
    assert _against_the_flow() == set()


def test_the_rooms_are_all_there_and_in_order() -> None:
    """A new room says what it may import, and none may import one above it."""
    rooms = list(MAY_IMPORT)
    assert {room(name) for name in modules()} - TOP == set(rooms)
    for place, name in enumerate(rooms):
        assert MAY_IMPORT[name] <= set(rooms[:place]), name


def test_modules_do_not_import_each_other() -> None:
    """What needs each other is one module, or lacks a third that both stand on."""
    assert _circles() == set()


def _circles() -> set[frozenset[str]]:
    """The largest sets of modules in which each leads to every other."""
    known = modules()
    leads_to = {name: imported(path, known) - {name} for name, path in known.items()}
    reached = {name: _reached(name, leads_to) for name in known}
    circles = {frozenset(other for other in reached[name] if name in reached[other]) for name in known}
    return {circle for circle in circles if circle}


def _reached(start: str, leads_to: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        new = leads_to[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached
