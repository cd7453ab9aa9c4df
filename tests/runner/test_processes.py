"""One run on several processes: the same result, one voice, and no one left waiting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from tinyruns import again, content, environment, finish, run_together, settings, start_together

from layerlr_dsl.runner.wrapping import wrap


def _line(rules, out, *more):
    """A model without statistics or chance, so that any number of processes computes the same."""
    return [
        "train",
        rules,
        "--data",
        "python:tiny:data",
        "--model",
        "python:tiny:Plain",
        "--epochs",
        3,
        "--batch-size",
        12,
        "--from-scratch",
        "--out",
        out,
        *more,
    ]


@pytest.fixture
def plain_rules(tmp_path):
    """The head trains from the start, the body from the middle of epoch 1."""
    path = tmp_path / "plain.lr"
    path.write_text("optimizer adamw\nschedule cosine\n** -> lr 1e-2\nfreeze body until epoch 1.5\n")
    return path


@pytest.fixture
def alone(tmp_path, plain_rules, layerlr):
    """The run of one process."""
    assert layerlr(*_line(plain_rules, tmp_path / "alone")).status == 0
    return tmp_path / "alone"


def _close(left, right, tolerance=1e-5):
    one, other = content(left), content(right)
    far = [n for n, v in one["model"].items() if not torch.allclose(v, other["model"][n], atol=tolerance)]
    moments = [
        [entry["exp_avg"] for _, entry in sorted(side["optimizer"]["state"].items())] for side in (one, other)
    ]
    return far == [] and all(torch.allclose(a, b, atol=tolerance) for a, b in zip(*moments, strict=True))


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_end_where_one_does(alone, tmp_path, plain_rules, parallel):
    """Freezing in mid-epoch included; only the first process prints, and its file is like any other."""
    out = tmp_path / parallel
    assert run_together(_line(plain_rules, out, "--parallel", parallel), tmp_path / "printed") == [0, 0]
    assert _close(alone, out)
    assert "validation accuracy" in (tmp_path / "printed" / "0.txt").read_text()
    assert (tmp_path / "printed" / "1.txt").read_text() == ""
    assert len((out / "metrics.jsonl").read_text().splitlines()) == len(
        (alone / "metrics.jsonl").read_text().splitlines()
    )


def test_a_run_changes_between_one_process_and_both_ways_of_sharing(alone, tmp_path, plain_rules, layerlr):
    """Saved under DDP, resumed under FSDP, resumed alone: the same end as one process from start to end."""
    out = tmp_path / "moving"
    printed = tmp_path / "printed"
    line = _line(plain_rules, out, "--save-every", 1)
    stop = {"TINY_STOP_AT": "4"}
    assert run_together([*line, "--parallel", "ddp"], printed, **stop) == [143, 143]
    assert content(out)["progress"]["total"] == 5
    line = again(out, model="Plain")
    assert run_together([*line, "--parallel", "fsdp"], printed, TINY_STOP_AT="5") == [143, 143]
    assert content(out)["progress"]["total"] == 11
    ran = layerlr(*line, "--parallel", "none")
    assert ran.status == 0, ran.err
    assert "changed since the run began: --parallel fsdp -> none" in ran.out
    assert _close(alone, out)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_resuming_on_as_many_processes_gives_the_same_bits(tmp_path, rules, parallel):
    """With dropout and running statistics: every process has its own generators back, and one's statistics."""
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    more = ["--parallel", parallel, "--save-every", 1]
    assert run_together(settings(rules, whole, *more), tmp_path / "printed") == [0, 0]
    stopped = run_together(settings(rules, parted, *more), tmp_path / "printed", TINY_STOP_AT="7")
    assert stopped == [143, 143]
    assert run_together(again(parted), tmp_path / "printed") == [0, 0]
    one, other = content(whole), content(parted)
    assert [n for n, v in one["model"].items() if not torch.equal(v, other["model"][n])] == []
    assert (whole / "metrics.jsonl").read_bytes() == (parted / "metrics.jsonl").read_bytes()


def test_when_a_process_dies_the_others_say_so_and_stop(tmp_path, plain_rules):
    """SIGKILL to one in mid-run: the other ends by itself within a minute, with a sentence and status 1."""
    line = _line(plain_rules, tmp_path / "run", "--parallel", "ddp", "--save-every", 1)
    printed = tmp_path / "printed"
    first, second = start_together(line, printed, TINY_SLEEP="0.1")
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "last.pt").exists():
        assert time.monotonic() < deadline, (printed / "0.txt").read_text()
        time.sleep(0.05)
    os.kill(second, signal.SIGKILL)
    finish(second)
    killed = time.monotonic()
    assert finish(first) == 1
    assert time.monotonic() - killed < 60
    text = " ".join((printed / "0.txt").read_text().split())
    assert "another process of this run stopped or no longer answers" in text
    assert "--resume" in text
    assert "Traceback" not in text
    assert content(tmp_path / "run")["progress"]["total"] >= 1


def test_changed_settings_are_told_by_the_first_process_alone(tmp_path, plain_rules):
    """Eight processes would say it eight times."""
    line = _line(plain_rules, tmp_path / "run", "--parallel", "ddp")
    run_together(line, tmp_path / "printed")
    line = again(tmp_path / "run", "--epochs", 4, model="Plain")
    assert run_together(line, tmp_path / "printed") == [0, 0]
    assert "--epochs 3 -> 4" in (tmp_path / "printed" / "0.txt").read_text()
    assert (tmp_path / "printed" / "1.txt").read_text() == ""


def test_torchrun_itself(tmp_path, plain_rules):
    """The command that the help shows, and what it says when --parallel is forgotten."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
    line = [str(a) for a in _line(plain_rules, tmp_path / "run")]
    done = subprocess.run(
        [*torchrun, "-m", "layerlr_dsl", *line],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "say --parallel ddp or --parallel fsdp" in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()


def test_a_batch_that_processes_cannot_share_is_refused(tmp_path, rules):
    """10 samples on 3 processes."""
    line = settings(rules, None, "--parallel", "ddp")
    assert run_together(line, tmp_path / "printed", world=3) == [2, 2, 2]
    assert "cannot be shared evenly by 3 processes" in " ".join(
        (tmp_path / "printed" / "0.txt").read_text().split()
    )


def test_one_process_is_left_unwrapped():
    """Nothing of torch.distributed is touched."""
    model = torch.nn.Linear(2, 2)
    assert wrap(model, "none", torch.device("cpu")) is model
