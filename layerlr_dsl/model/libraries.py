"""The libraries that models come from, imported with a word on what helps where that fails."""

from __future__ import annotations

import importlib
from typing import Any

from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.tools.printable import first_line
from layerlr_dsl.tools.words import install


def import_library(name: str) -> Any:
    """Import a library of models. Raises ModelError that says how to install it."""
    package = name.partition(".")[0]
    try:
        return with_torchvision(lambda: importlib.import_module(name))
    except ModuleNotFoundError as fault:
        if fault.name != package:
            raise _broken(package, fault) from None
        hint = "pip install layerlr-dsl" if package == "torchvision" else install("models")
        raise ModelError(f"{package} is not installed", hint) from None
    except Exception as fault:
        raise _broken(package, fault) from None


def _broken(package: str, fault: Exception) -> ModelError:
    return ModelError(
        f"{package} cannot be imported: {type(fault).__name__}: {first_line(fault)}",
        f"check that {package} and torch are of versions that go together",
    )
