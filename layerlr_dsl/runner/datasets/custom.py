"""Data from the user's own code: `python:package.module:callable`, from the command line only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerlr_dsl.runner import own_code
from layerlr_dsl.runner.data import Data, Request
from layerlr_dsl.runner.datasets.samples import Prepared
from layerlr_dsl.runner.datasets.split import split, without_test
from layerlr_dsl.runner.errors import RunnerError


def load(target: str, request: Request) -> Data:
    """Call `package.module:callable`, which returns a data set, or two or three: training, validation, test.

    A data set has a length and answers `dataset[i]` with (input, target), a class number as a rule; the
    input is a tensor or a mapping of tensors. An attribute `classes` tells how many there are, or their
    names, an attribute `deterministic = True` that a sample never changes.
    """
    from torch.utils.data import default_collate

    name = f"{own_code.PREFIX}{target}"
    found = own_code.called(target)
    several = type(found) in (tuple, list) and len(found) in (2, 3) and all(map(_is_set, found))
    sets: list[Any] = list(found) if several else [found]
    if not _is_set(sets[0]):
        what = f"a tuple of {len(found)}" if isinstance(found, tuple) else type(found).__name__
        raise RunnerError(
            f"{name} returned {what}, which is no data set",
            "return an object with __len__ and __getitem__, or two or three of those",
        )
    first = sets[0]
    steady = bool(getattr(first, "deterministic", False)) or _is_tensors(first)
    train, held_out, test = (
        None if part is None else Prepared(name, *part, seeded=not steady)
        for part in _parts(sets, name, request)
    )
    assert train is not None
    assert held_out is not None
    classes = getattr(first, "classes", None)
    names = None if classes is None or isinstance(classes, int) else tuple(map(str, classes))
    return Data(
        name,
        train,
        held_out,
        collate=getattr(first, "collate", None) or default_collate,
        classes=classes if isinstance(classes, int) else None if names is None else len(names),
        varies=None if steady else "the data set does not say `deterministic = True`",
        test=test,
        class_names=names,
        labels=lambda: [_labels(first, name)[index] for index in train.indices],
    )


def _parts(sets: list[Any], name: str, request: Request) -> Sequence[tuple[Any, Sequence[int]] | None]:
    given = [(dataset, range(len(dataset))) for dataset in sets]
    if len(sets) == 3 or (len(sets) == 2 and not request.test):
        return [*given, None][:3]
    labels = _labels(sets[0], name) if request.stratified else [0] * len(sets[0])
    if len(sets) == 2:
        rest, last = without_test(labels, request)
        return [(sets[0], rest), given[1], (sets[0], last)]
    return [None if part is None else (sets[0], part) for part in split(labels, request)]


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


def _labels(dataset: Any, name: str) -> list[int]:
    labels = getattr(dataset, "targets", getattr(dataset, "labels", None))
    if _is_tensors(dataset):
        labels = dataset.tensors[1]
    try:
        if labels is not None and len(labels) == len(dataset):
            return [int(label) for label in labels]
        return [int(dataset[i][1]) for i in range(len(dataset))]
    except Exception as fault:
        raise RunnerError(
            f"{name}: a sample is not (input, class number): {type(fault).__name__}: {fault}",
            "the class numbers tell how to split the set; two sets (training, validation) are not split",
        ) from fault
