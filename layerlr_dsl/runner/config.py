"""What a run is asked to do, checked as a whole before anything is built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from layerlr_dsl.runner import own_code
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.head import HeadInit
from layerlr_dsl.runner.logs import LogKind
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import spelled_path

CONFIG_FILE = "config.json"

Precision = Literal["fp32", "bf16", "fp16"]
Parallel = Literal["none", "ddp", "fsdp"]


def _storable(path: Path) -> Path:
    """`path`, if the run's folder can hold its name. Raises PydanticCustomError."""
    if spelled_path(path) != str(path):
        raise PydanticCustomError("utf_8", "Is no name in UTF-8")
    return path


Storable = Annotated[Path, AfterValidator(_storable)]


class TrainConfig(BaseModel):
    """The settings of one run. Sizes are in pixels, `clip` is a gradient norm, `batch_size` counts the
    samples of one forward pass over all processes together, so that a run means the same on any number.
    `test_seed` decides alone which samples are set aside as the test part; where it is not given, `seed` does.
    `lets` are constants in the place of the rules' own, as they are written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: Storable
    data: str
    task: str | None = None
    root: Storable | None = None
    model: str | None = None
    weights: str | None = None
    from_scratch: bool = False
    head_init: HeadInit = "small"
    epochs: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    steps: int | None = Field(default=None, ge=1)
    lets: dict[str, str] = Field(default_factory=dict)
    batch_size: int = Field(default=32, ge=1)
    accumulate: int = Field(default=1, ge=1)
    clip: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: str | None = None
    image_size: int | None = Field(default=None, ge=8, le=4096)
    augment: bool = False
    validation: float = Field(default=0.2, gt=0, lt=1)
    test: float = Field(default=0.0, ge=0, lt=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    test_seed: int | None = Field(default=None, ge=0, lt=2**32)
    precision: Precision = "fp32"
    device: str = "auto"
    workers: int = Field(default=0, ge=0, le=256)
    compile: bool = False
    parallel: Parallel = "none"
    timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    on_nan: Literal["stop", "skip"] = "stop"
    remember_features: bool = False
    feature_memory: int = Field(default=1024, ge=0)
    early_stop: int | None = Field(default=None, ge=1)
    log: tuple[LogKind, ...] = ()
    save_every: int | None = Field(default=None, ge=1)
    out: Storable | None = None


# Settings that may name code of the user's own.
RUN_CODE = ("model", "data", "task")
# What decides the numbers that a run produces: a resumed run must not change these.
DECIDES = (
    *(
        "data",
        "task",
        "model",
        "batch_size",
        "accumulate",
        "image_size",
        "augment",
        "validation",
        "test",
        "seed",
        "test_seed",
    ),
)


def make(settings: Mapping[str, Any]) -> TrainConfig:
    """The configuration that `settings` describe. Raises RunnerError naming the option at fault."""
    try:
        return TrainConfig(**settings)
    except ValidationError as fault:
        first = fault.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        message = first["msg"][0].lower() + first["msg"][1:]
        given = str(first["input"]) if isinstance(first["input"], Path) else first["input"]
        raise RunnerError(f"{option}: {message}, got {given!r}") from None


def to_json(config: TrainConfig) -> str:
    return config.model_dump_json(indent=2) + "\n"


def stored(folder: Path) -> dict[str, Any]:
    """The settings that a run folder was started with. Raises RunnerError if they cannot be read."""
    path = folder / CONFIG_FILE
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        return TrainConfig(**settings).model_dump()
    except FileNotFoundError:
        raise RunnerError(
            f"{folder} holds no run to resume ({CONFIG_FILE} is missing)",
            "start one by leaving --resume out",
        ) from None
    except (ValidationError, TypeError):
        raise RunnerError(f"{path} cannot be read as the configuration of a run") from None
    except (OSError, ValueError, RecursionError) as fault:
        raise RunnerError(f"{path} cannot be read: {fault}") from None


def merged(folder: Path, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The stored settings overlaid by those `given` on the command line, and a line for each that changed.

    Raises RunnerError where a setting that decides the numbers differs.
    """
    old = stored(folder)
    own_code.said_again(folder, {key: old[key] for key in RUN_CODE}, given, "train --resume --out")
    changed: list[str] = []
    for key, value in given.items():
        before = old.get(key)
        if key in ("out", "rules", "root", "lets") or value == before:
            continue
        option = "--" + key.replace("_", "-")
        if key in DECIDES:
            raise RunnerError(
                f"{option} {value} does not fit the run in {folder}, which was started with {before}",
                f"leave {option} out to go on with that run, or start another with a new --out",
            )
        changed.append(f"{option} {_said(before)} -> {_said(value)}")
    lets = {**old["lets"], **given.get("lets", {})}
    return {**old, **_one_length(given), **given, "lets": lets}, changed


def _one_length(given: Mapping[str, Any]) -> dict[str, None]:
    """What a new length of the run puts out of force."""
    return {"epochs": None} if "steps" in given else {"steps": None} if "epochs" in given else {}


def _said(value: Any) -> str:
    if value is None:
        return "not set"
    return spelled(value, 6) if isinstance(value, float) else str(value)
