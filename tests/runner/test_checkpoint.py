"""Checkpoints are whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import textwrap

import pytest
import torch

from layerlr_dsl.runner import checkpoint
from layerlr_dsl.runner.errors import RunnerError

FILES = ["best.pt", "checkpoints.sha256", "last.pt", "previous.pt"]


def _content(value: float) -> dict:
    return {
        "model": {"w": torch.full((500,), float(value))},
        "optimizer": {},
        "schedule": {},
        "scaler": {},
        "progress": {"step": int(value)},
        "rules": {},
        "about": {},
        "lets": {},
        "data": {},
        "rng": {},
    }


def test_a_checkpoint_comes_back_with_torchs_own_safe_load(tmp_path):
    """Anyone can read it with weights_only=True, without this package."""
    checkpoint.save(tmp_path, _content(3), best=False)
    loaded = torch.load(tmp_path / "last.pt", weights_only=True)
    assert torch.equal(loaded["model"]["w"], torch.full((500,), 3.0))


def test_the_one_before_is_kept_and_the_best_stays(tmp_path):
    """After three saves there are the last, the one before it, and the one that was best."""
    for value, best in ((1, True), (2, False), (3, False)):
        checkpoint.save(tmp_path, _content(value), best=best)
    steps = {
        name: checkpoint.read(tmp_path / name)["progress"]["step"]
        for name in ("last.pt", "previous.pt", "best.pt")
    }
    assert steps == {"last.pt": 3, "previous.pt": 2, "best.pt": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.9, 0.999])
def test_a_checkpoint_cut_short_is_skipped_for_the_one_before(tmp_path, keep):
    """Whatever length is left of the last, the previous one is used and the reason is told."""
    checkpoint.save(tmp_path, _content(1), best=False)
    checkpoint.save(tmp_path, _content(2), best=False)
    whole = (tmp_path / "last.pt").read_bytes()
    (tmp_path / "last.pt").unlink()
    (tmp_path / "last.pt").write_bytes(whole[: int(keep if keep >= 1 else keep * len(whole))])
    found = checkpoint.load(tmp_path)
    assert found.content["progress"]["step"] == 1
    assert len(found.skipped) == 1
    assert "last.pt" in found.skipped[0]


def test_one_flipped_bit_in_a_tensor_is_noticed(tmp_path):
    """torch.load alone would hand the damaged weights on."""
    checkpoint.save(tmp_path, _content(1), best=False)
    path = tmp_path / "last.pt"
    data = bytearray(path.read_bytes())
    at = bytes(data).index(torch.full((500,), 1.0).numpy().tobytes()) + 1000
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunnerError, match="damaged"):
        checkpoint.load(tmp_path)


def _two_checkpoints(folder):
    """A folder of two, and the bytes of the last."""
    checkpoint.save(folder, _content(1), best=True)
    checkpoint.save(folder, _content(2), best=False)
    return (folder / "last.pt").read_bytes()


@pytest.mark.parametrize("listed", [True, False])
def test_no_flip_in_the_directory_of_the_archive_passes(tmp_path, listed):
    """Names, offsets, sizes and sums of the members: the one before is taken, with the list or without.

    Without it a flip in what nobody reads (dates, attributes) may pass, and does no harm.
    """
    whole = _two_checkpoints(tmp_path)
    if not listed:
        (tmp_path / "checkpoints.sha256").unlink()
    for at in range(whole.index(b"PK\x01\x02"), len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        (tmp_path / "last.pt").unlink()
        (tmp_path / "last.pt").write_bytes(data)
        found = checkpoint.load(tmp_path).content
        if listed:
            assert found["progress"]["step"] == 1, at
        else:
            assert torch.equal(found["model"]["w"], torch.full((500,), float(found["progress"]["step"]))), at


def test_no_flip_anywhere_passes(tmp_path):
    """In headers, in padding, in the pickle, in tensors."""
    whole = _two_checkpoints(tmp_path)
    for at in range(0, len(whole), 7):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        (tmp_path / "last.pt").unlink()
        (tmp_path / "last.pt").write_bytes(data)
        found = checkpoint.load(tmp_path)
        assert found.path.name == "previous.pt", at
        assert "is damaged" in found.skipped[0]


def test_where_the_list_condemns_every_file_the_way_out_is_told(tmp_path):
    """The list itself may be what was damaged."""
    _two_checkpoints(tmp_path)
    listed = tmp_path / "checkpoints.sha256"
    listed.write_text(re.sub("[0-9a-f]{64}", "0" * 64, listed.read_text()))
    with pytest.raises(RunnerError) as caught:
        checkpoint.load(tmp_path)
    assert "remove it" in str(caught.value.help)
    listed.unlink()
    assert checkpoint.load(tmp_path).path.name == "last.pt"


def test_the_list_of_checksums_is_what_sha256sum_checks(tmp_path):
    """Whoever copies a run can see that it arrived whole, without this package."""
    for value, best in ((1, True), (2, False), (3, True), (4, False)):
        checkpoint.save(tmp_path, _content(value), best=best)
        lines = (tmp_path / "checkpoints.sha256").read_text().splitlines()
        for digest, name in (line.split("  ") for line in lines):
            assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    assert sorted(line.split("  ")[1] for line in lines) == ["best.pt", "last.pt", "previous.pt"]


@pytest.mark.parametrize("moment", range(1, 12))
def test_killed_at_any_rename_every_file_still_fits_its_checksum(tmp_path, monkeypatch, moment):
    """A save replaces several files, one after the other; whatever is there in between can be used."""
    _two_checkpoints(tmp_path)
    left = [moment]
    replace = os.replace

    def killed(*names):
        left[0] -= 1
        if left[0] <= 0:
            raise KeyboardInterrupt
        replace(*names)

    monkeypatch.setattr(os, "replace", killed)
    with contextlib.suppress(KeyboardInterrupt):
        checkpoint.save(tmp_path, _content(3), best=True)
    for name, steps in (("last.pt", (2, 3)), ("previous.pt", (1, 2)), ("best.pt", (1, 3))):
        assert checkpoint.read(tmp_path / name)["progress"]["step"] in steps
    monkeypatch.undo()
    checkpoint.save(tmp_path, _content(4), best=False)
    for name, steps in (("last.pt", (4,)), ("previous.pt", (2, 3)), ("best.pt", (1, 3))):
        assert checkpoint.read(tmp_path / name)["progress"]["step"] in steps


@pytest.mark.parametrize("text", ["", "nonsense", "\udcff"])
def test_without_a_list_that_can_be_read_the_archives_own_sums_are_looked_at(tmp_path, text):
    """A run of an older release, or a damaged list: the next save writes it anew."""
    _two_checkpoints(tmp_path)
    (tmp_path / "checkpoints.sha256").write_bytes(text.encode(errors="surrogateescape"))
    assert checkpoint.load(tmp_path).content["progress"]["step"] == 2
    checkpoint.save(tmp_path, _content(3), best=False)
    assert [
        checkpoint.read(tmp_path / name)["progress"]["step"] for name in FILES if name.endswith("pt")
    ] == [1, 3, 2]


@pytest.mark.parametrize("part", ["version", *checkpoint.PARTS])
def test_a_checkpoint_that_lacks_a_part_is_skipped_for_the_one_before(tmp_path, part):
    """Whole as a file, and yet of another program or an unfinished one."""
    _two_checkpoints(tmp_path)
    content = checkpoint.read(tmp_path / "last.pt")
    content.pop(part)
    (tmp_path / "last.pt").unlink()
    torch.save(content, tmp_path / "last.pt")
    (tmp_path / "checkpoints.sha256").unlink()
    found = checkpoint.load(tmp_path)
    assert found.path.name == "previous.pt"
    assert ("another release" if part == "version" else f"lacks {part}") in found.skipped[0]


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", b"PK\x03\x04" + b"\0" * 100],
)
def test_something_else_is_refused_with_the_reason(tmp_path, content):
    """A file that is no checkpoint gives a sentence, never a traceback."""
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(RunnerError, match="no checkpoint can be used"):
        checkpoint.load(tmp_path)


def test_another_programs_checkpoint_is_refused(tmp_path):
    """A state dict saved by hand is a good torch file, but no run can go on from it."""
    torch.save({"w": torch.zeros(3)}, tmp_path / "last.pt")
    with pytest.raises(RunnerError, match="not a checkpoint of layerlr train"):
        checkpoint.load(tmp_path)


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path):
    """Loading never executes what a file holds."""

    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    torch.save({"format": "layerlr.checkpoint", "bomb": Bomb()}, tmp_path / "last.pt")
    with pytest.raises(RunnerError):
        checkpoint.load(tmp_path)
    assert not marker.exists()


def test_a_checkpoint_of_another_model_is_refused_by_name(tmp_path):
    """The first tensor that differs is named, with both shapes."""
    saved = {"model": {"w": torch.zeros(3)}}
    path = tmp_path / "last.pt"
    with pytest.raises(RunnerError, match=r"another model: w has shape \(3,\) there, \(4,\) here"):
        checkpoint.check_model(saved, {"w": torch.zeros(4)}, path)
    with pytest.raises(RunnerError, match="lacks v"):
        checkpoint.check_model(saved, {"w": torch.zeros(3), "v": torch.zeros(1)}, path)
    with pytest.raises(RunnerError, match="also holds w"):
        checkpoint.check_model(saved, {}, path)


def test_a_full_disk_leaves_the_last_good_checkpoint_and_no_scrap(tmp_path):
    """When the file system refuses more bytes, the save fails with a sentence and the old file stays."""
    program = textwrap.dedent(
        f"""
        import resource, signal, sys, torch
        from pathlib import Path
        from layerlr_dsl.runner import checkpoint
        from layerlr_dsl.runner.errors import RunFailed
        folder = Path({str(tmp_path)!r})
        def content(n):
            return dict(model={{"w": torch.ones(n)}}, optimizer={{}}, schedule={{}}, scaler={{}}, progress={{"n": n}}, rules={{}}, about={{}}, lets={{}}, data={{}}, rng={{}})
        checkpoint.save(folder, content(100), best=True)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            checkpoint.save(folder, content(1_000_000), best=True)
        except RunFailed as fault:
            print(fault)
            sys.exit(fault.status)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stdout
    assert "make room" in done.stdout
    assert "Traceback" not in done.stderr
    assert checkpoint.load(tmp_path).content["progress"]["n"] == 100
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES
