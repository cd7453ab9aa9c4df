"""The run's numbers as JSON lines: only what the computation decides, so equal runs give equal files."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerlr_dsl.runner.files import cannot_write

METRICS_FILE = "metrics.jsonl"
TIMING_FILE = "timing.jsonl"


class LineLog:
    """A file that grows by whole JSON lines, and can be cut back to where a checkpoint was taken."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one line. Raises RunFailed, with no part of the line left behind."""
        before = self.size
        line = (json.dumps(row, allow_nan=False) + "\n").encode()
        try:
            with open(self.path, "ab", buffering=0) as file:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as fault:
            if self.size > before:
                os.truncate(self.path, before)
            raise cannot_write(self.path, fault) from None

    def sync(self) -> None:
        """See what was written on the disk, so that no checkpoint is ahead of its metrics."""
        if self.path.exists():
            with open(self.path, "ab") as file:
                os.fsync(file.fileno())

    def cut(self, size: int) -> int:
        """Drop what was written after the first `size` bytes; returns how many bytes are missing before."""
        present = self.size
        if present > size:
            os.truncate(self.path, size)
        return max(0, size - present)


def finite(value: float) -> float | None:
    """JSON has no NaN: a number that is not finite is written as null."""
    return value if math.isfinite(value) else None
