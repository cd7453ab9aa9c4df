"""Inventories remembered in the user's cache, so that a second look at a model needs no torch.

An entry is named by what it was made from (spec, arguments, versions of the libraries, a folder's config),
so nothing ever has to be invalidated.
"""

from __future__ import annotations

import json
from hashlib import sha256

from layerlr_dsl.model import sealed
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.inventory_file import LARGEST_FILE, assemble, dumps
from layerlr_dsl.model.spec_syntax import Spec
from layerlr_dsl.tools.versions import installed_versions

# Raised whenever an inventory of the same model would come out differently: new columns, other families.
REVISION = 1

MADE_BY: dict[str, tuple[str, ...]] = {
    "torchvision": ("torch", "torchvision"),
    "timm": ("torch", "torchvision", "timm"),
    "hf": ("torch", "transformers"),
}


def key_of(spec: Spec) -> str | None:
    """The name under which a spec's inventory is remembered; None for what is never remembered.

    Raises ModelError if the spec names a folder that cannot be read.
    """
    if spec.kind not in MADE_BY:
        return None
    made_from: list[object] = [REVISION, spec.text]
    if spec.path is not None:
        from layerlr_dsl.model.hugging_face import config_bytes

        made_from = [REVISION, str(spec.path), sha256(config_bytes(spec.path)).hexdigest()]
    versions = installed_versions(MADE_BY[spec.kind])
    if versions is None:
        return None
    made_from.append(sorted(versions.items()))
    return sha256(json.dumps(made_from).encode()).hexdigest()


def key_of_content(content: bytes) -> str:
    """The name under which the inventory of a file with these bytes is remembered once it was checked.

    Checking imports pydantic, which takes a hundred times as long as loading what is known to be sound.
    """
    return sha256(b"inventory file %d\n" % REVISION + content).hexdigest()


def get(key: str | None) -> Inventory | None:
    """The remembered inventory, or None if there is none that can be trusted."""
    if key is None:
        return None
    text = sealed.read(_name(key), LARGEST_FILE)
    if text is None:
        return None
    try:
        return assemble(json.loads(text))
    except (ValueError, RuntimeError, LookupError, TypeError, AttributeError):
        return None


def put(key: str | None, inventory: Inventory) -> None:
    """Remember an inventory, where that can be done safely."""
    if key is not None:
        sealed.write(_name(key), dumps(inventory))


def _name(key: str) -> str:
    return f"inventory-{key}.json"
