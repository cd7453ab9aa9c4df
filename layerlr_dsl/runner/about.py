"""What one must know to use the model of a run: kept in its folder and in each checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.preparation import Preparation

ABOUT_FILE = "model.json"


class Shape(BaseModel):
    """One tensor of an input, without the batch: its shape and what its numbers are."""

    model_config = ConfigDict(frozen=True)

    shape: tuple[int, ...]
    dtype: str


class About(BaseModel):
    """A trained model and its inputs.

    `model`, `task` and `data` are the specs of the run; `from_file` says that the rule file named the
    model, whose paths are then relative to `root`. `classes` are the names of the outputs in their order.
    `input` is the one tensor that the model takes, or one for each of its keyword arguments; `preparation`
    tells how an image becomes it.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    model: str
    from_file: bool = False
    root: str | None = None
    task: str | None = None
    data: str
    weights: str
    classes: tuple[str, ...] | None = None
    input: Shape | dict[str, Shape] | None = None
    preparation: Preparation | None = None

    def to_json(self) -> str:
        return self.model_dump_json(indent=2) + "\n"


def shapes(inputs: Any) -> Shape | dict[str, Shape] | None:
    """What a batch of inputs looks like without its first dimension; None for what is neither kind of input."""
    from collections.abc import Mapping

    import torch

    if isinstance(inputs, torch.Tensor):
        return Shape(shape=tuple(inputs.shape[1:]), dtype=str(inputs.dtype).removeprefix("torch."))
    if isinstance(inputs, Mapping) and all(isinstance(value, torch.Tensor) for value in inputs.values()):
        found = {str(name): shapes(value) for name, value in inputs.items()}
        return {name: shape for name, shape in found.items() if isinstance(shape, Shape)}
    return None


def read(content: Any, path: Path) -> About:
    """What a checkpoint says of its model. Raises RunnerError."""
    try:
        return About.model_validate(content)
    except ValidationError as fault:
        first = fault.errors()[0]
        raise RunnerError(f"{path} does not tell what its model is: {first['loc']}: {first['msg']}") from None
