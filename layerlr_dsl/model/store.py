"""Inventories remembered in the user's cache, so that a second look at a model needs no torch.

An entry is named by what it was made from (spec, arguments, versions of the libraries, a folder's config),
so nothing ever has to be invalidated. It is read only from a folder that belongs to the user and that
nobody else can write to, and only if its digest is right; the store may fail at anything and cost nothing
but time.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from hashlib import sha256
from pathlib import Path

from layerlr_dsl.model.atomic import write_atomically
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.inventory_file import LARGEST_FILE, assemble, dumps
from layerlr_dsl.model.spec_syntax import Spec
from layerlr_dsl.model.versions import installed_versions

# Raised whenever an inventory of the same model would come out differently: new columns, other families.
REVISION = 1

_MADE_BY: dict[str, tuple[str, ...]] = {
    "torchvision": ("torch", "torchvision"),
    "timm": ("torch", "torchvision", "timm"),
    "hf": ("torch", "transformers"),
}


def key_of(spec: Spec) -> str | None:
    """The name under which a spec's inventory is remembered; None for what is never remembered.

    Raises ModelError if the spec names a folder that cannot be read.
    """
    if spec.kind not in _MADE_BY:
        return None
    made_from: list[object] = [REVISION, spec.text]
    if spec.path is not None:
        from layerlr_dsl.model.hugging_face import config_bytes

        made_from = [REVISION, str(spec.path), sha256(config_bytes(spec.path)).hexdigest()]
    versions = installed_versions(_MADE_BY[spec.kind])
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
    try:
        folder = cache_folder()
        if not _is_ours_alone(folder):
            return None
        with _entry(folder, key).open("rb") as file:
            content = file.read(LARGEST_FILE + 65)
        digest, _, text = content.partition(b"\n")
        if sha256(text).hexdigest().encode() != digest:
            return None
        return assemble(json.loads(text))
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError):
        return None


def put(key: str | None, inventory: Inventory) -> None:
    """Remember an inventory, where that can be done safely."""
    if key is None:
        return
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_ours_alone(folder):
            text = dumps(inventory)
            digest = sha256(text).hexdigest().encode()
            write_atomically(_entry(folder, key), digest + b"\n" + text, mode=0o600)


def cache_folder() -> Path:
    """Where inventories are remembered: `LAYERLR_CACHE_DIR`, else layerlr's part of the user's cache."""
    given = os.environ.get("LAYERLR_CACHE_DIR")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("layerlr"))


def _entry(folder: Path, key: str) -> Path:
    return folder / f"inventory-{key}.json"


def _is_ours_alone(folder: Path) -> bool:
    """Whether the folder is the user's own and closed to others' writing; a link to one is not enough."""
    if os.name == "nt":
        return folder.is_dir()
    status = folder.lstat()
    others_write = stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not others_write
