"""Data from the user's own code: `python:package.module:callable`, from the command line only."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from layerlr_dsl.runner.data import Data, Request
from layerlr_dsl.runner.datasets.samples import Prepared
from layerlr_dsl.runner.datasets.split import stratified
from layerlr_dsl.runner.errors import RunnerError


def load(target: str, request: Request) -> Data:
    """Call `package.module:callable`, which returns a data set, or a training and a validation one.

    A data set has a length and answers `dataset[i]` with (input, class number); the input is a tensor
    or a mapping of tensors. An attribute `classes` tells how many there are, an attribute
    `deterministic = True` that a sample never changes.
    """
    from torch.utils.data import default_collate

    found = _call(target)
    pair = found if type(found) in (tuple, list) and len(found) == 2 and _is_set(found[0]) else None
    for dataset in pair or (found,):
        if not _is_set(dataset):
            what = f"a tuple of {len(dataset)}" if isinstance(dataset, tuple) else type(dataset).__name__
            raise RunnerError(
                f"python:{target} returned {what}, which is no data set",
                "return an object with __len__ and __getitem__, or a pair of those",
            )
    first = pair[0] if pair else found
    steady = bool(getattr(first, "deterministic", False)) or _is_tensors(first)
    if pair:
        parts: Any = [(dataset, range(len(dataset))) for dataset in pair]
    else:
        chosen = stratified(_labels(found, target), request.validation, request.seed)
        parts = [(found, indices) for indices in chosen]
    name = f"python:{target}"
    train, held_out = (Prepared(name, dataset, chosen, seeded=not steady) for dataset, chosen in parts)
    classes = getattr(first, "classes", None)
    return Data(
        name,
        train,
        held_out,
        collate=getattr(first, "collate", None) or default_collate,
        classes=classes if isinstance(classes, int) else len(classes) if classes is not None else None,
        varies=None if steady else "the data set does not say `deterministic = True`",
    )


def _call(target: str) -> Any:
    module_name, _, path = target.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
        return found()
    except RunnerError:
        raise
    except (Exception, SystemExit) as fault:
        raise RunnerError(f"python:{target} failed: {type(fault).__name__}: {fault}") from fault


def _is_set(found: Any) -> bool:
    """Whether samples can be asked for by number; a tuple is a sample, or several sets."""
    if isinstance(found, tuple) or not hasattr(found, "__getitem__"):
        return False
    try:
        return len(found) >= 0
    except Exception:
        return False


def _is_tensors(dataset: Any) -> bool:
    from torch.utils.data import TensorDataset

    return isinstance(dataset, TensorDataset)


def _labels(dataset: Any, target: str) -> list[int]:
    labels = getattr(dataset, "targets", getattr(dataset, "labels", None))
    if _is_tensors(dataset):
        labels = dataset.tensors[1]
    try:
        if labels is not None and len(labels) == len(dataset):
            return [int(label) for label in labels]
        return [int(dataset[i][1]) for i in range(len(dataset))]
    except Exception as fault:
        raise RunnerError(
            f"python:{target}: a sample is not (input, class number): {type(fault).__name__}: {fault}",
            "the class numbers tell how to split the set; a pair (training set, validation set) is not split",
        ) from fault
