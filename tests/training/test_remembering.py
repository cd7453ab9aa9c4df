"""Remembered features in a loop of one's own: cheaper, and else as if the whole model ran."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing._internal.distributed.fake_pg import FakeStore
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
    assert varying.reason == "the data set draws random numbers"
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


class Dropping(nn.Module):
    """Dropout before and behind a frozen layer, as a module and as a function."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.Dropout(0.3))
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = nn.functional.dropout(self.stem(x), 0.3, self.training)
        return self.head(hidden)  # type: ignore[no-any-return]


class Still(Net):
    """A stem that stands still in all, for as long as the loop leaves modes alone."""

    def __init__(self) -> None:
        super().__init__()
        self.stem.eval()


class Mirrored(Dataset[Any]):
    """Samples that are seldom mirrored: a look at a few finds no difference."""

    def __init__(self) -> None:
        self._data = _data()

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = self._data[index]
        return (x.flip(-1) if torch.rand(()) < 0.05 else x), y


def _losses(
    net: Callable[[], nn.Module], loader: Callable[[], DataLoader[Any]], loop: Any, halves: bool
) -> list[torch.Tensor]:
    """What a loop makes of a net, with or without features: its losses and the weights at the end."""
    torch.manual_seed(0)
    model, batches = net(), loader()
    torch.manual_seed(5)
    remembering = remember(model, batches)
    losses = loop(model, remembering if halves else batches, remembering.model if halves else model)
    return [torch.tensor(losses), *model.state_dict().values()]


def _held(model: nn.Module) -> nn.Module:
    model.stem.requires_grad_(False)
    return model


def _step(model: nn.Module, loss: torch.Tensor) -> float:
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p -= 0.1 * p.grad
                p.grad = None
    return loss.item()


def _evaluating(model: nn.Module, batches: Any, call: Any) -> list[float]:
    """A loop that looks at its training data in eval before each epoch."""
    losses = []
    for _ in range(2):
        model.eval()
        with torch.no_grad():
            losses += [nn.functional.cross_entropy(call(x), y).item() for x, y in batches]
        model.train()
        losses += [_step(model, nn.functional.cross_entropy(call(x), y)) for x, y in batches]
    return losses


def _thawing_late(model: nn.Module, batches: Any, call: Any) -> list[float]:
    """A loop that thaws when it has its batch already, and freezes again."""
    losses = []
    for epoch in range(3):
        for number, (x, y) in enumerate(batches):
            model.stem.requires_grad_(epoch == 1 and number > 1)  # type: ignore[union-attr]
            losses.append(_step(model, nn.functional.cross_entropy(call(x), y)))
    return losses


def _halving(model: nn.Module, batches: Any, call: Any) -> list[float]:
    """A loop in half precision."""
    losses = []
    for x, y in batches:
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(call(x), y)
        losses.append(_step(model, loss))
    return losses


def _loading(model: nn.Module, batches: Any, call: Any) -> list[float]:
    """A loop that loads other weights on its way."""
    losses = []
    for _ in range(2):
        losses += [_step(model, nn.functional.cross_entropy(call(x), y)) for x, y in batches]
        model.load_state_dict({name: value / 2 for name, value in model.state_dict().items()})
    return losses


@pytest.mark.parametrize("loop", [_evaluating, _thawing_late, _halving, _loading])
@pytest.mark.parametrize("net", [Net, Still, Dropping])
def test_whatever_a_loop_does_its_numbers_are_those_of_the_whole_model(net: Any, loop: Any) -> None:
    """Bit for bit: evaluations between, changes between a batch and its use, autocast, other weights."""
    whole, halves = (_losses(lambda: _held(net()), _loader, loop, halves) for halves in (False, True))
    assert all(torch.equal(one, other) for one, other in zip(whole, halves, strict=True))


def _workers() -> DataLoader[Any]:
    return DataLoader(_data(), batch_size=8, shuffle=True, num_workers=1, persistent_workers=True)


@pytest.mark.parametrize("loader", [lambda: DataLoader(Mirrored(), 8, shuffle=True), _workers])
def test_the_draws_of_a_run_are_those_of_the_loader_alone(loader: Any) -> None:
    """Data that is seldom augmented, workers that are started once, order and dropout from one generator."""
    whole, halves = (
        _losses(lambda: _held(Dropping()), loader, _thawing_late, halves) for halves in (False, True)
    )
    assert all(torch.equal(one, other) for one, other in zip(whole, halves, strict=True))


def test_batches_of_another_form_come_as_the_loader_gives_them() -> None:
    """A mapping is not taken apart, and the reason says what is missing."""

    def named(samples: Any) -> dict[str, torch.Tensor]:
        return {"x": torch.stack([x for x, _ in samples]), "y": torch.tensor([int(y) for _, y in samples])}

    model = _held(Net().eval())
    batches = remember(model, _loader(collate_fn=named))
    assert [batch["x"].shape[0] for batch in batches] == [8, 8, 8, 6]
    assert batches.reason is not None
    assert batches.reason.startswith("a batch is no pair")


def test_features_that_have_lost_their_samples_are_refused() -> None:
    """Copies made by others may be of another state of the model."""
    batches = remember(_held(Net().eval()), _loader())
    inputs, _ = next(iter(batches))
    assert batches.model(inputs.to(torch.float32)).shape == (8, 3)
    with pytest.raises(RuntimeError, match=r"own \.to\(device\)"):
        batches.model(type(inputs)(inputs))


def test_several_processes_go_through_the_whole_model() -> None:
    """Their gradients are averaged by a wrapper that a call of half a model would pass over."""
    torch.distributed.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    try:
        batches = remember(_held(Net().eval()), _loader())
        inputs, _ = next(iter(batches))
    finally:
        torch.distributed.destroy_process_group()
    assert isinstance(inputs, torch.Tensor)
    assert str(batches.reason).startswith("several processes average gradients")
