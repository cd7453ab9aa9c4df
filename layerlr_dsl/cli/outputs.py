"""Writing what the user asked for: whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from layerlr_dsl.cli.exits import Refusal, describe_os_error
from layerlr_dsl.tools.atomic import write_atomically


def keep_existing(path: str | None, force: bool, text: str | None = None) -> None:
    """Raise Refusal if a file is there that people may have written in, and nobody said --force.

    A file that holds exactly `text`, which is to be written, is no obstacle.
    """
    if path is None or force or not os.path.isfile(path):
        return
    with suppress(OSError):
        if text is not None and Path(path).read_bytes() == text.encode():
            return
    raise Refusal(f"{path}: exists already", "--force overwrites it")


def write_output(path: str | Path, data: str | bytes) -> None:
    """Replace `path` (what a link points at) by `data` in one step, keeping its mode. Raises Refusal."""
    if str(path) == "-":
        raise Refusal("`-` is no name of a file to write", "a file of that name is `./-`")
    target = Path(path)
    content = data.encode() if isinstance(data, str) else data
    try:
        if target.is_dir():
            raise Refusal(f"{path}: is a directory")
        if target.exists() and not target.is_file():
            target.write_bytes(content)  # /dev/stdout, a pipe
            return
        if target.exists() and not os.access(target, os.W_OK):
            raise Refusal(f"{path}: cannot be written: permission denied")
        write_atomically(target, content)
    except OSError as fault:
        reason = fault.strerror.lower() if fault.strerror else describe_os_error(fault)
        raise Refusal(f"{path}: cannot be written: {reason}") from None
