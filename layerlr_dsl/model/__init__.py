"""What is known of a model, and where models come from. Importing this imports no torch."""

from __future__ import annotations

from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.inventory import Alias, Inventory, ModuleClass

__all__ = ["Alias", "Inventory", "ModelError", "ModuleClass"]
