"""Libraries of models and data, imported when they are asked for."""

from __future__ import annotations

from typing import Any

from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.runner.errors import RunnerError


def library(name: str) -> Any:
    """The module `name` of torchvision or timm. Raises RunnerError where it cannot be imported."""
    from layerlr_dsl.model.libraries import import_library

    try:
        return import_library(name)
    except ModelError as fault:
        raise RunnerError(fault.message, fault.help) from None
