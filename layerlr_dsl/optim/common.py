"""What our optimizers share: checked options, which tensors to step, and norms that know DTensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from layerlr_dsl.language import optimizers


def checked(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they are. Raises ValueError for the first that the optimizer `name` does not take."""
    info = optimizers.known(name)
    for option, value in settings.items():
        if isinstance(value, Tensor):
            if value.numel() != 1:
                raise ValueError(f"{option} as a tensor must have one element, not {value.numel()}")
        elif wrong := optimizers.problem(info, option, value):
            raise ValueError(f"{option} {wrong}, not {value!r}")
    if clash := optimizers.conflict(info, settings):
        raise ValueError(" ".join(clash))
    return dict(settings)
