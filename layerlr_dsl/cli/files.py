"""Writing what the user asked for: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from layerlr_dsl.cli.exits import Refusal, describe_os_error


def write_atomically(path: str | Path, data: str | bytes) -> None:
    """Replace `path` (what a link points at) by `data` in one step, keeping its mode. Raises Refusal."""
    target = Path(os.path.realpath(path))
    content = data.encode() if isinstance(data, str) else data
    try:
        if target.is_dir():
            raise Refusal(f"{path}: is a directory")
        if target.exists() and not target.is_file():
            target.write_bytes(content)  # /dev/stdout, a pipe
            return
        if target.exists() and not os.access(target, os.W_OK):
            raise Refusal(f"{path}: cannot be written: permission denied")
        _replace(target, content)
    except OSError as fault:
        raise Refusal(f"{path}: cannot be written: {fault.strerror or describe_os_error(fault)}") from None


def _replace(target: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:80]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
