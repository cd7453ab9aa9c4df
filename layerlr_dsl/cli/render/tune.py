"""The table and the sentences at the end of `layerlr tune`."""

from __future__ import annotations

from layerlr_dsl.cli.terminal import Screen
from layerlr_dsl.render.table import Column, table
from layerlr_dsl.tools.cells import wrap
from layerlr_dsl.tuning.outcome import Outcome
from layerlr_dsl.tuning.verdict import headings, rows, verdict


def render(outcome: Outcome, screen: Screen) -> list[str]:
    """Lines that fit the screen."""
    columns = [
        Column(title, right=place > 1, elastic=place < 2) for place, title in enumerate(headings(outcome))
    ]
    lines = table(columns, rows(outcome), screen)
    lines.append("")
    for sentence in verdict(outcome):
        lines += wrap(sentence, screen.width, 0, "  ")
    return lines
