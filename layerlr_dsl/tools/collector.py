"""The garbage collector, held back while much is made at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """For work that makes many objects and no cycles: passes over what grows would double its time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


_MADE_BETWEEN = 200_000
"""Objects that are made between two passes where there are few: some ten megabytes."""


@contextmanager
def collector_rarely() -> Iterator[None]:
    """For work in many like pieces, each large, without cycles and soon gone: passes are few, and go on."""
    usual = gc.get_threshold()
    gc.set_threshold(_MADE_BETWEEN, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
