"""How an image becomes an input: kept with a run, so that whoever uses its model prepares images the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from layerlr_dsl.runner.errors import RunFailed
from layerlr_dsl.runner.libraries import library


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
    return image.convert("RGB")


def _grey(image: Any) -> Any:
    return image.convert("L").convert("RGB")


def read_image(path: str | Path) -> Any:
    """The image in a file, with three channels. Raises RunFailed naming it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except UnidentifiedImageError:
        raise RunFailed(f"{path} cannot be read as an image: no format that is known") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as fault:
        reason = (getattr(fault, "strerror", None) or str(fault)).lower()
        raise RunFailed(f"{path} cannot be read as an image: {reason}") from None
