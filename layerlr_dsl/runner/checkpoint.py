"""Checkpoints: one file each, complete or not there, read back without running anything in them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from layerlr_dsl.runner import checksums
from layerlr_dsl.runner.errors import RunFailed, RunnerError
from layerlr_dsl.runner.files import cannot_write, keep_under_another_name
from layerlr_dsl.tools.atomic import write_atomically
from layerlr_dsl.tools.printable import first_line

FORMAT = "layerlr.checkpoint"
VERSION = 2
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
PARTS = ("model", "optimizer", "schedule", "scaler", "progress", "rules", "lets", "data", "about", "rng")
_HEAD = {"format": FORMAT, "version": VERSION}


class Unusable(Exception):
    """A file that is no checkpoint of this kind, or is damaged; the text says which."""


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint that was read, where it came from, and what was wrong with newer ones."""

    content: dict[str, Any]
    path: Path
    skipped: tuple[str, ...]


def save(folder: Path, content: Mapping[str, Any], *, best: bool) -> None:
    """Make `content` the last checkpoint of `folder`, keep the one before it, and mark it as the best.

    `content` holds tensors, numbers, text and containers of those only. Raises RunFailed where it
    cannot be written; every checkpoint that was there before is then still whole.
    """
    last = folder / LAST
    sums = _Sums(folder)
    try:
        if last.exists():
            keep_under_another_name(last, folder / PREVIOUS)
        write_atomically(last, lambda file: sums.announce(_serialise({**_HEAD, **content}, file), best=best))
        if best:
            keep_under_another_name(last, folder / BEST)
        sums.settle()
    except (OSError, RuntimeError) as fault:
        raise cannot_write(last, _root_cause(fault)) from None


class _Sums:
    """The list of checksums through one save: before it, while files take their places, and after."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = checksums.listed(folder) or {
            name: frozenset({checksums.of(folder / name)})
            for name in (LAST, PREVIOUS, BEST)
            if (folder / name).exists()
        }
        self._after: checksums.Listed = {}

    def announce(self, digest: str, *, best: bool) -> None:
        """List the new last checkpoint, which is about to take its place, beside what is there."""
        before, new = self._before, frozenset({digest})
        self._after = {**before, LAST: new, PREVIOUS: before.get(LAST, frozenset())}
        if best:
            self._after[BEST] = new
        both = {name: before.get(name, frozenset()) | after for name, after in self._after.items()}
        checksums.write(self._folder, both)

    def settle(self) -> None:
        """List what is there now and nothing else."""
        checksums.write(self._folder, self._after)


def _serialise(content: Mapping[str, Any], file: IO[bytes]) -> str:
    """Write `content`; the digest of all that was written."""
    import torch

    writer = _Writer(file)
    torch.save(content, cast("IO[bytes]", writer))
    return writer.sum.hexdigest()


class _Writer:
    """Hands bytes on to a file and adds them up, and remembers the file's own error, which torch would hide
    behind its own.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sum = hashlib.sha256()
        self._fault: OSError | None = None

    def write(self, data: Any) -> int:
        if self._fault is not None:
            return len(data)
        self.sum.update(data)
        try:
            return self._file.write(data)
        except OSError as fault:
            self._fault = fault
            raise

    def flush(self) -> None:
        if self._fault is not None:
            raise self._fault
        self._file.flush()


def _root_cause(fault: BaseException) -> BaseException:
    """The operating system's own error behind what torch raised, where there is one."""
    seen: BaseException | None = fault
    while seen is not None:
        if isinstance(seen, OSError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return fault


def load(folder: Path, names: Sequence[str] = (LAST, PREVIOUS)) -> Found | None:
    """The first whole checkpoint of `folder` among `names`, the newest by default, None where none was ever made.

    Raises RunnerError where all that there are cannot be used.
    """
    skipped: list[str] = []
    for name in names:
        path = folder / name
        if not path.exists():
            continue
        try:
            return Found(read(path), path, tuple(skipped))
        except Unusable as fault:
            skipped.append(f"{path}: {fault}")
    if skipped:
        raise RunnerError("no checkpoint can be used\n  " + "\n  ".join(skipped), _way_out(folder))
    return None


def _way_out(folder: Path) -> str | None:
    """What is left to try where the list of checksums condemns every file: it may be the one that is damaged."""
    if not checksums.listed(folder):
        return None
    listed = folder / checksums.CHECKSUMS_FILE
    return f"if {listed} is what was damaged, remove it: then each file's own checksums count"


def read(path: Path) -> dict[str, Any]:
    """The content of one checkpoint file. Raises Unusable with the reason."""
    import torch

    _check_whole(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as fault:  # torch lets pass whatever its parts stumble over in a damaged file
        raise Unusable(f"cannot be read: {first_line(fault)}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Unusable("is not a checkpoint of layerlr train")
    version = content.get("version")
    if version != VERSION:
        raise Unusable(f"was written by another release (version {version}, this one reads {VERSION})")
    lacking = [part for part in PARTS if part not in content]
    if lacking:
        raise Unusable(f"lacks {', '.join(lacking)}")
    return content


def _check_whole(path: Path) -> None:
    """The list of checksums sees every flip. Without one there are the sums of the archive's own members,
    which torch writes and never looks at.
    """
    try:
        fits = checksums.fits(path)
    except OSError as fault:
        raise Unusable(f"cannot be read: {fault.strerror or fault}") from None
    if fits is None:
        _check_members(path)
    elif not fits:
        told = f"is damaged, or of another run: its checksum is not in {checksums.CHECKSUMS_FILE}"
        raise Unusable(told)


def _check_members(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile:
        raise Unusable("is cut short, or no checkpoint at all") from None
    except Exception as fault:  # a damaged directory sends the zip module anywhere
        raise Unusable(f"cannot be read: {first_line(fault)}") from None
    if damaged is not None:
        raise Unusable(f"is damaged: the checksum of {damaged} does not fit")


def check_model(content: Mapping[str, Any], own: Mapping[str, Any], path: Path) -> None:
    """Refuse a checkpoint of another model; `own` is the model's state by name."""
    saved = content["model"]
    for name, value in own.items():
        if name not in saved:
            raise RunnerError(f"{path} is a checkpoint of another model: it lacks {name}")
        if tuple(saved[name].shape) != tuple(value.shape):
            shapes = f"{tuple(saved[name].shape)} there, {tuple(value.shape)} here"
            raise RunnerError(f"{path} is a checkpoint of another model: {name} has shape {shapes}")
    extra = next((name for name in saved if name not in own), None)
    if extra is not None:
        raise RunnerError(f"{path} is a checkpoint of another model: it also holds {extra}")


__all__ = [
    "BEST",
    "LAST",
    "PREVIOUS",
    "Found",
    "RunFailed",
    "Unusable",
    "check_model",
    "load",
    "read",
    "save",
]
