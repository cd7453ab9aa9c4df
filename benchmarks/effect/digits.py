"""Scikit-learn's handwritten digits, 8 by 8 pixels; shift: turned by 20 to 40 degrees."""

from __future__ import annotations

from pathlib import Path

import numpy
from PIL import Image
from torch import Tensor

from effect.design import Task
from effect.fashion import drawings
from effect.packages import Missing


def make(task: Task, cache: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Raises packages.Missing."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise Missing("scikit-learn is not installed") from None
    found = load_digits()
    grey = (found.images * (255 / 16)).astype(numpy.uint8)
    images = [Image.fromarray(image).resize((28, 28), Image.Resampling.BILINEAR) for image in grey]
    return drawings(images, found.target.tolist(), task.side)
