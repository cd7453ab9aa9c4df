"""`validate --watch`: run again whenever a rule file changes."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.inputs import STDIN, Input, gather
from layerlr_dsl.cli.terminal import is_terminal, write
from layerlr_dsl.cli.validation import Report
from layerlr_dsl.tools.words import count

INTERVAL = 0.4


def watch_files(run: Callable[[], Report], paths: Iterable[str], rounds: int | None = None) -> int:
    """Call `run` at once and after each change, until interrupted (or for so many `rounds`).

    Raises Refusal for standard input, which cannot be read twice, and for a first run that is refused.
    """
    watched = list(paths)
    if STDIN in watched:
        raise Refusal("--watch needs files; standard input cannot be read twice")
    status = 0
    seen: object = None
    for number in range(rounds) if rounds is not None else itertools.count():
        now = _stamp(watched)
        if now != seen:
            seen = now
            status = _round(run, number == 0)
            seen = _stamp(watched)
        if rounds is None or number + 1 < rounds:
            time.sleep(INTERVAL)
    return status


def _round(run: Callable[[], Report], first: bool) -> int:
    if is_terminal(sys.stdout):
        sys.stdout.write("\x1b[2J\x1b[H")
    try:
        report = run()
    except Refusal as refusal:
        if first:
            raise
        refusal.show()
        return refusal.exit_code
    write(f"watching {count(len(report.outcomes), 'file')}; Ctrl-C stops")
    sys.stdout.flush()
    return report.exit_status


def _stamp(paths: list[str]) -> object:
    """What changes when a file is edited, added or removed; includes below the watched folders count."""
    stamps: dict[str, tuple[int, int] | None] = {}
    try:
        entries: list[Input] = gather(paths)
    except Refusal:
        return ("nothing to watch", tuple(paths))
    folders = {os.path.dirname(entry.path) or "." for entry in entries}
    for folder in folders:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if name.endswith(".lr"):
                stamps[os.path.join(folder, name)] = _of(os.path.join(folder, name))
    for entry in entries:
        stamps[entry.path] = _of(entry.path)
    return stamps


def _of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
