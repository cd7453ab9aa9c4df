"""From a model spec to its inventory, or to the model itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.model import inventory_cache
from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.inventory_file import LARGEST_FILE, loads, read_bounded
from layerlr_dsl.model.spec_syntax import Spec, file_of, located, parse_spec

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Progress", "Spec", "build", "called", "file_of", "inventory_of_spec", "located", "parse_spec"]

Progress = Callable[[str], None]


def inventory_of_spec(
    spec: str, *, root: Path | None = None, allow_python: bool = False, progress: Progress | None = None
) -> Inventory:
    """The inventory of the model that `spec` names: stored, remembered, or built (on meta) and remembered.

    Relative paths start at `root` (default: the working directory). A spec from a rule file comes with
    `allow_python=False`: then `python:` is refused and paths must lie inside `root`. `progress` is told
    in a sentence when something slow begins. Raises ModelError.
    """
    read = parse_spec(spec, root=root, allow_python=allow_python)
    if read.kind == "inventory" and read.path is not None:
        return _stored(read.path)
    key = inventory_cache.key_of(read)
    remembered = inventory_cache.get(key)
    if remembered is not None:
        return remembered
    if progress is not None:
        progress(f"building {read} to read its names and shapes")
    from layerlr_dsl.model.building import build_spec
    from layerlr_dsl.model.forward_order import forward_order

    model = build_spec(read, meta=True)
    inventory = replace(Inventory.of(model, source=read.text), order=forward_order(model, read))
    inventory_cache.put(key, inventory)
    return inventory


def _stored(path: Path) -> Inventory:
    """An inventory file; once checked, one of the same bytes is not checked again."""
    content = read_bounded(path, LARGEST_FILE)
    key = inventory_cache.key_of_content(content)
    inventory = inventory_cache.get(key)
    if inventory is None:
        inventory = loads(content, Inventory, str(path))
        inventory_cache.put(key, inventory)
    return inventory


def build(spec: str, *, root: Path | None = None, allow_python: bool = True, meta: bool = False) -> nn.Module:
    """The model that `spec` names, with the weights its constructor gives it; Raises ModelError.

    With `meta`, parameters are on the meta device where the model allows it, and no random state moves.
    """
    read = parse_spec(spec, root=root, allow_python=allow_python)
    if read.kind == "inventory":
        raise ModelError(
            f"{read}: an inventory holds names and shapes, not a model",
            "give torchvision:NAME, timm:NAME, hf:FOLDER or python:package.module:callable",
        )
    from layerlr_dsl.model.building import build_spec

    return build_spec(read, meta=meta)


def called(spec: str) -> Any:
    """What `python:package.module:callable` gives, be it a model or not; runs code. Raises ModelError."""
    from layerlr_dsl.model.building import called as call

    return call(parse_spec(spec, root=None, allow_python=True))
