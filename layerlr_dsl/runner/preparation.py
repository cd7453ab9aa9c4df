"""How an image becomes an input: kept with a run, so that whoever uses its model prepares images the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from layerlr_dsl.runner.errors import DataFault
from layerlr_dsl.runner.libraries import library
from layerlr_dsl.tools.numbers import spelled

WHITE = {"I": 65535.0, "F": 1.0}
"""The brightest value of images whose pixels are no bytes, by the mode that PIL reads them in."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """Resize the shorter side to `size` pixels, cut the middle out, scale to 0..1, normalise each channel.

    A `grey` image loses its colours first; either way it has three channels.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    grey: bool = False

    def transform(self, *, augment: bool = False) -> Callable[[Any], Any]:
        """Takes an image of PIL, gives a tensor of shape (3, size, size); `augment` crops and mirrors at random."""
        transforms = library("torchvision.transforms")
        if augment:
            shape = [
                transforms.RandomResizedCrop(self.size, scale=(0.5, 1.0)),
                transforms.RandomHorizontalFlip(),
            ]
        else:
            shape = [transforms.Resize(self.size), transforms.CenterCrop(self.size)]
        numbers = [transforms.ToTensor(), transforms.Normalize(self.mean, self.std)]
        colours = _grey if self.grey else _three_channels
        return transforms.Compose([colours, *shape, *numbers])  # type: ignore[no-any-return]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _three_channels(image: Any) -> Any:
    """The image with 8 bits for each of three channels. Raises ValueError for values that have no place there.

    PIL cuts all that is above 255 off, which makes most grey images of 16 bits white.
    """
    white = WHITE.get(image.mode.partition(";")[0])
    return (image if white is None else _eight_bits(image, white)).convert("RGB")


def _eight_bits(image: Any, white: float) -> Any:
    import numpy
    from PIL import Image

    values = numpy.asarray(image, dtype=numpy.float64)
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= white:
        raise ValueError(
            f"its values go from {spelled(low, 4)} to {spelled(high, 4)}, not from 0 to {spelled(white, 5)}"
        )
    return Image.fromarray((values * (255 / white)).round().astype(numpy.uint8))


def _grey(image: Any) -> Any:
    return _three_channels(image).convert("L").convert("RGB")


NO_IMAGE = "remove it, or put an image that opens in its place, such as a PNG or JPEG"


def read_image(path: str | Path) -> Any:
    """The image in a file, with three channels. Raises DataFault naming it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return _three_channels(image)
    except UnidentifiedImageError:
        raise DataFault(f"{path} cannot be read as an image: no format that is known", NO_IMAGE) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as fault:
        reason = (getattr(fault, "strerror", None) or str(fault)).lower()
        raise DataFault(f"{path} cannot be read as an image: {reason}", NO_IMAGE) from None
