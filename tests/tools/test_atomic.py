"""A file is written whole or not at all, and keeps what it was otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from layerlr_dsl.tools.atomic import remove_leftovers, write_atomically


def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    """What was written before the failure is gone."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")

    def breaks(file: IO[bytes]) -> None:
        file.write(b"half of the new")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, breaks)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("a.txt", b"old")]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """The content grows beside the file, not in it."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    seen = []

    def watched(file: IO[bytes]) -> None:
        file.write(b"new")
        file.flush()
        seen.append(path.read_bytes())

    write_atomically(path, watched)
    assert (seen, path.read_bytes()) == ([b"old"], b"new")


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_modes(tmp_path: Path) -> None:
    """A file keeps its mode; a new one gets the one given, else what the umask leaves."""
    old, new, own = (tmp_path / name for name in ("old", "new", "own"))
    old.write_bytes(b"")
    old.chmod(0o640)
    umask = os.umask(0o027)
    try:
        write_atomically(old, b"x")
        write_atomically(new, b"x")
        write_atomically(own, b"x", mode=0o600)
    finally:
        os.umask(umask)
    assert [path.stat().st_mode & 0o777 for path in (old, new, own)] == [0o640, 0o640, 0o600]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it points at is replaced."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_two_writes_of_one_file_at_once_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    """The inner write ends first; the outer one is still whole."""
    path = tmp_path / "a.txt"

    def outer(file: IO[bytes]) -> None:
        file.write(b"outer begins, ")
        write_atomically(path, b"inner")
        file.write(b"outer ends")

    write_atomically(path, outer)
    assert path.read_bytes() == b"outer begins, outer ends"


def test_leftovers_of_the_dead_alone_are_removed(tmp_path: Path) -> None:
    """A process was killed in mid-write; the files of those that run, and of the user, stay."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from layerlr_dsl.tools.atomic import write_atomically\n"
        "write_atomically(Path(sys.argv[1]), lambda file: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    path = tmp_path / "a.txt"
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    [left] = tmp_path.iterdir()
    (tmp_path / ".notes.tmp").write_text("mine")

    def meanwhile(file: IO[bytes]) -> None:
        remove_leftovers(tmp_path)
        file.write(b"whole")

    write_atomically(path, meanwhile)
    assert not left.exists()
    assert {entry.name for entry in tmp_path.iterdir()} == {".notes.tmp", "a.txt"}
