"""Batches on their way to the model, in an order that can be picked up at any step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from layerlr_dsl.runner.data import Batch, Data, Samples, check_labels
from layerlr_dsl.runner.errors import RunFailed, RunnerError
from layerlr_dsl.runner.order import Key, Order, validation_batches

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Feed(Protocol):
    """Where the loop gets its batches, and what turns their inputs into class scores."""

    def training(self, epoch: int, first_step: int) -> Iterator[list[Batch]]:
        """The batches of each optimizer step of `epoch`, from `first_step` on."""
        ...

    def validation(self) -> Iterator[tuple[Batch, int]]:
        """Validation batches, each with how many of its samples count."""
        ...

    def scores(self, inputs: Any) -> Tensor:
        """Class scores, shape (batch, classes)."""
        ...


@dataclass(frozen=True, slots=True)
class Loading:
    """How batches are fetched: worker processes, the device they go to, this process's rank.

    `outputs` is how many classes the model knows: a label beyond them is told apart before it is used.
    """

    device: torch.device
    workers: int = 0
    rank: int = 0
    outputs: int | None = None


class ModelFeed:
    """Every sample goes through the whole model."""

    def __init__(self, model: nn.Module, data: Data, order: Order, loading: Loading) -> None:
        self._model = model
        self._data = data
        self._train = Fetcher(data, data.train, loading)
        self._held_out = Fetcher(data, data.validation, loading)
        self._order = order
        self._loading = loading

    def training(self, epoch: int, first_step: int) -> Iterator[list[Batch]]:
        shuffled = self._order.epoch(epoch)
        steps = [
            self._order.step(shuffled, step, self._loading.rank, epoch)
            for step in range(first_step, self._order.steps_per_epoch)
        ]
        batches = self._train([keys for step in steps for keys in step])
        for step in steps:
            yield [next(batches) for _ in step]

    def validation(self) -> Iterator[tuple[Batch, int]]:
        count, size = len(self._data.validation), self._order.batch
        parts = validation_batches(count, size, self._loading.rank, self._order.world)
        batches = self._held_out([keys for keys, _ in parts])
        for batch, (_, counted) in zip(batches, parts, strict=True):
            yield batch, counted

    def scores(self, inputs: Any) -> Tensor:
        return class_scores(self._model, inputs)


def class_scores(model: nn.Module, inputs: Any) -> Tensor:
    """The scores that `model` gives, from a tensor, a tuple that starts with them, or an output with logits."""
    output = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
    output = getattr(output, "logits", output)
    return output[0] if isinstance(output, tuple) else output  # type: ignore[no-any-return]


class Fetcher:
    """Fetches batches of one set by their keys, in worker processes that live as long as this does."""

    def __init__(self, data: Data, samples: Samples, loading: Loading) -> None:
        import torch
        from torch.utils.data import DataLoader

        self._name = data.name
        self._loading = loading
        self._wanted: list[list[Key]] = []
        self._loader: Any = DataLoader(
            samples,  # type: ignore[arg-type]
            batch_sampler=_Wanted(self._wanted),
            num_workers=loading.workers,
            persistent_workers=loading.workers > 0,
            collate_fn=data.collate,
            pin_memory=loading.device.type == "cuda",
            # a generator of its own: the loader would draw from the global one that a checkpoint stores
            generator=torch.Generator(),
        )

    def __call__(self, batches: list[list[Key]]) -> Iterator[Batch]:
        """The batches with these keys, on the device."""
        self._wanted[:] = batches
        iterator = iter(self._loader)
        while True:
            try:
                batch = next(iterator)
            except StopIteration:
                return
            except RunnerError as fault:
                raise _without_worker_traceback(fault) from None
            yield _checked(batch, self._name, self._loading)


class _Wanted:
    """The keys of the next pass, as the loader's sampler of batches."""

    def __init__(self, keys: list[list[Key]]) -> None:
        self._keys = keys

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(list(self._keys))

    def __len__(self) -> int:
        return len(self._keys)


def _checked(batch: Any, name: str, loading: Loading) -> Batch:
    import torch

    try:
        inputs, labels = batch
        labels = torch.as_tensor(labels)
    except (TypeError, ValueError):
        raise RunFailed(
            f"{name}: a batch is not (inputs, class numbers) but {type(batch).__name__}"
        ) from None
    if labels.is_floating_point() or labels.ndim != 1:
        raise RunFailed(
            f"{name}: labels must be class numbers, got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    if loading.outputs is not None:
        check_labels(labels, loading.outputs, name)
    return _moved(inputs, loading.device), labels.to(loading.device, torch.int64, non_blocking=True)


def _moved(inputs: Any, device: torch.device) -> Any:
    if isinstance(inputs, Mapping):
        return {key: _moved(value, device) for key, value in inputs.items()}
    return inputs.to(device, non_blocking=True)


def _without_worker_traceback(fault: RunnerError) -> RunnerError:
    """A worker's error comes with its traceback as text; only the last line is for the user."""
    if not fault.message.startswith("Caught "):
        return fault
    return RunFailed(fault.message.strip().splitlines()[-1].partition(": ")[2])
