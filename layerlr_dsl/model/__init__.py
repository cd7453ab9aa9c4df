"""What is known of a model, and where models come from. Importing this imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layerlr_dsl.model.errors import ModelError
    from layerlr_dsl.model.inventory import Alias, Inventory, ModuleClass

__all__ = ["Alias", "Inventory", "ModelError", "ModuleClass"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = "errors" if name == "ModelError" else "inventory"
    return getattr(import_module(f"{__name__}.{home}"), name)
