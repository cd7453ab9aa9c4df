"""A model as plain data, for `layerlr inspect --format json`."""

from __future__ import annotations

import json
from typing import Any

from layerlr_dsl.model.inventory import Inventory


def as_json(inventory: Inventory, chosen: frozenset[int] | None) -> str:
    """The model tree as plain data; `selected` is only there where a selector was given."""
    modules = [
        {"name": inventory.module_name(row), "class": inventory.module_class(row).name}
        for row in range(len(inventory.module_parents))
    ]
    parameters = [_parameter(inventory, row, chosen) for row in range(len(inventory))]
    data: dict[str, Any] = {
        "version": 1,
        "source": inventory.source,
        "numel": inventory.total_numel,
        "modules": modules,
        "parameters": parameters,
    }
    return json.dumps(data, indent=2, ensure_ascii=False)


def _parameter(inventory: Inventory, row: int, chosen: frozenset[int] | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": inventory.names[row],
        "aliases": [alias.name for alias in inventory.aliases.get(row, ())],
        "module": inventory.module_name(inventory.owners[row]),
        "class": inventory.owner_class(row).name,
        "shape": None if row in inventory.lazy else list(inventory.shapes[row]),
        "dtype": inventory.dtypes[row],
        "numel": inventory.numel(row),
        "requires_grad": inventory.requires_grad[row],
    }
    if chosen is not None:
        described["selected"] = row in chosen
    return described
