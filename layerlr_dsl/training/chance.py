"""The states of all random generators, as data that a checkpoint may hold."""

from __future__ import annotations

import random
from typing import Any

from layerlr_dsl.tools.seeds import mix


def seed_everything(seed: int, rank: int) -> None:
    """Start every generator from `seed`, differently on each process."""
    import numpy
    import torch

    mixed = mix(seed, rank)
    torch.manual_seed(mixed)
    random.seed(mixed)
    numpy.random.seed(mixed % 2**32)


def capture() -> dict[str, Any]:
    """The states now: tensors, numbers and containers of those only."""
    import numpy
    import torch

    kind, keys, position, has_gauss, gauss = numpy.random.get_state()
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": (
            str(kind),
            torch.from_numpy(numpy.asarray(keys, dtype=numpy.int64)),
            int(position),
            int(has_gauss),
            float(gauss),
        ),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def places() -> tuple[object, ...]:
    """Where the generators stand that Python code may draw from, to be compared."""
    import numpy
    import torch

    _, keys, position, *_ = numpy.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), numpy.asarray(keys).tobytes(), position


def restore(states: dict[str, Any]) -> None:
    """Put back what `capture` took."""
    import numpy
    import torch

    torch.set_rng_state(states["torch"])
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = states["numpy"]
    numpy.random.set_state((kind, keys.numpy().astype("uint32"), *rest))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
