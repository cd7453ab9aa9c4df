"""How long a run is: in epochs, in steps, or as long as its stages; and constants from the command line."""

from __future__ import annotations

import csv
import json

import pytest
from screens import now, picture
from tinyruns import again, content, run_differences, settings

LETS = "let base = 1e-2\nlet hold = 1\noptimizer adamw\nschedule cosine\n** -> lr base\nfreeze stem until epoch hold\n"
STAGES = """
optimizer adamw
stage head for 1 epoch
freeze stem, body
head -> lr 1e-2
stage all for 9 steps
** -> lr 1e-3
"""


def _rows(out, kind="step"):
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


def _without(line, option):
    at = line.index(option)
    return [*line[:at], *line[at + 2 :]]


# ---------------------------------------------------------------- steps


def test_a_run_may_be_as_long_as_so_many_steps(tmp_path, rules, layerlr):
    """Eight steps of epochs of six: one epoch and a third, scored at its end all the same."""
    out = tmp_path / "run"
    ran = layerlr(*_without(settings(rules, out), "--epochs"), "--steps", 8)
    assert ran.status == 0, ran.err
    assert content(out)["progress"]["total"] == 8
    assert [row["step"] for row in _rows(out, "epoch")] == [6, 8]
    assert max(_rows(out)[-1]["lr"].values()) < 1e-3


def test_the_length_in_steps_may_stand_in_the_file(tmp_path, rules, layerlr):
    """Nothing need be said on the command line; what is said there wins."""
    rules.write_text("steps 7\n** -> lr 1e-3\n")
    line = _without(settings(rules, tmp_path / "file"), "--epochs")
    assert layerlr(*line).status == 0
    assert content(tmp_path / "file")["progress"]["total"] == 7
    assert layerlr(*settings(rules, tmp_path / "line", "--epochs", 2)).status == 0
    assert content(tmp_path / "line")["progress"]["total"] == 12


def test_a_resumed_run_may_be_given_a_length_of_the_other_kind(tmp_path, rules, layerlr):
    """The new one counts, the old one is put out of force; both changes are told."""
    out = tmp_path / "run"
    rules.write_text("** -> lr 1e-3\n")
    assert layerlr(*settings(rules, out, "--epochs", 1)).status == 0
    ran = layerlr(*again(out, "--steps", 10))
    assert ran.status == 0, ran.err
    assert "--steps not set -> 10" in ran.out
    assert content(out)["progress"]["total"] == 10
    assert json.loads((out / "config.json").read_text())["epochs"] is None
    assert layerlr(*again(out, "--epochs", 3)).status == 0
    assert content(out)["progress"]["total"] == 18


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--steps", 3], "--epochs and --steps both give the length of the run"),
        (["--steps", 0], "0 is not in the range"),
        (["--let", "base"], "is not NAME=VALUE"),
        (["--let", "base=x y"], "is not NAME=VALUE with a constant"),
    ],
)
def test_lengths_and_constants_that_make_no_sense_are_refused(rules, layerlr, more, message):
    """As usage, with exit status 2."""
    ran = layerlr(*settings(rules, None, *more))
    assert ran.status == 2
    assert message in ran.err


# ---------------------------------------------------------------- constants from the command line


def _rates(out):
    return [max(row["lr"].values()) for row in _rows(out)]


def test_a_let_takes_the_place_of_the_files_own(tmp_path, rules, layerlr):
    """In the rates and in the times; it is kept with the run as it was written."""
    rules.write_text(LETS)
    plain, other = tmp_path / "plain", tmp_path / "other"
    assert layerlr(*settings(rules, plain)).status == 0
    assert layerlr(*settings(rules, other, "--let", "base=5e-3", "--let", "hold=2")).status == 0
    assert _rates(other) == pytest.approx([rate / 2 for rate in _rates(plain)])
    assert [bool(row["frozen"]) for row in _rows(plain, "epoch")] == [True, False, False]
    assert [bool(row["frozen"]) for row in _rows(other, "epoch")] == [True, True, False]
    assert json.loads((other / "config.json").read_text())["lets"] == {"base": "5e-3", "hold": "2"}


def test_a_resumed_run_goes_on_with_its_lets(tmp_path, rules, layerlr, monkeypatch):
    """They need not be said again; saying them again is no change."""
    from layerlr_dsl.runner import loop

    rules.write_text(LETS)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    lets = ["--let", "base=5e-3"]
    assert layerlr(*settings(rules, whole, *lets)).status == 0
    original = loop.Loop._step

    def until_eight(self, *arguments):
        return self._stop() if self.progress.total in (8, 9) else original(self, *arguments)

    for more in ([], lets):
        with monkeypatch.context() as patch:
            patch.setattr(loop.Loop, "_step", until_eight)
            line = again(stopped, *more) if stopped.exists() else settings(rules, stopped, *lets)
            assert layerlr(*line).status == 143
    ran = layerlr(*again(stopped))
    assert ran.status == 0, ran.err
    assert run_differences(whole, stopped) == []


