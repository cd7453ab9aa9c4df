"""Clothes in ten classes, small and grey (Fashion-MNIST, Xiao et al. 2017); shift: turned by 20 to 40 degrees."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy
from PIL import Image
from torch import Tensor

from effect.design import Task
from effect.images import parted, pixels, stacked, turned
from effect.packages import unpacked

POOL = 200


def make(task: Task, cache: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Raises packages.Missing."""
    folder = unpacked(task.packages[0], cache) / "usr/share/datasets/fashion-mnist"
    images = _read(folder / "t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = _read(folder / "t10k-labels-idx1-ubyte.gz", 8).tolist()
    return drawings([Image.fromarray(image) for image in images], labels, task.side)


def drawings(images: list[Image.Image], labels: list[int], side: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Grey drawings on black as a pool, a test set, and the same test set turned."""
    pool, test = parted(labels, POOL)
    parts = {"pool": [images[row] for row in pool], "test": [images[row] for row in test]}
    parts["shift"] = turned(parts["test"], (20, 40), 0)
    rows = {"pool": pool, "test": test, "shift": test}
    return {
        name: stacked([pixels(image, side) for image in shown], [labels[row] for row in rows[name]])
        for name, shown in parts.items()
    }


def _read(path: Path, skipped: int) -> numpy.ndarray:
    return numpy.frombuffer(gzip.decompress(path.read_bytes())[skipped:], numpy.uint8)
