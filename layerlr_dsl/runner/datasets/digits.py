"""scikit-learn's digits: 1,797 handwritten figures of 8x8 pixels, shipped inside that package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerlr_dsl.runner.data import Data, Request
from layerlr_dsl.runner.datasets.split import split
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.order import Key
from layerlr_dsl.runner.preparation import Preparation
from layerlr_dsl.tools.words import install

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 64


@dataclass(frozen=True, slots=True)
class GreyImages:
    """Images kept in memory with one channel, shape (samples, 1, side, side), handed out with three."""

    images: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, keys: Sequence[Key]) -> tuple[Tensor, Tensor]:
        chosen = [index for index, _ in keys]
        return (self.images[chosen] - self.mean) / self.std, self.labels[chosen]


def load(request: Request) -> Data:
    """The digits, resized to the side that the model wants (64 pixels where it takes any)."""
    import torch
    from torch.nn.functional import interpolate

    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise RunnerError("digits needs scikit-learn", install("data")) from None
    table = load_digits()
    side = request.wanted.side(SIDE)
    small = torch.tensor(table.images, dtype=torch.float32).unsqueeze(1) / 16
    images = interpolate(small, size=(side, side), mode="bilinear", align_corners=False)
    labels = torch.tensor(table.target, dtype=torch.int64)
    mean = torch.tensor(request.wanted.mean).view(3, 1, 1)
    std = torch.tensor(request.wanted.std).view(3, 1, 1)
    train, held_out, test = (
        None if part is None else GreyImages(images[part], labels[part], mean, std)
        for part in split(table.target.tolist(), request)
    )
    assert train is not None
    assert held_out is not None
    return Data(
        "digits",
        train,
        held_out,
        collate=_as_it_is,
        classes=10,
        notes=("digits are not augmented: a mirrored figure is another figure",) if request.augment else (),
        test=test,
        class_names=tuple("0123456789"),
        labels=lambda: train.labels.tolist(),
        preparation=Preparation(side, tuple(request.wanted.mean), tuple(request.wanted.std), grey=True),
    )


def _as_it_is(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return batch
