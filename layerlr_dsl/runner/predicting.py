"""What a trained model says of files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.feed import called, in_full, mapped
from layerlr_dsl.runner.preparation import read_image
from layerlr_dsl.runner.trained import Trained
from layerlr_dsl.tools.printable import first_line

IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one file: the task's columns, or why the file could not be read."""

    path: str
    columns: dict[str, Any]
    fault: str | None = None


def files(paths: Iterable[str]) -> list[str]:
    """The files that `paths` name, each once; of a folder the images in it, in order of their names.

    Raises RunnerError for what is not there, and a folder without images.
    """
    found: dict[str, None] = {}
    for path in paths:
        if not os.path.isdir(path):
            found[path] = None
            continue
        inside = sorted(_images(path))
        if not inside:
            raise RunnerError(f"{path}: no images in this folder", f"they end in {', '.join(IMAGES)}")
        found.update(dict.fromkeys(inside))
    return list(found)


def _images(folder: str) -> Iterator[str]:
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.join(here, name) for name in names if name.lower().endswith(IMAGES))


def predict(trained: Trained, paths: Sequence[str], batch_size: int) -> Iterator[Prediction]:
    """What the model says of each file, in their order. Raises RunnerError where no file can become an input."""
    for start in range(0, len(paths), batch_size):
        yield from _batch(trained, paths[start : start + batch_size])


def _batch(trained: Trained, paths: Sequence[str]) -> list[Prediction]:
    inputs: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for path in paths:
        try:
            inputs[path] = _input(trained, Path(path))
        except RunnerError as fault:
            if fault.status == RunnerError.status:
                raise
            faults[path] = fault.message.removeprefix(f"{path} ")
    rows = dict(zip(inputs, _rows(trained, list(inputs.values())), strict=True)) if inputs else {}
    return [Prediction(path, rows.get(path, {}), faults.get(path)) for path in paths]


def _input(trained: Trained, path: Path) -> Any:
    """One file as an input of the model. Raises RunFailed for the file, RunnerError for all of them."""
    from layerlr_dsl.runner.errors import RunFailed

    try:
        own = trained.task.read(path)
    except Exception as fault:
        raise RunFailed(f"{path} cannot be read: {type(fault).__name__}: {first_line(fault)}") from fault
    if own is not None:
        return own
    if trained.about.preparation is None:
        raise RunnerError(
            f"{trained.path} does not tell how a file becomes an input: its data was {trained.about.data}",
            "give the run a --task whose method read(path) makes an input of a file",
        )
    return trained.about.preparation.transform()(read_image(path))


def _rows(trained: Trained, inputs: list[Any]) -> list[dict[str, Any]]:
    import torch
    from torch.utils.data import default_collate

    try:
        batch = mapped(default_collate(inputs), lambda tensor: tensor.to(trained.device))
        with torch.no_grad():
            outputs = in_full(trained.task.outputs(called(trained.model, batch)))
    except Exception as fault:
        raise RunnerError(f"the model of {trained.path} fails on these files: {first_line(fault)}") from fault
    rows = trained.task.rows(outputs, trained.about.classes)
    if len(rows) != len(inputs):
        raise RunnerError(f"the task gives {len(rows)} rows for {len(inputs)} files")
    return rows
