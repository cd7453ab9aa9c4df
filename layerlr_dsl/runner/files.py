"""The files of a run, and what to tell of those that cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from layerlr_dsl.runner.errors import RunFailed, RunnerError
from layerlr_dsl.tools.atomic import write_atomically


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, atomically. Raises RunFailed that says what was in the way."""
    try:
        write_atomically(path, text.encode())
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


def make_folder(path: Path, option: str = "--out") -> None:
    """Make the folder that an option asks for, and see that files can be written there. Raises RunnerError."""
    probe = path / f".probe.{os.getpid()}.tmp"
    try:
        path.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as fault:
        raise RunnerError(
            f"{option} {path}: {fault.strerror or fault}", "give a folder that you may write to"
        ) from None


def cannot_write(path: Path, fault: BaseException) -> RunFailed:
    """What to tell the user when `path` could not be written."""
    reason = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
    full = isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    help = "make room, then start it again; with --resume where last.pt is there" if full else None
    return RunFailed(f"{path} could not be written: {reason}; what was there before is untouched", help)
