"""Numbers for other programs: a table, and TensorBoard's event files."""

from __future__ import annotations

import csv
import json
import sys

import pytest
from tinyruns import again, settings


def _jsonl(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def _table(out):
    with (out / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _stopped_and_resumed(layerlr, monkeypatch, line, out, data="data"):
    """A run that was stopped in mid-epoch after its last checkpoint had been made, and gone on with."""
    from layerlr_dsl.runner import loop

    original = loop.Loop._step

    def until_nine(self, *arguments):
        if self.progress.total == 9:
            raise ZeroDivisionError
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_step", until_nine)
        assert layerlr(*line).status == 1
    assert layerlr(*again(out, data=data)).status == 0


def test_the_table_has_a_line_for_each_row_with_rates_and_what_is_frozen(tmp_path, rules, layerlr):
    """Of every group; truth is 0 or 1, what a row does not tell is empty."""
    out = tmp_path / "run"
    ran = layerlr(*settings(rules, out, "--log", "csv"))
    assert ran.status == 0, ran.err
    rows, lines = _jsonl(out), _table(out)
    assert len(lines) == len(rows)
    for row, line in zip(rows, lines, strict=True):
        assert (line["kind"], int(line["step"])) == (row["kind"], row["step"])
        for group, rate in row["lr"].items():
            assert float(line[f"lr/{group}"]) == rate
            assert int(line[f"frozen/{group}"]) == (group in row["frozen"])
        if row["kind"] == "step":
            assert float(line["accuracy"]) == row["accuracy"]
            assert line["val_loss"] == ""
        else:
            assert float(line["val_accuracy"]) == row["val_accuracy"]
            assert line["best"] in "01"


def test_the_table_of_a_resumed_run_is_that_of_one_that_was_never_stopped(
    tmp_path, rules, layerlr, monkeypatch
):
    """What was written after the last checkpoint is gone and comes again."""
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert layerlr(*settings(rules, whole, "--log", "csv")).status == 0
    _stopped_and_resumed(layerlr, monkeypatch, settings(rules, out, "--log", "csv"), out)
    assert (out / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()


def test_a_log_may_be_asked_for_when_a_run_goes_on(tmp_path, rules, layerlr):
    """It then holds the rows of before too."""
    out = tmp_path / "run"
    assert layerlr(*settings(rules, out)).status == 0
    ran = layerlr(*again(out, "--epochs", 4, "--log", "csv"))
    assert ran.status == 0, ran.err
    assert len(_table(out)) == len(_jsonl(out))


def test_lines_that_a_crash_left_unreadable_do_not_stop_a_run(tmp_path, rules, layerlr):
    """Zeroed blocks in the log of metrics: the other rows stand in the table."""
    out = tmp_path / "run"
    assert layerlr(*settings(rules, out)).status == 0
    whole = (out / "metrics.jsonl").read_bytes()
    (out / "metrics.jsonl").write_bytes(b"\x00" * 40 + b"\n{}\n" + whole[44:])
    ran = layerlr(*again(out, "--log", "csv", "--epochs", 4))
    assert ran.status == 0, ran.err
    assert len((out / "metrics.csv").read_text().splitlines()) > 20


def test_a_loss_that_is_no_number_is_an_empty_cell(tmp_path, rules, layerlr):
    """As it is null in the JSON lines."""
    rules.write_text("** -> lr 1e-2\n")
    out = tmp_path / "run"
    line = settings(rules, out, "--on-nan", "skip", "--log", "csv", "--epochs", 1, data="poisoned")
    assert layerlr(*line).status == 0
    assert [row["loss"] == "" for row in _table(out) if row["kind"] == "step"].count(True) == 1


def test_logs_need_a_folder(rules, layerlr):
    """There is none to write them to."""
    ran = layerlr(*settings(rules, None, "--log", "csv"))
    assert ran.status == 2
    assert "--log csv needs --out" in ran.err


def test_tensorboard_that_is_not_there_is_said_before_training(tmp_path, rules, layerlr, monkeypatch):
    """With what to install; no folder is left."""
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    ran = layerlr(*settings(rules, tmp_path / "run", "--log", "tensorboard"))
    assert ran.status == 2
    assert "--log tensorboard needs the package tensorboard" in ran.err
    assert 'pip install "layerlr-dsl[log]"' in ran.err
    assert not (tmp_path / "run").exists()


def test_tensorboard_reads_rates_frozen_groups_and_figures(tmp_path, rules, layerlr, monkeypatch):
    """With its own reader; a resumed run shows each step once."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = tmp_path / "run"
    line = settings(rules, out, "--log", "tensorboard", "--log", "csv")
    _stopped_and_resumed(layerlr, monkeypatch, line, out)
    events = accumulator.EventAccumulator(str(out / "tensorboard")).Reload()
    tags = events.Tags()["scalars"]
    rows = _jsonl(out)
    steps = [row for row in rows if row["kind"] == "step"]
    for group in steps[0]["lr"]:
        rates = events.Scalars(f"lr/{group}")
        assert [event.step for event in rates] == [row["step"] for row in steps]
        assert [event.value for event in rates] == pytest.approx([row["lr"][group] for row in steps])
        frozen = [event.value for event in events.Scalars(f"frozen/{group}")]
        assert frozen == [float(group in row["frozen"]) for row in steps]
    values = [event.value for event in events.Scalars("val/accuracy")]
    assert values == pytest.approx([row["val_accuracy"] for row in rows if row["kind"] == "epoch"])
    assert {"train/loss", "train/gradient_norm", "val/loss", "train/epoch_loss"} <= set(tags)
