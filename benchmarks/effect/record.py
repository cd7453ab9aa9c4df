"""What has been trained so far: one line of JSON a trial, added whole; the same trial is never run twice."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

TRIALS, SEARCHES = "trials.jsonl", "searches"


@dataclass(frozen=True, slots=True)
class Key:
    """Which trial. `part` is `tune` or `report`; `digest` tells the rules and the task's sizes apart."""

    task: str
    arm: str
    epochs: int
    base: float
    seed: int
    part: str
    digest: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What a trial came to: accuracies (of validation when tuning, of the test when reporting), the loss, the cost.

    score and shift are shares of 1; a trial whose loss was no finite number has no score. seconds are of
    the processor, in training; wall ones, of all of the trial, are for the time that is left.
    """

    score: float | None
    loss: float | None
    shift: float | None
    seconds: float
    memory: int
    trains: float
    wall: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search with a seed came to: the arm and base rate that it would have one use, and what it took.

    grid and seconds are of the processor; tried counts trials by arm; score is that of validation.
    """

    task: str
    epochs: int
    seed: int
    arm: str
    base: float
    score: float
    grid: float
    seconds: float
    tried: Mapping[str, int]


def about() -> dict[str, str]:
    """The machine and the libraries of this process, and today."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"{cores} cores of {platform.machine()}, one thread a process"
    return {"date": time.strftime("%Y-%m-%d"), "machine": machine, "torch": torch.__version__}


def digest(*said: object) -> str:
    return hashlib.sha256("\0".join(map(str, said)).encode()).hexdigest()[:12]


class Record:
    """The lines of a file. Several processes may add to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = 0
        self._rest = b""
        self._known: dict[Key, Figures] = {}

    def get(self, key: Key) -> Figures | None:
        return self.all().get(key)

    def all(self) -> Mapping[Key, Figures]:
        """Every trial, those that other processes have added meanwhile too."""
        if self.path.exists() and self.path.stat().st_size > self._size:
            with self.path.open("rb") as file:
                file.seek(self._size)
                added = file.read()
            self._size += len(added)
            *lines, self._rest = (self._rest + added).split(b"\n")
            self._known.update(_read(lines))
        return self._known

    def add(self, key: Key, figures: Figures) -> None:
        """Write a line; one that a crash cut short before is ended first."""
        line = json.dumps({**asdict(key), **asdict(figures)}, allow_nan=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"), self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                line = line if file.read(1) == b"\n" else "\n" + line
            file.write(line.encode())


def _read(lines: list[bytes]) -> Iterator[tuple[Key, Figures]]:
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            continue  # cut short by a crash: that trial is run again
        yield (
            Key(**{name: said[name] for name in Key.__slots__}),
            Figures(**{name: said[name] for name in Figures.__slots__}),
        )


def searches(folder: Path) -> list[Found]:
    """What was found by the searches that a folder holds."""
    paths = sorted((folder / SEARCHES).glob("*.json"))
    return [Found(**json.loads(path.read_text("utf-8"))) for path in paths]


def search_path(folder: Path, task: str, epochs: int, seed: int) -> Path:
    return folder / SEARCHES / f"{task}-{epochs}-{seed}.json"


def keep_search(found: Found, folder: Path) -> Found:
    """Write a search into its place in a folder."""
    path = search_path(folder, found.task, found.epochs, found.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(found)) + "\n", "utf-8")
    return found
