"""Batch norms that stand still by statistics of images of another size than those at hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.model import live
from layerlr_dsl.runner.about import ABOUT_FILE
from layerlr_dsl.runner.libraries import library

if TYPE_CHECKING:
    from torch import nn

    from layerlr_dsl.runner.data import Data
    from layerlr_dsl.runner.weights import Loaded


def note(spec: str, model: nn.Module, data: Data, loaded: Loaded | None) -> list[str]:
    """What to say of the norms that `model` holds by the statistics of `loaded` weights; most often nothing."""
    used = data.preparation.size if data.preparation is not None else None
    held = _held(model)
    if not held or used is None or loaded is None:
        return []
    size = _trained_at(spec, live.unwrap(model), loaded.source)
    if size is None or size == used:
        return []
    return [
        f"{held} batch norms stand still by statistics of images of {size} pixels, and these have {used}: "
        "whether that fits, `layerlr tune` tells; `freeze ... updating statistics` lets them adapt"
    ]


def _held(model: nn.Module) -> int:
    """How many norms go by running statistics though the model trains."""
    from torch.nn.modules.batchnorm import _BatchNorm

    from layerlr_dsl.training.modes import install

    modules = install(live.unwrap(model)).modules
    return sum(isinstance(module, _BatchNorm) and module.running_mean is not None for module in modules)


def _trained_at(spec: str, model: Any, source: str) -> int | None:
    """The side of the images that the weights were trained on, where a run of our own or a library tells."""
    run = Path(source).parent / ABOUT_FILE
    if run.is_file():
        return _of_run(run)
    known = getattr(model, "pretrained_cfg", None)
    if isinstance(known, dict):
        return next(iter(known.get("input_size", ())[-1:]), None)
    name = re.fullmatch(r"torchvision:(\w+)(\(.*\))?", spec, re.DOTALL)
    return _of_torchvision(name[1], source) if name is not None else None


def _of_run(path: Path) -> int | None:
    try:
        size = json.loads(path.read_bytes())["preparation"]["size"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return size if isinstance(size, int) else None


def _of_torchvision(name: str, source: str) -> int | None:
    """By the weights that `source` names; for a file, what all the published ones of the network agree on."""
    try:
        known = library("torchvision.models").get_model_weights(name)
    except ValueError:
        return None
    named = source.rpartition(".")[2]
    chosen = [known[named]] if named in known.__members__ else list(known)
    sizes = {tuple(getattr(weights.transforms(), "crop_size", ())) for weights in chosen}
    sides = {size[-1] for size in sizes if size}
    return sides.pop() if len(sides) == 1 else None
