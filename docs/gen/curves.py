"""Schedules drawn as small SVG pictures that take their colours from the page."""

from __future__ import annotations

from html import escape

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory

EPOCHS, STEPS = 10, 30
WIDTH, HEIGHT, MARGIN = 560, 120, 28


def tiny() -> Inventory:
    """The smallest model that a schedule can be resolved for."""
    from torch import nn

    return Inventory.of(nn.Linear(1, 1))


def curve(schedule: str) -> str:
    """The factor of a schedule over a run of ten epochs, as an SVG element."""
    plan = layerlr.parse(f"schedule {schedule}\n** -> lr 1").resolve(
        tiny(), epochs=EPOCHS, steps_per_epoch=STEPS
    )
    total = EPOCHS * STEPS
    factors = [plan.at(step=t)["weight"]["lr"] for t in range(total)]
    points = " ".join(f"{_x(t / total):.1f},{_y(factor):.1f}" for t, factor in enumerate(factors))
    marks = "".join(
        f'<text x="{_x(e / EPOCHS):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{e}</text>'
        for e in range(0, EPOCHS + 1, 2)
    )
    return (
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(schedule)}">'
        f"<title>{escape(schedule)} over {EPOCHS} epochs</title>"
        f'<path class="axis" d="M{_x(0)},{_y(1)}V{_y(0)}H{_x(1)}"/>'
        f'<text x="{MARGIN - 6}" y="{_y(1) + 4}" text-anchor="end">1</text>'
        f'<text x="{MARGIN - 6}" y="{_y(0) + 4}" text-anchor="end">0</text>{marks}'
        f'<polyline points="{points}"/></svg>'
    )


def _x(share: float) -> float:
    return MARGIN + share * (WIDTH - 2 * MARGIN)


def _y(factor: float) -> float:
    return HEIGHT - MARGIN - factor * (HEIGHT - 2 * MARGIN + 10)
