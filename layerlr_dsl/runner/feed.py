"""Batches on their way to the model, in an order that can be picked up at any step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from layerlr_dsl.runner.data import Batch, Data, Samples
from layerlr_dsl.runner.errors import HELP, RunFailed, RunnerError
from layerlr_dsl.runner.order import Key, Order, validation_batches
from layerlr_dsl.runner.tasks import Task
from layerlr_dsl.tools.printable import first_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Feed(Protocol):
    """Where the loop gets its batches, and what turns their inputs into what the task's loss takes."""

    def training(self, epoch: int, first_step: int) -> Iterator[list[Batch]]:
        """The batches of each optimizer step of `epoch`, from `first_step` on."""
        ...

    def validation(self) -> Iterator[tuple[Batch, int]]:
        """Validation batches, each with how many of its samples count."""
        ...

    def outputs(self, inputs: Any) -> Any:
        """The model's outputs as the task has them, in full precision."""
        ...


@dataclass(frozen=True, slots=True)
class Loading:
    """How batches are fetched: worker processes, the device they go to, this process's rank."""

    device: torch.device
    workers: int = 0
    rank: int = 0


class ModelFeed:
    """Every sample goes through the whole model."""

    def __init__(self, model: nn.Module, data: Data, order: Order, loading: Loading, task: Task) -> None:
        self._model = model
        self._data = data
        self._task = task
        self._train = Fetcher(data, data.train, loading, task)
        self._held_out = Fetcher(data, data.validation, loading, task)
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

    def outputs(self, inputs: Any) -> Any:
        return in_full(self._task.outputs(called(self._model, inputs)))


def called(model: nn.Module, inputs: Any) -> Any:
    """What `model` returns for a tensor, or for a mapping of its keyword arguments."""
    return model(**inputs) if isinstance(inputs, Mapping) else model(inputs)


def in_full(outputs: Any) -> Any:
    """Outputs whose half-precision tensors are made single ones, which losses are computed in."""
    return mapped(outputs, lambda tensor: tensor.float() if tensor.is_floating_point() else tensor)


def mapped(nest: Any, change: Callable[[Tensor], Any]) -> Any:
    """A nest of mappings and sequences with each of its tensors changed, anything else as it is."""
    import torch

    if isinstance(nest, torch.Tensor):
        return change(nest)
    if isinstance(nest, Mapping):
        return {key: mapped(value, change) for key, value in nest.items()}
    if type(nest) in (list, tuple):
        return type(nest)(mapped(value, change) for value in nest)
    return nest


class Fetcher:
    """Fetches batches of one set by their keys, in worker processes that live as long as this does."""

    def __init__(self, data: Data, samples: Samples, loading: Loading, task: Task) -> None:
        import torch
        from torch.utils.data import DataLoader

        self._name = data.name
        self._task = task
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
            yield self._taken_apart(batch)

    def _taken_apart(self, batch: Any) -> Batch:
        try:
            parts = self._task.inputs_and_targets(batch)
        except RunnerError:
            raise
        except Exception as fault:
            raise RunFailed(f"{self._name}: {first_line(fault)}") from fault
        device = self._loading.device
        inputs, targets = (mapped(part, lambda t: t.to(device, non_blocking=True)) for part in parts)
        return inputs, targets


class _Wanted:
    """The keys of the next pass, as the loader's sampler of batches."""

    def __init__(self, keys: list[list[Key]]) -> None:
        self._keys = keys

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(list(self._keys))

    def __len__(self) -> int:
        return len(self._keys)


def _without_worker_traceback(fault: RunnerError) -> RunnerError:
    """A worker's error comes with its traceback as text, of which what it says and its help are for the user."""
    if not fault.message.startswith("Caught "):
        return fault
    *_, before, last = fault.message.strip().splitlines()
    if last.startswith(HELP):
        return type(fault)(before.partition(": ")[2], last.removeprefix(HELP))
    return type(fault)(last.partition(": ")[2])
