"""Inventories remembered in the user's cache, so that a second look at a model needs no torch.

An entry is named by what it was made from (spec, arguments, versions of the libraries, a folder's config),
so nothing ever has to be invalidated.
"""

from __future__ import annotations

import json
import os
import re
import sys
from functools import lru_cache
from hashlib import sha256

from layerlr_dsl.model import cache_file
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.inventory_file import LARGEST_FILE, assemble, dumps
from layerlr_dsl.model.spec_syntax import Spec

# Raised whenever an inventory of the same model would come out differently: new columns, other families.
REVISION = 3

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
    text = cache_file.read(_name(key), LARGEST_FILE)
    if text is None:
        return None
    try:
        return assemble(json.loads(text), Inventory)
    except (ValueError, RuntimeError, LookupError, TypeError, AttributeError):
        return None


def put(key: str | None, inventory: Inventory) -> None:
    """Remember an inventory, where that can be done safely."""
    if key is not None:
        cache_file.write(_name(key), dumps(inventory))


def _name(key: str) -> str:
    return f"inventory-{key}.json"


# ---------------------------------------------------------------- versions of libraries


_DISTRIBUTION = re.compile(r"([A-Za-z0-9_.]+)-([^-]+)\.dist-info")


def installed_versions(names: tuple[str, ...]) -> dict[str, str] | None:
    """The version of each distribution, or None if one of them is not found.

    Reads the names of the `dist-info` folders on `sys.path`, first found first; `importlib.metadata`
    says the same, but takes 50 ms to import, more than all else in loading a remembered inventory.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        here = _distributions(folder or ".")
        found = {**{name: here[name] for name in names if name in here}, **found}
        if len(found) == len(names):
            return found
    return _asked_of_the_standard_library(names, found)


def _distributions(folder: str) -> dict[str, str]:
    """What is installed in a folder, by its `dist-info` folders."""
    try:
        return _listed(folder, os.stat(folder).st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=32)
def _listed(folder: str, _changed: int) -> dict[str, str]:
    matches = (_DISTRIBUTION.fullmatch(entry) for entry in os.listdir(folder))
    return {match[1]: match[2] for match in matches if match}


def _asked_of_the_standard_library(names: tuple[str, ...], found: dict[str, str]) -> dict[str, str] | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return {name: found.get(name) or version(name) for name in names}
    except PackageNotFoundError:
        return None
