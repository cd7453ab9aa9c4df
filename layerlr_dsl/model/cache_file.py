"""Files kept in the user's cache, each with its digest.

They are read only from a folder that belongs to the user and that nobody else can write to, and only if
their digest is right. Keeping may fail at anything and costs nothing but time. The oldest files are
dropped where they grow too many or too large.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from hashlib import sha256
from pathlib import Path

from layerlr_dsl.tools.atomic import write_atomically

MOST_ENTRIES = 1000
MOST_BYTES = 512 * 2**20
_OURS = re.compile(r"\.?[a-z]+-[0-9a-f]{64}\.json")


def read(name: str, largest: int) -> bytes | None:
    """What is kept under `name`, or None if there is nothing that can be trusted."""
    try:
        folder = cache_folder()
        if not _is_ours_alone(folder):
            return None
        with open(folder / name, "rb", buffering=0) as file:
            # As much as there is: to make room for the largest costs more than to read the usual one.
            content = file.read(min(os.fstat(file.fileno()).st_size, largest + 65))
    except (OSError, ValueError, RuntimeError):
        return None
    digest, _, text = content.partition(b"\n")
    return text if sha256(text).hexdigest().encode() == digest else None


def write(name: str, text: bytes) -> None:
    """Keep `text` under `name`, where that can be done safely."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_ours_alone(folder):
            digest = sha256(text).hexdigest().encode()
            write_atomically(folder / name, digest + b"\n" + text, mode=0o600)
            _forget_the_oldest(folder)


def _forget_the_oldest(folder: Path) -> None:
    """Keep the folder within its bounds; only files that `write` names so are looked at."""
    entries = [entry for entry in os.scandir(folder) if _OURS.match(entry.name) and entry.is_file()]
    states = sorted(((entry.stat(), entry.path) for entry in entries), key=lambda pair: -pair[0].st_mtime_ns)
    kept = 0
    for place, (status, path) in enumerate(states):
        kept += status.st_size
        if place and (place >= MOST_ENTRIES or kept > MOST_BYTES):
            os.unlink(path)


def cache_folder() -> Path:
    """`LAYERLR_CACHE_DIR`, else layerlr's part of the user's cache."""
    given = os.environ.get("LAYERLR_CACHE_DIR")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("layerlr"))


def _is_ours_alone(folder: Path) -> bool:
    """Whether the folder is the user's own and closed to others' writing; a link to one is not enough."""
    if os.name == "nt":
        return folder.is_dir()
    status = folder.lstat()
    others_write = stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not others_write
