"""Writing files so that a crash, a full disk or a power cut leaves the old one or the new one, whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from layerlr_dsl.runner.errors import RunFailed, RunnerError


def write_atomically(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Let `fill` write a temporary file beside `path`, then put it in the place of `path`.

    Raises OSError; the temporary file is gone in any case.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, atomically. Raises RunFailed that says what was in the way."""
    try:
        write_atomically(path, lambda file: file.write(text.encode()))
    except OSError as fault:
        raise cannot_write(path, fault) from None


def keep_under_another_name(path: Path, other: Path) -> None:
    """Make `other` a second name of the file `path`, or a copy where the file system has no hard links."""
    temporary = other.with_name(f".{other.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(path, temporary)
        except OSError as fault:
            if fault.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.EXDEV):
                raise
            import shutil

            shutil.copyfile(path, temporary)
        os.replace(temporary, other)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote."""
    for path in folder.glob(".*.tmp"):
        process = path.name.split(".")[-2]
        if process.isascii() and process.isdigit() and not _runs(int(process)):
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # somebody else's
    return True


def _sync_folder(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Make the run's folder and see that files can be written there. Raises RunnerError."""
    probe = path / f".probe.{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as fault:
        raise RunnerError(
            f"--out {path}: {fault.strerror or fault}", "give a folder that you may write to"
        ) from None


def cannot_write(path: Path, fault: BaseException) -> RunFailed:
    """What to tell the user when `path` could not be written."""
    reason = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
    full = isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    help = "make room and go on with --resume" if full else None
    return RunFailed(f"{path} could not be written: {reason}; what was there before is untouched", help)
