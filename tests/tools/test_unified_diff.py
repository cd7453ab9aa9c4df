"""Unified diffs: right for any two texts, and done soon for long ones."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from layerlr_dsl.tools.unified_diff import unified

LINES = st.lists(st.sampled_from(["", "a", "b", "c", "fc -> lr 1", "fc -> lr 2", "# x"]), max_size=40)
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@")


def _applied(before: list[str], diff: list[str]) -> list[str]:
    """What `patch` makes of the text; a context line that is not there is an error."""
    out: list[str] = []
    at = 0
    for line in diff[2:]:
        hunk = _HUNK.fullmatch(line)
        if hunk:
            start = int(hunk[1]) - (hunk[2] != "0")
            out += before[at:start]
            at = start
        elif line[0] == "+":
            out.append(line[1:])
        else:
            assert before[at] == line[1:]
            out += [line[1:]] * (line[0] == " ")
            at += 1
    return out + before[at:]


@given(LINES, LINES)
def test_a_diff_leads_from_the_one_text_to_the_other(before: list[str], after: list[str]) -> None:
    """Applied, it gives the new text; it is empty only where nothing changes."""
    diff = list(unified(before, after, "old", "new"))
    assert _applied(before, diff) == after
    assert bool(diff) == (before != after)


def test_only_what_changed_is_shown_with_three_lines_around_it() -> None:
    """As `diff -u` does."""
    before = [f"line {k}" for k in range(20)]
    after = [*before[:10], "other", *before[11:]]
    assert list(unified(before, after, "old", "new")) == [
        "--- old",
        "+++ new",
        "@@ -8,7 +8,7 @@",
        *(f" line {k}" for k in (7, 8, 9)),
        "-line 10",
        "+other",
        *(f" line {k}" for k in (11, 12, 13)),
    ]


def test_every_second_line_of_a_hundred_thousand_may_differ() -> None:
    """The time grows with the length; comparing all lines with all would take minutes."""
    before = [f"layer{k} -> lr 1" for k in range(100_000)]
    after = [line if k % 2 else line.replace(" ", "  ") for k, line in enumerate(before)]
    assert sum(line.startswith("+layer") for line in unified(before, after, "old", "new")) == 50_000
