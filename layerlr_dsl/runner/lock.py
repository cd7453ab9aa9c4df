"""One run at a time in a folder: who holds it is written down for whoever comes second.

The lock is the operating system's (through filelock), so it ends with its process, however that ends.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.files import make_folder, write_text
from layerlr_dsl.runner.processes import Processes
from layerlr_dsl.tools.atomic import remove_leftovers

LOCK_FILE, OWNER_FILE = ".lock", ".running.json"


@contextmanager
def held(folder: Path, place: Processes) -> Iterator[None]:
    """Hold `folder` for all processes of this run; the first of them makes it where it is not there.

    Raises RunnerError, on all processes, where another run holds it.
    """
    with ExitStack() as stack:
        problem: RunnerError | None = None
        if place.first:
            try:
                stack.enter_context(_locked(folder))
            except RunnerError as fault:
                problem = fault
        told = place.agree(None if problem is None else problem.message)
        if told is not None:
            raise problem or RunnerError(told)
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    made = not folder.exists()
    make_folder(folder)
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise _taken(folder) from None
    except (OSError, NotImplementedError) as fault:
        raise RunnerError(f"--out {folder} cannot be locked: {fault}") from None
    try:
        remove_leftovers(folder)
        write_text(folder / OWNER_FILE, json.dumps(_me()) + "\n")
        yield
    finally:
        (folder / OWNER_FILE).unlink(missing_ok=True)
        lock.release()
        if made:
            _remove_unused(folder)


def _me() -> dict[str, str | int]:
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _taken(folder: Path) -> RunnerError:
    message = f"another run writes into {folder}"
    try:
        owner = json.loads((folder / OWNER_FILE).read_text(encoding="utf-8"))
        pid, host, since = int(owner["pid"]), str(owner["host"]), str(owner["since"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        pass  # it has only just begun, or the file is damaged: the lock alone counts
    else:
        message += f": process {pid} on {host}, since {since}"
    return RunnerError(message, "wait until it has ended, or give another folder")


def _remove_unused(folder: Path) -> None:
    """Remove a folder that this run has made and then written nothing into."""
    if [path.name for path in folder.iterdir()] == [LOCK_FILE]:
        (folder / LOCK_FILE).unlink()
        folder.rmdir()
