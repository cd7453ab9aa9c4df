"""Remembered features in a loop of one's own: cheaper, and else as if the whole model ran."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import layerlr_dsl as layerlr
from layerlr_dsl.training import remember

RULES = """
schedule cosine
optimizer sgd(momentum=0.9)
** -> lr 1e-1
freeze stem until epoch 6
freeze statistics of body
"""


class Net(nn.Module):
    """A stem that counts how many samples it sees, a norm behind it, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.stem(x)).mean((2, 3)))  # type: ignore[no-any-return]


def _data() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(30) % 3
    return TensorDataset(torch.randn(30, 3, 8, 8, generator=generator) + labels.view(-1, 1, 1, 1), labels)


def _loader(**settings: Any) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(1)
    return DataLoader(_data(), batch_size=8, shuffle=True, generator=generator, **settings)


def _train(model: nn.Module, batches: Any, call: Any, epochs: int = 8) -> int:
    """Train and tell how many samples went through the stem's first layer."""
    seen = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal seen
        seen += len(inputs[0])

    handle = model.stem[0].register_forward_pre_hook(count)  # type: ignore[index, union-attr]
    plan = layerlr.parse(RULES).resolve(model, epochs=epochs, steps_per_epoch=4)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    for _ in range(epochs):
        model.train()
        for inputs, targets in batches:
            nn.functional.cross_entropy(call(inputs), targets).backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    handle.remove()
    return seen


def test_training_on_features_ends_where_training_on_the_whole_model_does() -> None:
    """Over a thaw too, norms' held statistics included; and the stem has seen a fraction of the samples."""
    torch.manual_seed(0)
    whole = Net()
    halves = copy.deepcopy(whole)
    loader = _loader()
    all_seen = _train(whole, loader, whole)
    batches = remember(halves, _loader())
    seen = _train(halves, batches, batches.model)
    # the look at the model before the cut takes some samples, the two epochs after the thaw all of theirs
    assert all_seen == 240
    assert seen < 60 + 30 + 70
    for (name, one), other in zip(whole.state_dict().items(), halves.state_dict().values(), strict=True):
        assert torch.allclose(one, other, atol=1e-5), name
    assert batches.reason == "nothing is frozen"


def test_while_all_but_the_head_stands_still_the_rest_runs_once() -> None:
    """Epochs cost no pass through what is remembered."""
    model = Net()
    for part in (model.stem, model.body):
        part.requires_grad_(False).eval()
    batches = remember(model, _loader())
    first = next(iter(batches))[0]
    assert batches.reason is None
    assert first[0].shape[1] == 4
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    model.body[0].register_forward_pre_hook(count)
    for _ in range(3):
        for inputs, targets in batches:
            assert batches.model(inputs).shape == (len(targets), 3)
    assert calls == 0


class Noise(Dataset[Any]):
    """Samples that are drawn anew."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.randn(3, 8, 8), index % 3


def test_where_nothing_can_be_remembered_the_model_runs_whole_and_the_reason_is_there() -> None:
    """Data that varies, features that take too much room."""
    model = Net()
    model.stem.requires_grad_(False).eval()
    varying = remember(model, DataLoader(Noise(), batch_size=8))
    inputs, _ = next(iter(varying))
    assert isinstance(inputs, torch.Tensor)
    assert varying.reason == "the data set does not give one tensor a sample, the same each time"
    narrow = remember(model, _loader(), memory=0)
    inputs, targets = next(iter(narrow))
    assert narrow.model(inputs).shape == (len(targets), 3)
    assert narrow.reason is not None
    assert "MiB, more than 0" in narrow.reason


class Stream(IterableDataset[Any]):
    """Samples without numbers."""

    def __iter__(self) -> Any:
        yield torch.zeros(3, 8, 8), 0


def test_a_loader_without_numbered_samples_is_refused() -> None:
    """There is nothing to remember by."""
    with pytest.raises(ValueError, match="numbered samples"):
        remember(Net(), DataLoader(Stream()))
