"""Clip art by the folder it lies in, colour drawings near to what the network has seen; shift: rubber stamps."""

from __future__ import annotations

from pathlib import Path

import numpy
from PIL import Image
from torch import Tensor

from effect.design import Task
from effect.images import parted, pixels, stacked
from effect.packages import unpacked

FOLDERS = (
    *("animals", "computer", "food", "geography", "office"),
    *("people", "plants", "recreation", "tools", "transportation"),
)
STAMPS = {
    "animals": ("animals",),
    "food": ("food",),
    "people": ("people",),
    "plants": ("plants",),
    "recreation": ("hobbies", "sports"),
    "transportation": ("vehicles",),
}
"""Folders of the stamps by the class that they are of; the other classes have none."""
POOL = 60
LARGEST = 8_000_000
"""Pixels; a few of the drawings have hundreds of millions."""


def make(task: Task, cache: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Raises packages.Missing."""
    art = unpacked(task.packages[0], cache) / "usr/share/openclipart/png"
    stamps = unpacked(task.packages[1], cache) / "usr/share/tuxpaint/stamps"
    found = [(path, label) for label, name in enumerate(FOLDERS) for path in _files(art / name)]
    pool, test = parted([label for _, label in found], POOL)
    parts = {"pool": [found[row] for row in pool], "test": [found[row] for row in test]}
    parts["shift"] = [
        (path, FOLDERS.index(name))
        for name, folders in STAMPS.items()
        for folder in folders
        for path in _files(stamps / folder)
    ]
    return {name: _read(files, task.side) for name, files in parts.items()}


def _files(folder: Path) -> list[Path]:
    """Files in an order of their own, so that a series of drawings is not cut in a row."""
    found = sorted(path for path in folder.rglob("*.png") if not path.is_symlink() and _fits(path))
    return [found[row] for row in numpy.random.default_rng(0).permutation(len(found))]


def _fits(path: Path) -> bool:
    """Whether it is a readable picture of a size that can be opened."""
    try:
        with Image.open(path) as image:
            return image.width * image.height <= LARGEST
    except (OSError, Image.DecompressionBombError):
        return False


def _read(files: list[tuple[Path, int]], side: int) -> tuple[Tensor, Tensor]:
    images, labels = [], []
    for path, label in files:
        with Image.open(path) as image:
            images.append(pixels(image, side))
        labels.append(label)
    return stacked(images, labels)
