"""Which windows hold others: the quick search against looking at each pair."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from layerlr_dsl.plan.covering import Order, Windows
from layerlr_dsl.plan.timeline import Interval, Mark

ticks = st.integers(0, 5).map(lambda n: Fraction(n, 2))


@st.composite
def marks(draw: st.DrawFn, stage: int) -> Mark:
    """A mark on the clock, behind an event, or at a share of a stage."""
    kind = draw(st.sampled_from(["clock", "clock", "event", "share"]))
    if kind == "event":
        return Mark(draw(ticks), draw(st.integers(0, 1)), stage)
    return Mark(draw(ticks), None, stage, draw(ticks) if kind == "share" else Fraction(0))


@st.composite
def windows(draw: st.DrawFn) -> Interval:
    """A window of the run, or of one of two stages."""
    stage = draw(st.integers(0, 2))
    return Interval(draw(marks(stage)), draw(st.none() | marks(stage)), stage)


def covers(outer: Interval, inner: Interval) -> bool:
    """Whether one window holds another whole, as far as that can be known: read off its two ends."""
    if outer == inner:
        return True
    shares = (outer.opens.share, inner.opens.share, outer.closes is not None and outer.closes.share)
    if outer.stage != inner.stage or any(shares):
        return False
    begins = outer.opens == inner.opens or (
        outer.opens.event is None
        and (outer.opens.ticks <= inner.opens.ticks if inner.opens.event is None else not outer.opens.ticks)
    )
    return begins and (
        outer.closes is None or (inner.closes is not None and _ends(outer.closes, inner.closes))
    )


def _ends(outer: Mark, inner: Mark) -> bool:
    waits = outer.event is not None or inner.event is not None or bool(inner.share)
    return outer == inner or (not waits and outer.ticks >= inner.ticks)


@given(st.lists(windows(), max_size=12), windows())
def test_the_first_window_that_holds_another_is_found(outer: list[Interval], inner: Interval) -> None:
    """Marks on the clock, behind events and at shares, in and out of stages; the least number counts."""
    known = Windows(Order([*outer, inner]))
    for number, window in enumerate(outer):
        known.add(window, number)
    assert known.first_that_covers(inner) == next(
        (number for number, window in enumerate(outer) if covers(window, inner)), None
    )