def test_another_let_is_a_change_of_the_rules(tmp_path, rules, layerlr):
    """Shown with what it does to which parameter, and refused until it is accepted."""
    rules.write_text(LETS)
    out = tmp_path / "run"
    assert layerlr(*settings(rules, out, "--let", "base=5e-3")).status == 0
    line = again(out, "--epochs", 4, "--let", "base=2e-3", "--let", "hold=3")
    ran = layerlr(*line)
    assert ran.status == 2, ran
    assert "--let base: 5e-3 -> 2e-3" in ran.err
    assert "--let hold: the file's own -> 3" in ran.err
    assert ": lr 5e-3 -> 2e-3" in ran.err
    ran = layerlr(*line, "--accept-rule-changes")
    assert ran.status == 0, ran.err
    assert json.loads((out / "config.json").read_text())["lets"] == {"base": "2e-3", "hold": "3"}


def test_a_let_that_the_file_does_not_have_is_a_finding(rules, layerlr):
    """With the near miss."""
    rules.write_text(LETS)
    ran = layerlr(*settings(rules, None, "--let", "bas=1e-3"))
    assert ran.status == 1
    assert "base" in ran.err


# ---------------------------------------------------------------- stages


def test_stages_are_told_and_the_run_ends_with_the_last(tmp_path, rules, layerlr):
    """Also where that is in the middle of an epoch; every row names its stage."""
    rules.write_text(STAGES)
    out = tmp_path / "run"
    ran = layerlr(*settings(rules, out, "--epochs", 4, "--log", "csv"))
    assert ran.status == 0, ran.err
    told = [line.split("  ")[-1] for line in ran.out.splitlines() if "  stage " in line]
    assert told[0].startswith("stage head: ")
    assert told[1].startswith("stage all; thawed ")
    assert "the last stage is over: the run ends after 15 steps" in ran.out
    assert content(out)["progress"]["total"] == 15
    assert [row["stage"] for row in _rows(out)] == ["head"] * 6 + ["all"] * 9
    assert [row["step"] for row in _rows(out, "epoch")] == [6, 12, 15]
    with (out / "metrics.csv").open() as file:
        assert {row["stage"] for row in csv.DictReader(file)} == {"head", "all"}


def test_without_a_length_a_run_is_as_long_as_its_stages(tmp_path, rules, layerlr):
    """Nothing is left over, so nothing is said of it."""
    rules.write_text(STAGES)
    out = tmp_path / "run"
    ran = layerlr(*_without(settings(rules, out), "--epochs"))
    assert ran.status == 0, ran.err
    assert content(out)["progress"]["total"] == 15
    assert "the last stage is over" not in ran.out


def test_a_stage_that_a_metric_ends_is_followed_by_the_next(tmp_path, rules, layerlr):
    """The runner reports what the stage waits for; a finished run is over when it is resumed."""
    rules.write_text(
        "optimizer sgd\nstage head for 4 epochs until val_loss stops falling for 1 epoch by 100\n"
        "freeze stem, body\nhead -> lr 1e-9\nstage all for 1 epoch\n** -> lr 1e-9\n"
    )
    out = tmp_path / "run"
    ran = layerlr(*settings(rules, out, "--epochs", 8))
    assert ran.status == 0, ran.err
    assert [row["stage"] for row in _rows(out, "epoch")] == ["head", "head", "all"]
    before = (out / "metrics.jsonl").read_bytes()
    ran = layerlr(*again(out))
    assert ran.status == 0, ran.err
    assert (out / "metrics.jsonl").read_bytes() == before


def test_a_run_that_was_stopped_in_a_stage_says_which_when_it_goes_on(tmp_path, rules, layerlr, monkeypatch):
    """And ends with the same bits."""
    from layerlr_dsl.runner import loop

    rules.write_text(STAGES)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert layerlr(*settings(rules, whole, "--epochs", 4)).status == 0
    original = loop.Loop._step

    def until_fourteen(self, *arguments):
        return self._stop() if self.progress.total == 14 else original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_step", until_fourteen)
        assert layerlr(*settings(rules, stopped, "--epochs", 4)).status == 143
    ran = layerlr(*again(stopped))
    assert ran.status == 0, ran.err
    assert "2.33  stage all: 100.0% trains" in ran.out
    assert run_differences(whole, stopped) == []


def test_the_live_display_names_the_stage():
    """Where there is one."""
    assert "training, stage head" in "\n".join(picture(now(stage="head")))
    assert "stage" not in "\n".join(picture(now()))
