"""Whether data is still what a run was started with: its lengths, its classes, and a look at a few samples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from layerlr_dsl.runner.data import Data, Samples
from layerlr_dsl.runner.errors import RunnerError

LOOK_AT = 16
Fingerprint = dict[str, Any]


def of(data: Data) -> Fingerprint:
    """Plain data for a checkpoint: for each part its length, and a digest of a few of its samples.

    The digest is None where a sample is not the same when it is asked for twice.
    """
    parts = {
        name: {"count": len(samples), "digest": _steady(samples)} for name, samples in data.parts().items()
    }
    return {"parts": parts, "classes": list(data.class_names or ()) or data.classes}


def _steady(samples: Samples) -> str | None:
    first, second = _digest(samples), _digest(samples)
    return first if first == second else None


def _digest(samples: Samples) -> str:
    count = min(LOOK_AT, len(samples))
    places = [index * (len(samples) - 1) // max(1, count - 1) for index in range(count)]
    sum = hashlib.sha256()
    _add(sum, samples.__getitems__([(place, place) for place in places]))
    return sum.hexdigest()


def _add(sum: Any, value: Any) -> None:
    """Add what a sample is made of; what is neither numbers nor text counts by its kind alone."""
    import numpy
    import torch

    if isinstance(value, Mapping):
        for key, inner in value.items():
            _add(sum, (str(key), inner))
    elif isinstance(value, list | tuple):
        sum.update(f"{len(value)}:".encode())
        for inner in value:
            _add(sum, inner)
    elif isinstance(value, torch.Tensor):
        whole = value.detach().cpu().contiguous()
        sum.update(f"{whole.dtype}{tuple(whole.shape)}".encode())
        sum.update(whole.reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, numpy.ndarray):
        sum.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    else:
        plain = isinstance(value, str | bytes | int | float | bool | numpy.generic)
        sum.update(f"{type(value).__name__}:{value if plain else ''};".encode())


def check(stored: Fingerprint, now: Fingerprint, accepted: bool) -> str | None:
    """What to say about data that changed since the checkpoint; None where it is the same.

    Raises RunnerError with the differences unless they are `accepted`.
    """
    found = [f"  {line}" for line in _differences(stored, now)]
    if not found:
        return None
    if not accepted:
        raise RunnerError(
            "the data is not that which the run was started with\n" + "\n".join(found),
            "put the old data back, or go on with the new by --accept-data-changes",
        )
    return "\n".join(["going on with changed data:", *found])


def _differences(stored: Fingerprint, now: Fingerprint) -> list[str]:
    lines = [
        line
        for name in dict.fromkeys([*stored["parts"], *now["parts"]])
        for line in _of_part(name, stored["parts"].get(name), now["parts"].get(name))
    ]
    if stored["classes"] != now["classes"]:
        lines.append(f"classes: {_classes(stored['classes'])} then, {_classes(now['classes'])} now")
    return lines


def _of_part(name: str, then: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> list[str]:
    counts = [0 if part is None else part["count"] for part in (then, now)]
    if counts[0] != counts[1]:
        return [f"{name}: {counts[0]:,} samples then, {counts[1]:,} now"]
    digests = [part["digest"] for part in (then, now) if part is not None]
    if None in digests or len(set(digests)) < 2:
        return []
    return [f"{name}: other samples, as a look at {min(LOOK_AT, counts[0])} of {counts[0]:,} shows"]


def _classes(classes: Any) -> str:
    if not isinstance(classes, list):
        return str(classes)
    return f"{len(classes)} ({', '.join(map(str, classes[:5]))}{', ...' if len(classes) > 5 else ''})"
