"""`layerlr tune`: rule files compared on the tiny network, and every way in which that may end."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tinyruns import environment, finish, start

import layerlr_dsl as layerlr

pytest.importorskip("optuna")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A file with an include whose `let` is searched, and one that freezes the stem."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "rates.lr").write_text("let base = 1e-2\n")
    (folder / "whole.lr").write_text('include "rates.lr"\n** -> lr base  # all alike\n')
    (folder / "top.lr").write_text("let base = 1e-2\n** -> lr base\nfreeze stem\n")
    return [folder / "whole.lr", folder / "top.lr"]


def _line(tmp_path: Path, *more: object, data: str = "data", model: str = "Net") -> list[object]:
    line: list[object] = ["tune", *more, "--data", f"python:tiny:{data}", "--model", f"python:tiny:{model}"]
    line += ["--epochs", 2, "--batch-size", 10, "--from-scratch", "--device", "cpu"]
    return [*line, "--out", tmp_path / "out"]


SMALL = ("--trials", 2, "--seeds", 2, "--finalists", 2)


def test_without_files_a_family_is_written_and_compared(layerlr, tmp_path):
    """One rate first; each file of the family is a real rule file, and the winner one with evidence."""
    ran = layerlr(*_line(tmp_path, *SMALL))
    assert ran.status == 0, ran.err
    written = sorted(path.stem for path in (tmp_path / "out" / "rules").iterdir())
    assert written == ["decay", "gradual", "head", "head-then-all", "held", "plain"] or "plain" in written
    assert layerlr("validate", tmp_path / "out" / "rules", "--model", "python:tiny:Net").status == 0
    report = json.loads((tmp_path / "out" / "tune.json").read_text())
    assert report["files"][0]["name"] == "plain"
    assert {len(file["trials"]) for file in report["files"]} == {2}
    assert sum(bool(file["seeds"]) for file in report["files"]) == 2
    assert all(line in ran.out for line in report["verdict"])
    best = (tmp_path / "out" / "best.lr").read_text()
    assert report["verdict"][0] in best.replace("\n# ", " ")
    assert (tmp_path / "out" / "tune.png").read_bytes().startswith(b"\x89PNG")


def test_files_of_ones_own_are_held_against_one_plain_rate(layerlr, tmp_path, files):
    """A `let` is searched in every file that has it, and lands in the winner, in its include too."""
    ran = layerlr(
        *_line(tmp_path, *files, *SMALL, "--let", "base=1e-3..1e-1 log", "-o", tmp_path / "w" / "w.lr")
    )
    assert ran.status == 0, ran.err
    report = json.loads((tmp_path / "out" / "tune.json").read_text())
    assert [file["name"] for file in report["files"]] == ["plain", "whole", "top"]
    assert {file["searched"]["base"] for file in report["files"]} == {"1e-3..0.1 log"}
    best = next(file for file in report["files"] if file["name"] == report["winner"])["best"]
    found = _loaded(tmp_path / "w" / "w.lr")
    assert float(found.checked.lets.worth("base", False)) == pytest.approx(best["base"], rel=1e-3)


def _loaded(path: Path) -> layerlr.Rules:
    return layerlr.load(path)


def test_a_winner_takes_its_includes_along(tmp_path, files):
    """The `let` of the included file has the value that was found, and the text is else as it was."""
    from layerlr_dsl.tuning.arms import Arm
    from layerlr_dsl.tuning.outcome import Outcome, Scored, Standing, Trial
    from layerlr_dsl.tuning.results import write_winner

    best = Trial({"base": 0.03}, "complete", Scored(0.9))
    standing = Standing(Arm("whole", files[0]), (best,), best)
    write_winner(Outcome((standing,), "accuracy", True), standing, ["how"], tmp_path / "new" / "b.lr", None)
    assert "# all alike" in (tmp_path / "new" / "b.lr").read_text()
    assert (tmp_path / "new" / "rates.lr").read_text() == "let base = 0.03\n"
    assert float(_loaded(tmp_path / "new" / "b.lr").checked.lets.worth("base", False)) == 0.03
    assert (files[0].parent / "rates.lr").read_text() == "let base = 1e-2\n"


def test_trials_see_one_split_and_no_test_part(files):
    """The test part stays where it is while the seed of a finalist changes."""
    from layerlr_dsl.runner.data import Request
    from layerlr_dsl.runner.datasets.split import split

    labels = [index % 3 for index in range(90)]
    parts = [split(labels, Request("x", seed=seed, test=0.2, test_seed=7)) for seed in (1, 2, 3)]
    assert len({tuple(test or ()) for _, _, test in parts}) == 1
    assert len({tuple(held_out) for _, held_out, _ in parts}) == 3
    from layerlr_dsl.runner.config import make
    from layerlr_dsl.runner.display import Silent
    from layerlr_dsl.runner.launch import Asked, train

    settings = {"rules": files[1], "data": "python:tiny:named", "model": "python:tiny:Net", "epochs": 1}
    config = make({**settings, "from_scratch": True, "device": "cpu"})
    assert train(Asked(config), Silent())["test_samples"] == 21
    assert "test_samples" not in train(Asked(config, test=False), Silent())


def test_files_as_they_stand_are_trained_once_and_then_over_seeds(layerlr, tmp_path, files):
    """Where nothing is searched, that is said."""
    ran = layerlr(*_line(tmp_path, *files, *SMALL, "--no-baseline"))
    assert ran.status == 0, ran.err
    assert "compared as they stand, nothing being searched in them by --let: whole, top" in ran.out
    report = json.loads((tmp_path / "out" / "tune.json").read_text())
    assert [len(file["trials"]) for file in report["files"]] == [1, 1]


def test_ctrl_c_ends_with_130_and_the_command_that_goes_on(tmp_path, files, monkeypatch):
    """Nothing that was done is done again, and the end is as if there had been no break."""
    line = _line(tmp_path, *files, *SMALL, "--let", "base=1e-3..1e-1 log")
    child = start(line, tmp_path / "log", TINY_SLEEP="0.03")
    deadline = time.monotonic() + 60
    log = tmp_path / "log"
    while time.monotonic() < deadline and not (log.exists() and "accuracy" in log.read_text()):
        time.sleep(0.05)
    os.kill(child, signal.SIGINT)
    status = finish(child)
    assert status == 130, log.read_text()
    assert "stopped; all trials that are done are in" in log.read_text()
    assert re.search(r"layerlr(_dsl)? tune .* --resume", log.read_text())
    done = log.read_text().count("accuracy ")
    assert finish(start([*line, "--resume"], tmp_path / "log2")) == 0
    assert (tmp_path / "log2").read_text().count("plain, base 0.01: accuracy") == 0
    report = json.loads((tmp_path / "out" / "tune.json").read_text())
    assert {len(file["trials"]) for file in report["files"]} == {2}
    assert done >= 1


def test_ctrl_c_before_there_is_a_study_says_that_nothing_was_saved(layerlr, tmp_path, files):
    """While the model is built; with --resume there are the trials of before to go on with."""
    line = _line(tmp_path, *files, *SMALL, "--no-baseline", model="Interrupted")
    ran = layerlr(*line)
    assert (ran.status, ran.err.splitlines()) == (130, ["info: stopped; nothing was saved"])
    assert not (tmp_path / "out" / "study.db").exists()
    again = layerlr(*line, "--resume")
    assert again.status == 130
    assert "stopped; all trials that are done are in" in again.err
    assert "tune" in shlex.split(again.err.splitlines()[-1])


IMPORTING = """
import signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == {name!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
from layerlr_dsl.__main__ import main
sys.argv = ["layerlr", {command!r}, "a.lr", "--data", "digits", "--model", "python:slow:Net", "--epochs", "1"]
main()
"""


@pytest.mark.parametrize(
    ("command", "name", "told"),
    [
        ("tune", "layerlr_dsl.tuning.search", "info: stopped; nothing was saved\n"),
        ("tune", "optuna.storages", "info: stopped; nothing was saved\n"),
        ("train", "layerlr_dsl.runner.launch", "info: stopped\n"),
    ],
)
def test_ctrl_c_while_a_command_is_imported_is_told(command, name, told, tmp_path):
    """Neither with silence, nor as a library that seems not to be installed."""
    (tmp_path / "a.lr").write_text("** -> lr 1e-3\n")
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTING.format(command=command, name=name)],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
    )
    assert (ran.returncode, ran.stderr) == (130, told)


def test_ctrl_c_while_the_lengths_are_found_ends_that(layerlr, tmp_path, files, monkeypatch):
    """A look at each of many files would take long, and one that was cut short leaves no half study behind."""
    from layerlr_dsl.tuning.running import Runner

    looks = []

    def pilot(self, arm, alive):
        looks.append(arm.name)
        signal.raise_signal(signal.SIGINT)
        alive()

    line = _line(tmp_path, *files, *SMALL)
    at = line.index("--epochs")
    line = [*line[:at], *line[at + 2 :], "--budget", "30s"]
    monkeypatch.setattr(Runner, "pilot", pilot)
    for more in ((), ("--resume",)):
        ran = layerlr(*line, *more)
        assert ran.status == 130
        assert "go on with:" in ran.err
    assert looks == ["plain", "plain"]


def test_a_study_is_not_begun_twice(layerlr, tmp_path, files):
    """Without --resume nothing is added to one, and with other settings not even so."""
    line = _line(tmp_path, files[1], *SMALL, "--no-baseline")
    assert layerlr(*line).status == 0
    again = layerlr(*line)
    assert again.status == 2
    assert "holds a study called tune already" in again.err
    assert "--resume" in again.err
    other = layerlr(*line, "--resume", "--augment")
    assert other.status == 2
    assert "is another one: its augment is not there, not True" in other.err
    assert layerlr(*line, "--resume").status == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("of_one_class", "all samples are of one class"),
        ("few", "2 training samples of 3 classes"),
        ("without_validation", "the validation set is empty"),
    ],
)
def test_data_that_cannot_tell_files_apart_is_refused(layerlr, tmp_path, files, data, message):
    """Before the first trial, so that no study is begun."""
    ran = layerlr(*_line(tmp_path, *files, data=data))
    assert ran.status == 2
    assert message in ran.err
    assert not (tmp_path / "out" / "study.db").exists()


def test_a_sample_that_is_no_number_ends_the_search_and_is_named(layerlr, tmp_path, files):
    """Every trial would meet it: it is for the user to mend, and the search goes on after that."""
    ran = layerlr(*_line(tmp_path, *files, *SMALL, "--no-baseline", data="poisoned"))
    assert ran.status == 1
    assert "sample 17 of python:tiny:poisoned holds numbers that are not finite" in ran.err
    assert "lower rates" not in ran.err
    assert "failed" not in ran.out


def test_a_validation_sample_that_is_no_number_ends_the_search_and_is_named(layerlr, tmp_path, files):
    """No trial would have a score, and lower rates would not help."""
    ran = layerlr(*_line(tmp_path, *files, *SMALL, "--no-baseline", data="poisoned_validation"))
    assert ran.status == 1
    assert "sample 17 of the validation part of python:tiny:poisoned_validation holds numbers" in ran.err
    assert "lower rates" not in ran.err
    assert "go on with" in ran.err


def test_a_broken_image_ends_the_search_and_the_same_goes_on_where_it_is_mended(layerlr, tmp_path, files):
    """With the file, what to do about it, and the command; the trial that met it is tried again."""
    from PIL import Image

    for number in range(40):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 200 * (number % 2), 9)).save(path)
    path.write_bytes(b"hello")
    line = _line(tmp_path, files[1], *SMALL, "--no-baseline", model="Two")
    line[line.index("python:tiny:data")] = tmp_path / "photos"
    ran = layerlr(*line)
    assert ran.status == 1
    assert f"{path} cannot be read as an image" in ran.err
    assert "help: remove it, or put an image" in ran.err
    again = shlex.split(ran.err.splitlines()[-1])
    Image.new("RGB", (8, 8), (9, 9, 9)).save(path)
    ran = layerlr(*again[again.index("tune") :])
    assert (ran.status, ran.out.count("top: accuracy")) == (0, 1), ran.err


def test_rates_that_drive_the_loss_off_are_told_as_such(layerlr, tmp_path, files):
    """There, lower ones do help."""
    line = _line(tmp_path, files[1], *SMALL, "--no-baseline", "--let", "base=1e20..1e30 log")
    ran = layerlr(*line)
    assert ran.status == 1
    assert "none of 2 trials came to a score" in ran.err
    assert "help: lower rates may help" in ran.err


def test_a_locked_storage_ends_with_2(layerlr, tmp_path, files, monkeypatch):
    """And a sentence."""
    from layerlr_dsl.tuning import storage

    monkeypatch.setattr(storage, "LOCK_PATIENCE", 1.0)
    line = _line(tmp_path, files[1], *SMALL, "--no-baseline")
    assert layerlr(*line).status == 0
    holder = sqlite3.connect(tmp_path / "out" / "study.db")
    holder.execute("begin exclusive")
    ran = layerlr(*line, "--resume")
    holder.close()
    assert ran.status == 2
    assert "database is locked" in ran.err
    assert "Traceback" not in ran.err


def test_a_budget_too_small_for_one_trial_ends_with_2(layerlr, tmp_path, files, monkeypatch):
    """Not with an empty table."""
    monkeypatch.setenv("TINY_SLEEP", "0.2")
    ran = layerlr(*_line(tmp_path, *files, "--budget", "1.5s"))
    assert ran.status == 2
    assert "the budget of 1.5 s is too small for one trial" in ran.err


def test_a_budget_is_kept(layerlr, tmp_path, files):
    """The last trial is over before eight seconds are; files have been tried equally often, up to the last round."""
    ran = layerlr(*_line(tmp_path, *files, "--budget", "8s", "--let", "base=1e-3..1e-1 log"))
    assert ran.status == 0, ran.err
    report = json.loads((tmp_path / "out" / "tune.json").read_text())
    assert report["seconds"] < 8
    tried = [len(file["trials"]) for file in report["files"]]
    assert max(tried) - min(tried) <= 1
    assert report["files"][0]["trials"][0]["state"] == "complete"


def test_one_length_by_time_is_for_all_processes_of_a_study(layerlr, tmp_path, files, monkeypatch):
    """Whoever resumes or joins goes by what the first has found, and the winner says it."""
    from layerlr_dsl.tuning import lengths

    line = _line(
        tmp_path, files[1], "--no-baseline", "--seeds", 2, "--trials", 2, "--let", "base=1e-2..1e-1 log"
    )
    at = line.index("--epochs")
    line = [*line[:at], *line[at + 2 :], "--budget"]
    files[1].write_text("let base = 1e-2\n** -> lr base\n")
    ran = layerlr(*line, "12s")
    assert ran.status == 0, ran.err
    assert "trials of equal time, 2 for each file" in ran.out
    assert "epochs of a trial, all of about the same time: top " in ran.out
    report = json.loads((tmp_path / "out" / "tune.json").read_text())
    assert report["seconds"] < 12
    first = report["files"][0]["epochs"]
    monkeypatch.setattr(lengths, "measured", lambda *_: pytest.fail("it is known"))
    assert layerlr(*line, "60s", "--resume").status == 0
    assert json.loads((tmp_path / "out" / "tune.json").read_text())["files"][0]["epochs"] == first


def test_a_winner_found_by_time_says_how_long_its_trials_were(tmp_path, files):
    """As its own `epochs`, where it has that line."""
    from layerlr_dsl.tuning.arms import Arm
    from layerlr_dsl.tuning.results import texts

    files[1].write_text("epochs 30  # long\nlet base = 1e-2\n** -> lr base\n")
    (text,) = texts(Arm("top", files[1], epochs=12.0), {"base": 0.03}, [], None).values()
    assert text.strip() == "epochs 12  # long\nlet base = 0.03\n** -> lr base"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--let", "bas=1e-3..1 log"], "no file has a `let` called `bas`"),
        (["--let", "base=1..x"], "'x' is not a number"),
        (["--let", "base=1e-3..1 log", "--let", "base=0.1"], "--let gives `base` twice"),
        (["--let", "base"], "neither a range nor a constant"),
        (["--budget", "soon"], "is no time"),
        (["--storage", "nowhere"], "the storage nowhere cannot be used"),
        (["--storage", "sqlite:////nowhere/at/all.db"], "help: mkdir -p /nowhere/at"),
        (["--storage", f"sqlite:///{Path(__file__).parent}"], "is a folder"),
        (
            ["--storage", f"sqlite:///{__file__}"],
            "help: give another file; this one is no database of SQLite",
        ),
        (["-o", "-"], "-o -: the winner is a rule file"),
        (["-o", "/proc/best.lr"], "-o /proc: "),
        (["-o", str(Path(__file__).parent)], "the winner is a rule file"),
        (["--batch-size", "0"], "--batch-size: input should be greater than or equal to 1"),
        (["--budget", "0s"], "is no time"),
        (["--resume", "--epochs", "0"], "not a positive number"),
    ],
)
def test_wrong_usage_ends_with_2(layerlr, tmp_path, files, more, message):
    """Before anything is trained."""
    ran = layerlr(*_line(tmp_path, *files, *SMALL), *more)
    assert ran.status == 2
    assert message in ran.err
    assert "accuracy" not in ran.out


def test_a_faulty_file_ends_with_1_and_its_findings(layerlr, tmp_path, files):
    """As `train` would say it."""
    files[1].write_text("** -> lr 1e-3\nfreeze stm\n")
    ran = layerlr(*_line(tmp_path, *files, *SMALL))
    assert ran.status == 1
    assert "stm" in ran.err
    assert not (tmp_path / "out" / "study.db").exists()


def test_a_file_that_freezes_random_weights_is_refused_before_anything_is_trained(layerlr, tmp_path, files):
    """And not in the midst of the others' trials."""
    line = [part for part in _line(tmp_path, *files, *SMALL, "--no-baseline") if part != "--from-scratch"]
    ran = layerlr(*line)
    assert ran.status == 2
    assert f"{files[1]}: the rules freeze stem" in ran.err
    assert "--from-scratch" in ran.err
    assert not (tmp_path / "out" / "study.db").exists()


def test_files_of_other_models_or_lengths_are_not_compared(layerlr, tmp_path, files):
    """Equal budgets need one length for all."""
    files[0].write_text("epochs 3\n** -> lr 1e-3\n")
    files[1].write_text("epochs 4\n** -> lr 1e-3\n")
    line = _line(tmp_path, *files, *SMALL)
    at = line.index("--epochs")
    ran = layerlr(*line[:at], *line[at + 2 :])
    assert ran.status == 2
    assert "do not give one length for all trials" in ran.err
