"""Writing files so that a crash, a full disk or a power cut leaves the old one or the new one, whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import IO


def write_atomically(
    path: Path, content: bytes | Callable[[IO[bytes]], object], mode: int | None = None
) -> None:
    """Replace `path` (or what a link points at) by `content`, or by what that writes. Raises OSError.

    The file keeps the mode it had; a new one gets `mode`, or else what the umask leaves. Nothing else is
    left behind where writing fails.
    """
    target = path.resolve()
    file = _temporary(target)
    try:
        with file:
            file.write(content) if isinstance(content, bytes) else content(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(file.name, _mode_of(target) if mode is None else mode)
        os.replace(file.name, target)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote."""
    for path in folder.glob(".*.tmp"):
        process = path.name.split(".")[-2]
        if process.isascii() and process.isdigit() and not _runs(int(process)):
            path.unlink(missing_ok=True)


def _temporary(target: Path) -> IO[bytes]:
    """A new file beside `target`, for the user's eyes alone, that names the process which writes it."""
    for number in count():
        name = f".{target.name[:80]}.{number}.{os.getpid()}.tmp"
        try:
            return open(target.with_name(name), "xb", opener=_for_own_eyes)
        except FileExistsError:  # another thread's, or of a process that had this number
            continue
    raise AssertionError


def _for_own_eyes(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _mode_of(target: Path) -> int:
    try:
        return target.stat().st_mode & 0o7777
    except OSError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


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
