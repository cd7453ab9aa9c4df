"""The checksums of a run's checkpoints, in the form of `sha256sum`, beside them.

The list is written before a checkpoint takes its place and still holds what lay there before, so at
every moment each whole file is listed, and one with a flipped bit is not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from layerlr_dsl.runner.files import write_text

CHECKSUMS_FILE = "checkpoints.sha256"
PIECE = 2**20

Listed = dict[str, frozenset[str]]
"""The digests that the file of each name may have: two while one is about to replace another."""


def listed(folder: Path) -> Listed:
    """What the list in `folder` says; nothing where there is none, or where it cannot be read."""
    try:
        text = (folder / CHECKSUMS_FILE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    found: Listed = {}
    for digest, name in re.findall(r"^([0-9a-f]{64})  (.+)$", text, re.MULTILINE):
        found[name] = found.get(name, frozenset()) | {digest}
    return found


def write(folder: Path, entries: Mapping[str, frozenset[str]]) -> None:
    """Replace the list. Raises RunFailed."""
    lines = [f"{digest}  {name}\n" for name, digests in entries.items() for digest in sorted(digests)]
    write_text(folder / CHECKSUMS_FILE, "".join(lines))


def of(path: Path) -> str:
    """The digest of a file as it lies there. Raises OSError."""
    sum = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            sum.update(piece)
    return sum.hexdigest()


def fits(path: Path) -> bool | None:
    """Whether `path` is one of the files that its folder lists; None where nothing is listed.

    A checkpoint put in another's place by hand fits too. Raises OSError.
    """
    entries = listed(path.parent)
    if not entries:
        return None
    return of(path) in frozenset().union(*entries.values())
