"""The model of a run, read back to be used: built anew, its weights put in, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner import about as abouts
from layerlr_dsl.runner import checkpoint, own_code, snapshot, tasks
from layerlr_dsl.runner.about import About
from layerlr_dsl.runner.classification import Classification
from layerlr_dsl.runner.config import CONFIG_FILE, TrainConfig, stored
from layerlr_dsl.runner.devices import choose_device
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.models import build_model
from layerlr_dsl.runner.processes import Processes
from layerlr_dsl.runner.tasks import Task

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class Asked:
    """Which run, and what the command line says of it: specs that run code are only run where it names them.

    `command` is what the user typed, for the line that says what is missing. `last` asks for the weights
    of the last epoch and not of the best.
    """

    folder: Path
    command: str
    model: str | None = None
    task: str | None = None
    data: str | None = None
    last: bool = False
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class Trained:
    """A model in eval mode on its device, with the settings of its run and what its checkpoint tells.

    `notes` say what was wrong with files that were passed over, `epoch` is the one whose weights these are.
    """

    about: About
    config: TrainConfig
    model: nn.Module
    task: Task
    device: torch.device
    path: Path
    epoch: int
    content: Mapping[str, Any]
    notes: tuple[str, ...]


def load(asked: Asked, *, with_data: bool = False) -> Trained:
    """The run's model. With `with_data` its data is needed too, and must be named if it is code.

    Raises RunnerError.
    """
    config = TrainConfig(**_settings(asked.folder))
    content, path, notes = _content(asked.folder, last=asked.last)
    told = abouts.read(content["about"], path)
    _allowed(asked, told, config, with_data=with_data)
    task = tasks.load(told.task) or Classification()
    model = build_model(told.model, from_file=told.from_file, root=Path(told.root) if told.root else None)
    checkpoint.check_model(content, snapshot.model_state(model), path)
    snapshot.load_model_state(model, content["model"])
    device = choose_device(asked.device, Processes())
    epoch = _epoch(content["progress"])
    return Trained(told, config, model.eval().to(device), task, device, path, epoch, content, notes)


def _epoch(progress: Mapping[str, Any]) -> int:
    """The epoch whose weights a checkpoint holds: at its end the count is that of the next one already."""
    epoch, step = int(progress.get("epoch", 0)), int(progress.get("step", 0))
    return epoch if step else max(0, epoch - 1)


def _settings(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG_FILE).exists():
        raise RunnerError(
            f"{folder} holds no run ({CONFIG_FILE} is missing)", "give the --out of layerlr train"
        )
    return stored(folder)


def _content(folder: Path, *, last: bool) -> tuple[dict[str, Any], Path, tuple[str, ...]]:
    """The best checkpoint, or the last where none was best yet.

    Raises RunnerError for a best one that cannot be used: other weights than were asked for are none.
    """
    names = [checkpoint.LAST, checkpoint.PREVIOUS] if last else [checkpoint.BEST, checkpoint.LAST]
    found = checkpoint.load(folder, names)
    if found is None:
        raise RunnerError(f"{folder} holds no checkpoint yet", "the first one is made at the end of an epoch")
    if found.skipped and not last:
        raise RunnerError(found.skipped[0], f"--last takes the weights of {found.path.name}")
    return found.content, found.path, tuple(f"{text}; {found.path.name} is used" for text in found.skipped)


def _allowed(asked: Asked, told: About, config: TrainConfig, *, with_data: bool) -> None:
    """Refuse code that the command line does not name, and specs other than those of the run."""
    needed = {"model": told.model, "task": told.task}
    given = {"model": asked.model, "task": asked.task, "data": asked.data}
    if with_data:
        needed["data"] = config.data
    own_code.said_again(asked.folder, needed, given, asked.command)
    for key, spec in needed.items():
        if given[key] is not None and given[key] != spec:
            raise RunnerError(
                f"--{key} {given[key]}: the run in {asked.folder} was made with {spec or 'none'}"
            )
