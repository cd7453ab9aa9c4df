"""Images as bytes for a network, and splitting them by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy
import torch
from PIL import Image
from torch import Tensor

TESTED = 600
"""Test samples, over all classes."""


def pixels(image: Image.Image, side: int) -> numpy.ndarray:
    """An image of any mode on white, its longer side fitted, as bytes of shape (3, side, side)."""
    image = image.convert("RGBA")
    image.thumbnail((side, side), Image.Resampling.BILINEAR) if max(image.size) > side else None
    if max(image.size) < side:
        factor = side / max(image.size)
        size = tuple(max(1, round(length * factor)) for length in image.size)
        image = image.resize(size, Image.Resampling.BILINEAR)
    page = Image.new("RGBA", (side, side), "white")
    page.alpha_composite(image, tuple((side - length) // 2 for length in image.size))
    return numpy.asarray(page.convert("RGB")).transpose(2, 0, 1)


def stacked(images: Sequence[numpy.ndarray], labels: Sequence[int]) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(numpy.stack(images)), torch.tensor(list(labels))


def parted(labels: Sequence[int], pool: int, tested: int = TESTED) -> tuple[list[int], list[int]]:
    """Rows for the pool, at most `pool` of a class, and for the test, the same number of each class if it can be."""
    generator = numpy.random.default_rng(0)
    numbers = numpy.asarray(labels)
    classes = int(numbers.max()) + 1
    first: list[int] = []
    second: list[int] = []
    for label in range(classes):
        rows = generator.permutation(numpy.flatnonzero(numbers == label)).tolist()
        share = min(-(-tested // classes), len(rows) // 2)
        second += rows[:share]
        first += rows[share : share + pool]
    return first, second


def turned(images: Sequence[Image.Image], degrees: tuple[int, int], fill: int) -> list[Image.Image]:
    """Each turned by some angle between `degrees`, to the left or the right."""
    generator = numpy.random.default_rng(2)
    angles = generator.uniform(*degrees, len(images)) * generator.choice([-1, 1], len(images))
    return [
        image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=fill)
        for image, angle in zip(images, angles, strict=True)
    ]
