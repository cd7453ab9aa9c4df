"""Runs of the tiny model, and how two of them are compared."""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
BATCH = 10
RULES = """
optimizer adamw(weight_decay=0.05)
schedule cosine(warmup=10%)
** -> lr 1e-2
stem -> lr 3e-3
freeze stem until epoch 1.5
freeze body until epoch 0.5
"""


def settings(rules: Path, out: Path | None, *more: object, data: str = "data") -> list[object]:
    """The command line that trains the tiny model."""
    line: list[object] = ["train", rules, "--data", f"python:tiny:{data}", "--model", "python:tiny:Net"]
    line += ["--epochs", 3, "--batch-size", BATCH, "--from-scratch"]
    return [*line, *(["--out", out] if out else []), *more]


def again(out: Path, *more: object, model: str = "Net", data: str = "data") -> list[object]:
    """The command line that goes on with such a run: what runs code must be said again."""
    line: list[object] = ["train", "--resume", "--out", out, "--model", f"python:tiny:{model}"]
    return [*line, "--data", f"python:tiny:{data}", *more]


def content(folder: Path, name: str = "last.pt") -> dict[str, Any]:
    """A checkpoint, as anyone can read it."""
    return torch.load(folder / name, weights_only=True)


def replace_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Put a whole file of other content in the place of the last checkpoint, its list of checksums gone."""
    (folder / "checkpoints.sha256").unlink(missing_ok=True)
    (folder / "last.pt").unlink()
    torch.save(state, folder / "last.pt")


ROUNDING = 1e-5
"""Of each part. On some processors what a kernel gives for a sample hangs in its last bits on the rest of the batch."""


def same_but_for_rounding(left: Any, right: Any) -> bool:
    """Whether two nests of plain data are equal, their fractions and tensors within `ROUNDING`."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_but_for_rounding(left[k], right[k]) for k in left)
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return left.dtype == right.dtype and torch.allclose(left, right, rtol=ROUNDING, atol=1e-7)
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=ROUNDING)
    return bool(left == right)


def differences(left: Any, right: Any, path: str = "") -> list[str]:
    """Where two nests of plain data differ, tensors bit for bit."""
    if isinstance(left, dict) and isinstance(right, dict):
        found = [f"{path}.{key}" for key in left.keys() ^ right.keys()]
        return found + [
            d for k in left.keys() & right.keys() for d in differences(left[k], right[k], f"{path}.{k}")
        ]
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        if len(left) != len(right):
            return [path]
        return [
            d
            for i, pair in enumerate(zip(left, right, strict=True))
            for d in differences(*pair, f"{path}.{i}")
        ]
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return [] if left.dtype == right.dtype and torch.equal(left, right) else [path]
    return [] if left == right else [path]


def run_differences(left: Path, right: Path) -> list[str]:
    """In what two finished runs differ: weights, optimizer, schedule, generators, metrics; wall time aside."""
    sides = [content(folder) for folder in (left, right)]
    for side in sides:
        side["progress"].pop("seconds")
    found = differences(*sides)
    if (left / "metrics.jsonl").read_bytes() != (right / "metrics.jsonl").read_bytes():
        found.append("metrics.jsonl")
    return found


def environment() -> dict[str, str]:
    """For processes of their own: this checkout, one thread, no network."""
    root = str(HERE.parents[1])
    paths = os.pathsep.join([root, str(HERE), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "LAYERLR_DEBUG": ""}


def start(line: list[object], output: Path | None = None, kill_after: float = 0.0, **variables: str) -> int:
    """Run a command in a forked process, which is warm already; returns its number.

    `kill_after` so many seconds of processor time (0: never) a signal that nobody handles ends it.
    """
    child = os.fork()
    if child:
        return child
    try:
        signal.setitimer(signal.ITIMER_PROF, kill_after)
        from layerlr_dsl.cli import run

        os.environ.update(variables)
        # new streams: those of the test runner do not go through the file descriptors
        sys.stdout = sys.stderr = open(output or os.devnull, "w", buffering=1)  # noqa: SIM115
        os._exit(run([str(part) for part in line]))
    finally:
        os._exit(70)


def finish(child: int) -> int:
    """Wait for a process; its exit status, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_together(line: list[object], folder: Path, world: int = 2, **variables: str) -> list[int]:
    """The processes that torchrun would start, each printing to `folder`/RANK.txt."""
    shared = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    folder.mkdir(parents=True, exist_ok=True)
    return [
        start(line, folder / f"{rank}.txt", RANK=str(rank), LOCAL_RANK=str(rank), **shared, **variables)
        for rank in range(world)
    ]


def run_together(line: list[object], folder: Path, world: int = 2, **variables: str) -> list[int]:
    """Their exit statuses."""
    return [finish(child) for child in start_together(line, folder, world, **variables)]
