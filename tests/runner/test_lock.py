"""Two runs never write into one folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

from tinyruns import content, finish, run_differences, run_together, settings, start


def _started(line, out, **variables):
    """A run of its own process that has taken a step."""
    child = start(line, TINY_SLEEP="0.05", **variables)
    deadline = time.monotonic() + 60
    while not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return child


def test_the_second_run_into_a_folder_is_refused_and_names_the_first(tmp_path, rules, layerlr):
    """Process, machine and time of the first; which goes on, and ends as if nobody had come."""
    alone, out = tmp_path / "alone", tmp_path / "run"
    assert layerlr(*settings(rules, alone)).status == 0
    child = _started(settings(rules, out), out)
    for more in ([], ["--resume"]):
        ran = layerlr(*settings(rules, out, *more))
        assert ran.status == 2, ran
        assert f"another run writes into {out}: process {child} on {socket.gethostname()}, since " in ran.err
    assert finish(child) == 0
    assert run_differences(alone, out) == []


def test_a_first_run_that_has_saved_nothing_yet_holds_its_folder_too(tmp_path, rules, layerlr):
    """The folder is taken before the model is built, not at the first checkpoint."""
    out = tmp_path / "run"
    child = _started(settings(rules, out), out)
    assert not (out / "last.pt").exists()
    ran = layerlr(*settings(rules, out))
    assert (ran.status, finish(child)) == (2, 0)
    assert content(out)["progress"]["epoch"] == 3


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path, rules, layerlr):
    """Killed, it could not give the folder back."""
    out = tmp_path / "run"
    child = _started(settings(rules, out, "--save-every", 1), out)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert json.loads((out / ".running.json").read_text())["pid"] == child
    ran = layerlr(*settings(rules, out), "--resume")
    assert ran.status == 0, ran.err
    assert not (out / ".running.json").exists()


def test_a_lock_whose_owner_is_not_told_is_refused_all_the_same(tmp_path, rules, layerlr):
    """Between locking and writing who it is, or with a file that was damaged."""
    from filelock import FileLock

    out = tmp_path / "run"
    out.mkdir()
    with FileLock(out / ".lock"):
        for text in (None, "nonsense", "[]", '{"pid": "x\\u001b[31m"}'):
            if text is not None:
                (out / ".running.json").write_text(text)
            ran = layerlr(*settings(rules, out))
            assert ran.status == 2
            assert f"another run writes into {out}" in ran.err
            assert "\x1b" not in ran.err


def test_processes_of_one_run_share_its_folder(tmp_path, rules):
    """The first of them holds it for all; where it is taken, all end at once and the reason is told."""
    from filelock import FileLock

    out, said = tmp_path / "run", tmp_path / "said"
    line = settings(rules, out, "--parallel", "ddp", "--epochs", 1, "--timeout", 20)
    out.mkdir()
    with FileLock(out / ".lock"):
        assert run_together(line, said) == [2, 2]
    told = "".join((said / "0.txt").read_text().split())
    assert f"anotherrunwritesinto{out}" in told
    assert run_together(line, said) == [0, 0]


def test_a_refused_run_leaves_no_folder_behind(tmp_path, rules, layerlr):
    """The folder is made before the data is read; one that was there stays."""
    out, mine = tmp_path / "run", tmp_path / "mine"
    mine.mkdir()
    for folder in (out, mine):
        assert layerlr(*settings(rules, folder, data="nothing")).status == 2
    assert not out.exists()
    assert mine.exists()


def test_a_probe_that_a_killed_process_left_is_removed(tmp_path, rules, layerlr):
    """Killed between seeing that it may write and cleaning up."""
    import subprocess
    import sys

    out = tmp_path / "run"
    out.mkdir()
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left = [out / f".{name}.{ended.pid}.tmp" for name in ("probe", "features.x7")]
    for path in left:
        path.touch()
    assert layerlr(*settings(rules, out)).status == 0
    assert [path for path in left if path.exists()] == []
