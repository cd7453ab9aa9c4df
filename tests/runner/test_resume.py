"""A run that was stopped, killed or damaged goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time

import pytest
from tinyruns import (
    BATCH,
    again,
    content,
    environment,
    finish,
    replace_checkpoint,
    run_differences,
    settings,
    start,
)


@pytest.fixture
def whole(tmp_path, rules, layerlr):
    """A run that nothing interrupted, saved at every second step."""
    out = tmp_path / "whole"
    assert layerlr(*settings(rules, out, "--save-every", 2)).status == 0
    return out


def _rows(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _seconds(line: list) -> float:
    """The processor time that a run takes to its end, in a process of its own."""
    _, status, usage = os.wait4(start(line), 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime


def _gone_on(line, out):
    """The line, resuming where there is something to resume."""
    return [*line, "--resume"] if (out / "config.json").exists() else line


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments_it_ends_with_the_same_bits(whole, tmp_path, rules, seed):
    """A signal that nobody handles gives no chance to clean up; weights, optimizer, generators and metrics must
    come out equal. The moments are of processor time, so that a busy machine kills no sooner.
    """
    chance = random.Random(seed)
    all_of_it = _seconds(settings(rules, tmp_path / "timed", "--save-every", 2))
    out = tmp_path / "killed"
    line = settings(rules, out, "--save-every", 2)
    statuses = []
    for _ in range(5):
        moment = all_of_it * chance.uniform(0.2, 0.55)
        statuses.append(finish(start(_gone_on(line, out), kill_after=moment)))
    assert set(statuses) <= {0, -signal.SIGPROF}
    assert -signal.SIGPROF in statuses
    assert finish(start(_gone_on(line, out))) == 0
    assert run_differences(whole, out) == []


def test_what_a_killed_process_left_half_written_is_removed(tmp_path, rules, layerlr):
    """A checkpoint may be large; that of a process which still runs is its own."""
    out = tmp_path / "run"
    out.mkdir()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, alive = out / f".last.pt.{ended.pid}.tmp", out / f".last.pt.{os.getppid()}.tmp"
    for path in (dead, alive):
        path.write_bytes(b"half")
    (out / ".notes.tmp").write_text("mine")
    assert layerlr(*settings(rules, out)).status == 0
    assert not dead.exists()
    assert alive.exists()
    assert (out / ".notes.tmp").exists()


def test_stopped_at_every_step_it_ends_with_the_same_bits(whole, tmp_path, rules, layerlr, monkeypatch):
    """Resumed before each single step, in the middle of epochs and of phases."""
    from layerlr_dsl.runner import loop

    out = tmp_path / "steps"
    original = loop.Loop._step

    def one(self, *arguments):
        if self.progress.total > self.started_at:
            self._stop()
        return original(self, *arguments)

    monkeypatch.setattr(loop.Loop, "_step", one)
    monkeypatch.setattr(
        loop.Loop,
        "started_at",
        property(lambda self: self.__dict__.setdefault("_at", self.progress.total)),
        raising=False,
    )
    line = settings(rules, out, "--save-every", 2)
    statuses = [layerlr(*line).status]
    while statuses[-1] != 0:
        statuses.append(layerlr(*line, "--resume").status)
        assert len(statuses) < 40
    assert len(statuses) == 18
    assert run_differences(whole, out) == []


def test_data_drawn_at_random_is_drawn_the_same_way_after_a_stop(tmp_path, rules, layerlr, monkeypatch):
    """Augmentation is seeded by sample and epoch, so neither a stop nor loader processes change it."""
    from layerlr_dsl.runner import loop

    outs = [tmp_path / name for name in ("whole", "stopped", "workers")]
    assert layerlr(*settings(rules, outs[0], data="noisy")).status == 0
    assert layerlr(*settings(rules, outs[2], "--workers", 2, data="noisy")).status == 0
    original = loop.Loop._step

    def until_six(self, *arguments):
        return self._stop() if self.progress.total == 6 else original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_step", until_six)
        assert layerlr(*settings(rules, outs[1], data="noisy")).status == 143
    assert layerlr(*again(outs[1], data="noisy")).status == 0
    assert run_differences(outs[0], outs[1]) == []
    assert run_differences(outs[0], outs[2]) == []


def test_ctrl_c_saves_and_the_command_it_names_goes_on(whole, tmp_path, rules):
    """A real process, a real SIGINT: exit 130, a line that can be pasted, and the same end."""
    out = tmp_path / ("stopped, " + "and with a name longer than a line of the terminal " * 2)
    command = [sys.executable, "-m", "layerlr_dsl", *map(str, settings(rules, out, "--save-every", 2))]
    with subprocess.Popen(
        command,
        env={**environment(), "TINY_SLEEP": "0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not (out / "metrics.jsonl").exists() or len(_rows(out)) < 3:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        printed = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "Traceback" not in printed[1]
    pasted = shlex.split(printed[1].split("go on with:\n")[1].splitlines()[0])
    assert "train" in pasted[:4]  # behind `layerlr`, or how it is called where that is not on the path
    assert finish(start(pasted[pasted.index("train") :])) == 0
    assert run_differences(whole, out) == []


def test_ctrl_c_before_the_first_step_says_that_nothing_was_saved(tmp_path, rules, layerlr):
    """While the model is built there is nothing to keep yet; in a resumed run there is."""
    line = settings(rules, tmp_path / "run")
    line[line.index("python:tiny:Net")] = "python:tiny:Interrupted"
    ran = layerlr(*line)
    assert ran.status == 130
    assert "stopped; nothing was saved" in ran.err


def test_a_second_ctrl_c_leaves_the_last_checkpoint_as_it_was(whole, layerlr, monkeypatch):
    """It ends at once, and still tells how to go on."""
    before = (whole / "last.pt").read_bytes()
    monkeypatch.setenv("TINY_INTERRUPT", "1")
    ran = layerlr(*again(whole, "--epochs", 4))
    assert ran.status == 130
    assert f"layerlr train --resume --out {whole}" in ran.err
    assert (whole / "last.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("part", "odd"),
    [
        ("optimizer", {"x": 1}),
        ("progress", {"epoch": "x"}),
        ("schedule", {}),
        ("rules", 7),
        ("rules", {}),
        ("rng", 1),
    ],
)
def test_a_checkpoint_of_odd_content_is_a_sentence(whole, layerlr, part, odd):
    """Whole as a file, and yet not what a run writes."""
    replace_checkpoint(whole, {**content(whole), part: odd})
    ran = layerlr(*again(whole, "--epochs", 4))
    assert ran.status == 2, ran
    assert "last.pt does not fit this run" in ran.err
    assert "internal error" not in ran.err


@pytest.mark.parametrize(("name", "odd"), [("total", None), ("step", -1), ("seconds", float("nan"))])
def test_progress_that_cannot_be_is_a_sentence(whole, layerlr, name, odd):
    """A count that is missing (None here) must not begin anew at 0 under the weights of a later step."""
    state = content(whole)
    state["progress"][name] = odd
    if odd is None:
        del state["progress"][name]
    replace_checkpoint(whole, state)
    ran = layerlr(*again(whole, "--epochs", 4))
    assert ran.status == 2, ran
    assert "last.pt does not fit this run" in ran.err
    assert name in ran.err or "counts below 0" in ran.err


@pytest.mark.parametrize("text", ["", "[]", "\x00", '{"a":' + "[" * 100_000])
def test_a_configuration_that_cannot_be_read_is_a_sentence(whole, layerlr, text):
    """Whatever lies in a folder that someone else may have written."""
    (whole / "config.json").write_text(text)
    ran = layerlr(*again(whole, "--epochs", 4))
    assert ran.status == 2, ran
    assert "config.json cannot be read" in ran.err


@pytest.mark.parametrize("key", ["model", "data", "task"])
def test_code_that_a_folder_names_is_not_run_for_it(whole, tmp_path, layerlr, monkeypatch, key):
    """Somebody else may have written the folder: what would run is shown, and the line that allows it."""
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = json.loads((whole / "config.json").read_text())
    (whole / "config.json").write_text(json.dumps({**config, key: "python:evil:make"}))
    said = {"model": "python:tiny:Net", "data": "python:tiny:data"}
    said.pop(key, None)
    line = ["train", "--resume", "--out", whole]
    ran = layerlr(*line, *[part for name, spec in said.items() for part in (f"--{name}", spec)])
    assert ran.status == 2
    assert f"{whole} asks to run code: --{key} python:evil:make" in ran.err
    assert f"layerlr train --resume --out {whole} --" in ran.err
    assert not (tmp_path / "ran").exists()


def test_what_a_folder_names_cannot_steer_the_terminal(whole, layerlr):
    """The line to paste is quoted and escaped."""
    config = json.loads((whole / "config.json").read_text())
    (whole / "config.json").write_text(json.dumps({**config, "data": "python:a\x1b[31m; rm:b"}))
    ran = layerlr("train", "--resume", "--out", whole)
    assert ran.status == 2
    assert "\x1b" not in ran.err
    assert "'python:a\\x1b[31m; rm:b'" in ran.err


def test_a_finished_run_resumes_to_its_end_at_once(whole, layerlr):
    """Nothing is trained, nothing is written twice."""
    before = (whole / "metrics.jsonl").read_bytes()
    ran = layerlr(*again(whole))
    assert ran.status == 0
    assert "validation accuracy" in ran.out
    assert (whole / "metrics.jsonl").read_bytes() == before


def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(whole, tmp_path, layerlr):
    """Cut short by a full disk or a power failure: the user is told, and loses a few steps only."""
    import shutil

    out = tmp_path / "damaged"
    shutil.copytree(whole, out)
    (out / "last.pt").write_bytes((whole / "last.pt").read_bytes()[:5000])
    ran = layerlr(*again(out))
    assert ran.status == 0, ran.err
    assert "last.pt: is damaged" in ran.out
    assert "going on from previous.pt" in ran.out
    assert run_differences(whole, out) == []


def test_edited_rules_are_shown_and_need_consent(whole, tmp_path, rules, layerlr):
    """The lines that changed and what they do to which parameter; with consent the state is carried over."""
    rules.write_text(rules.read_text().replace("stem -> lr 3e-3", "stem -> lr 4e-3"))
    ran = layerlr(*again(whole))
    assert ran.status == 2
    assert "-stem -> lr 3e-3" in ran.err
    assert "+stem -> lr 4e-3" in ran.err
    assert "stem.0.weight: lr 3e-3 -> 4e-3" in ran.err
    assert "--accept-rule-changes" in ran.err
    ran = layerlr(*again(whole, "--accept-rule-changes", "--epochs", 4))
    assert ran.status == 0, ran.err
    assert "going on under changed rules" in ran.out
    assert content(whole)["progress"]["epoch"] == 4
    assert "4e-3" in (whole / "rules" / "tiny.lr").read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--batch-size", 5], "--batch-size 5 does not fit the run"),
        (["--seed", 9], "--seed 9 does not fit the run"),
        (["--data", "digits"], "--data digits does not fit the run"),
    ],
)
def test_what_decides_the_numbers_cannot_change(whole, layerlr, more, message):
    """Another order of samples would make `exactly` a lie."""
    ran = layerlr(*again(whole, *more))
    assert ran.status == 2
    assert message in ran.err


def test_a_checkpoint_of_another_model_is_refused(whole, tmp_path, rules, layerlr):
    """The first tensor that does not fit is named, and nothing is overwritten."""
    other = tmp_path / "other"
    assert layerlr(*settings(rules, other)).status == 0
    state = content(other)
    state["model"]["head.weight"] = state["model"]["head.weight"][:2]

    before = (whole / "best.pt").read_bytes()
    replace_checkpoint(whole, state)
    ran = layerlr(*again(whole))
    assert ran.status == 2
    assert "another model: head.weight" in ran.err
    assert (whole / "best.pt").read_bytes() == before


def test_a_second_run_does_not_overwrite_the_first(whole, rules, layerlr):
    """Without --resume a folder that holds a run is refused."""
    ran = layerlr(*settings(rules, whole))
    assert ran.status == 2
    assert "already holds a run" in ran.err


def test_resume_needs_a_run(tmp_path, layerlr):
    """An empty folder, and no folder at all."""
    assert "holds no run" in layerlr(*again(tmp_path)).err
    assert "--resume needs --out" in layerlr("train", "--resume").err


def test_the_state_of_the_optimizer_is_saved_by_name(whole):
    """Anyone can see what belongs to what; a frozen-for-now parameter appears once it has state."""
    groups = content(whole)["optimizer"]["param_groups"]
    names = [name for group in groups for name in group["param_names"]]
    assert sorted(names) == sorted(
        k for k in content(whole)["model"] if "running" not in k and "num_batches" not in k
    )


def test_steps_are_counted_once(whole):
    """18 steps of 60 samples in batches of 10, each in the metrics once, and three epochs."""
    rows = _rows(whole)
    steps = [row["step"] for row in rows if row["kind"] == "step"]
    assert steps == list(range(1, 3 * 60 // BATCH + 1))
    assert [row["epoch"] for row in rows if row["kind"] == "epoch"] == [0, 1, 2]
