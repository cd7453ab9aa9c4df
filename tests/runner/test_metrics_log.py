"""The metrics log grows by whole lines."""

from __future__ import annotations

import json

import pytest

from layerlr_dsl.runner.errors import RunFailed
from layerlr_dsl.runner.metrics import LineLog, finite


def test_cutting_back_drops_what_came_after_a_checkpoint(tmp_path):
    """Rows written after the checkpoint are written again by the resumed run, so they go."""
    log = LineLog(tmp_path / "m.jsonl")
    log.append({"step": 1})
    kept = log.size
    log.append({"step": 2})
    assert log.cut(kept) == 0
    log.append({"step": 2, "again": True})
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert rows == [{"step": 1}, {"step": 2, "again": True}]


def test_a_log_that_is_too_short_says_by_how_much(tmp_path):
    """A user who deleted lines is told."""
    log = LineLog(tmp_path / "m.jsonl")
    assert log.cut(12) == 12


def test_an_unwritable_log_is_an_error_with_its_path(tmp_path):
    """A folder in the place of the file, as an example of what cannot be written."""
    (tmp_path / "m.jsonl").mkdir()
    with pytest.raises(RunFailed, match=r"m\.jsonl could not be written"):
        LineLog(tmp_path / "m.jsonl").append({"step": 1})


@pytest.mark.parametrize(("value", "written"), [(1.5, 1.5), (float("nan"), None), (float("inf"), None)])
def test_numbers_that_json_lacks_become_null(value, written):
    """A strict JSON reader must be able to read every line."""
    assert finite(value) == written
