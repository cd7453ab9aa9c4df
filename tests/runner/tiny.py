"""A model and data small enough to train many times, with all that makes resuming hard: dropout, statistics."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from layerlr_dsl.runner.tasks import Metric, Task


def _trace(training: bool) -> None:
    """What tests ask of every forward pass: to take time, or to be the last one before a SIGTERM."""
    time.sleep(float(os.environ.get("TINY_SLEEP", "0")))
    if training and "TINY_INTERRUPT" in os.environ:
        raise KeyboardInterrupt
    if training and "TINY_STOP_AT" in os.environ:
        left = int(os.environ["TINY_STOP_AT"]) - 1
        os.environ["TINY_STOP_AT"] = str(left)
        if left == 0:
            signal.raise_signal(signal.SIGTERM)


class Net(nn.Module):
    """Two convolutions with batch norm and dropout, and a head of three classes."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(8, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _trace(self.training)
        return self.head(self.drop(self.body(self.stem(x)).mean((2, 3))))


def Interrupted() -> nn.Module:
    """Ctrl-C while the model is built."""
    raise KeyboardInterrupt


def _images(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randn(count, 3, 8, 8, generator=generator) + labels.view(-1, 1, 1, 1)
    return images, labels


def data() -> tuple[Dataset, Dataset]:
    """60 training and 18 validation images of three classes."""
    return TensorDataset(*_images(60, 0)), TensorDataset(*_images(18, 1))


class Noisy(Dataset):
    """Samples that are drawn anew each time, by all three global generators."""

    classes = 3

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        import random

        import numpy

        noise = torch.randn(3, 8, 8) + random.random() + float(numpy.random.rand())
        return noise + index % 3, index % 3


def noisy() -> tuple[Dataset, Dataset]:
    return Noisy(), TensorDataset(*_images(18, 1))


class Poisoned(Dataset):
    """One sample of the training set is not a number."""

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = torch.full((3, 8, 8), float(index % 3))
        return (image * float("nan") if index == 17 else image), index % 3


def poisoned() -> tuple[Dataset, Dataset]:
    return Poisoned(), TensorDataset(*_images(18, 1))


def poisoned_validation() -> tuple[Dataset, Dataset]:
    return TensorDataset(*_images(48, 0)), Poisoned()


class Exploding(nn.Module):
    """A model whose body sends back gradients that are not numbers, from its second call on."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3 * 8 * 8, 4)
        self.head = nn.Linear(4, 3)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.body(x.flatten(1))
        if self.training:
            self.calls += 1
        if self.training and self.calls > 2:
            hidden.register_hook(lambda gradient: gradient * float("nan"))
        return self.head(hidden)


class Plain(nn.Module):
    """A model without statistics or chance, whose steps depend on the samples alone."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3 * 8 * 8, 8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _trace(self.training)
        return self.head(torch.relu(self.norm(self.body(x.flatten(1)))))


def named() -> tuple[Dataset, Dataset, Dataset]:
    """Three parts, whose classes have names; the third is the test."""
    first = TensorDataset(*_images(60, 0))
    first.classes = ["ant", "bee", "cat"]
    return first, TensorDataset(*_images(18, 1)), TensorDataset(*_images(21, 2))


def lopsided() -> Dataset:
    """90 images of class 0 and 10 of class 1."""
    images, _ = _images(100, 0)
    labels = (torch.arange(100) >= 90).long()
    return TensorDataset(images + 0.3 * labels.view(-1, 1, 1, 1), labels)


def angles() -> Dataset:
    """Inputs of four numbers and their sum, as a regression has it: no class numbers."""
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(80, 4, generator=generator)
    return TensorDataset(inputs, inputs.sum(1, keepdim=True))


def Line() -> nn.Module:
    """A linear model of four inputs and one output."""
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


class Regression(Task):
    """Mean squared error, and the mean error in words of the target."""

    metric = Metric("error", rising=False)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.mse_loss(outputs, targets)

    def measure(self, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        return {
            "error": (outputs - targets).abs().sum(),
            "moments": torch.stack([targets.sum(), targets.square().sum()]),
        }

    def metrics(self, sums: dict[str, torch.Tensor], count: int) -> dict[str, float]:
        mean, square = (sums["moments"] / count).tolist()
        return {"error": float(sums["error"]) / count, "spread": (square - mean * mean) ** 0.5}


class PerSample(Regression):
    """The same loss, told for each sample."""

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (outputs - targets).square().mean(1)


class Lossless(Task):
    """No loss at all."""


class Misshapen(Task):
    """A loss for each output of each sample."""

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (outputs - targets).square()


class Unmeasured(Regression):
    """Its metric is one that it does not measure."""

    metric = Metric("f1")


class Reserved(Regression):
    """Its metric has the name of a column."""

    metric = Metric("epoch")

    def metrics(self, sums: dict[str, torch.Tensor], count: int) -> dict[str, float]:
        return {"epoch": 1.0}


def Two() -> nn.Module:
    """The tiny network with two classes."""
    return Net(2)


class Normless(nn.Module):
    """Two layers without norms."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3 * 8 * 8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.body(x.flatten(1))))


def Constant() -> nn.Module:
    """A body that its author has filled."""
    net = Normless()
    with torch.no_grad():
        net.body.weight.copy_(torch.linspace(-1, 1, net.body.weight.numel()).view_as(net.body.weight))
    return net


def Trained() -> nn.Module:
    """The network after some steps, as one's own code would load it."""
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    images, labels = _images(60, 0)
    for _ in range(3):
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return net


class Words(Dataset):
    """Sentences of four numbers, as a mapping of what a language model takes."""

    deterministic = True

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> tuple[dict[str, torch.Tensor], int]:
        tokens = torch.tensor([101, 2000 + index, 3000 + index % 4, 102])
        return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}, index % 4


def words() -> Dataset:
    data = Words()
    data.labels = [index % 4 for index in range(24)]
    return data


class Restless(Noisy):
    """Samples that no seed reaches."""

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        noise = int.from_bytes(os.urandom(2), "big") / 2**16
        return torch.full((3, 8, 8), noise + index % 3), index % 3


def restless() -> tuple[Dataset, Dataset]:
    return Restless(), TensorDataset(*_images(18, 1))


class Readable(Regression):
    """Reads its four numbers from a file of text, and says the sum in words of its own."""

    def read(self, path: Path) -> torch.Tensor:
        return torch.tensor([float(word) for word in path.read_text().split()])

    def rows(self, outputs: torch.Tensor, classes: object) -> list[dict[str, object]]:
        return [{"sum": value, "sign": "+" if value > 0 else "-"} for value in outputs[:, 0].tolist()]


class Stubborn(nn.Module):
    """A network that no tracer follows."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Net()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) if float(x.sum()) > -1e30 else x


class Reader(nn.Module):
    """Four classes from tokens and their mask."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(4000, 4)
        self.head = nn.Linear(4, 4)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        shown = self.words(input_ids) * attention_mask.unsqueeze(-1)
        return self.head(shown.sum(1) / attention_mask.sum(1, keepdim=True))


def TwoPlain() -> nn.Module:
    """A network without statistics, of two classes."""
    net = Plain()
    net.head = nn.Linear(8, 2)
    return net


def of_one_class() -> Dataset:
    """Twenty images of class 0."""
    return TensorDataset(_images(20, 0)[0], torch.zeros(20, dtype=torch.long))


def few() -> tuple[Dataset, Dataset]:
    """Two training samples where there are three classes."""
    images, labels = _images(2, 0)
    first = TensorDataset(images, labels)
    first.classes = 3
    return first, TensorDataset(*_images(18, 1))


def without_validation() -> tuple[Dataset, Dataset]:
    """Nothing is held out."""
    return TensorDataset(*_images(20, 0)), TensorDataset(*_images(0, 1))
