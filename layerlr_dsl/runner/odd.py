"""Samples that hold numbers that are not finite, found by a second look where a step or a validation came to none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from layerlr_dsl.runner.data import Data, Samples
from layerlr_dsl.runner.order import Key

NAMED = 5


def told(data: Data, keys: Sequence[Key]) -> str | None:
    """`sample 17 of NAME holds numbers that are not finite`, of training samples; None where all is finite."""
    return _told(data.train, data.name, keys)


def told_of_validation(data: Data) -> str | None:
    """The same of the validation part, all of it."""
    keys = [(index, index) for index in range(len(data.validation))]
    return _told(data.validation, f"the validation part of {data.name}", keys)


def _told(samples: Samples, name: str, keys: Sequence[Key]) -> str | None:
    odd = [index for index, seed in keys if not _finite(samples.__getitems__([(index, seed)]))]
    if not odd:
        return None
    place = getattr(samples, "place", lambda index: index)
    numbers = sorted(place(index) for index in odd)
    names = ", ".join(map(str, numbers[:NAMED])) + (", ..." if len(numbers) > NAMED else "")
    who = f"sample {names} of {name} holds" if len(odd) == 1 else f"samples {names} of {name} hold"
    return f"{who} numbers that are not finite"


def _finite(sample: Any) -> bool:
    from torch.utils._pytree import tree_leaves

    return all(map(_is_finite, tree_leaves(sample)))


def _is_finite(leaf: Any) -> bool:
    import torch

    if isinstance(leaf, torch.Tensor):
        return bool(leaf.isfinite().all())
    if isinstance(leaf, float):
        return math.isfinite(leaf)
    return True
