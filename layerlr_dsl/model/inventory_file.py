"""Inventories as JSON: written atomically, and read from anywhere without trusting what they say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from layerlr_dsl.model.classes import ModuleClass
from layerlr_dsl.model.columns import Alias, Columns
from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.tools.atomic import write_atomically
from layerlr_dsl.tools.printable import first_line, shown

if TYPE_CHECKING:
    from layerlr_dsl.model.schema import InventoryJson

Kind = TypeVar("Kind", bound=Columns)

LARGEST_FILE = 256 * 2**20
_LONGEST_NAME = 4000
_ALL_NAMES = 500_000_000  # characters; names repeat their parents', so a small file can spell huge ones
_MOST_DIMENSIONS = 64


def to_json(inventory: Columns) -> InventoryJson:
    """The inventory as plain JSON data; dotted names are left to be joined from the module tree."""
    data: InventoryJson = {
        "version": 1,
        "source": inventory.source,
        "modules": {
            "parents": inventory.module_parents,
            "segments": inventory.module_segments,
            "classes": inventory.module_classes,
        },
        "classes": [
            {
                "name": described.name,
                "qualified": described.qualified,
                "bases": list(described.bases),
                "families": sorted(described.families),
                "qualified_bases": list(described.qualified_bases),
            }
            for described in inventory.classes
        ],
        "parameters": {
            "owners": inventory.owners,
            "leaves": inventory.leaves,
            "shapes": list(map(list, inventory.shapes)),
            "dtypes": inventory.dtypes,
            "requires_grad": inventory.requires_grad,
            "lazy": sorted(inventory.lazy),
        },
        "aliases": [
            {"parameter": row, "owner": alias.owner, "leaf": alias.leaf}
            for row, aliases in inventory.aliases.items()
            for alias in aliases
        ],
    }
    if inventory.depthwise is not None:
        data["modules"]["depthwise"] = sorted(inventory.depthwise)
    if inventory.statistics is not None:
        data["modules"]["statistics"] = sorted(inventory.statistics)
    if inventory.order is not None:
        data["order"] = inventory.order
    return data


def dumps(inventory: Columns) -> bytes:
    return json.dumps(to_json(inventory), separators=(",", ":"), ensure_ascii=True).encode()


def save(inventory: Columns, path: str | os.PathLike[str]) -> None:
    """Write the inventory to `path`, atomically. Raises ModelError if that cannot be done."""
    try:
        write_atomically(Path(path), dumps(inventory) + b"\n")
    except OSError as fault:
        raise ModelError(
            f"{shown(str(path))}: cannot be written: {fault.strerror or first_line(fault)}"
        ) from None


def load(path: str | os.PathLike[str], kind: type[Kind]) -> Kind:
    """Read and check an inventory. Raises ModelError for whatever is wrong with the file."""
    return loads(read_bounded(Path(path), LARGEST_FILE), kind, str(path))


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes. Raises ModelError."""
    name = shown(str(path))
    try:
        is_device = path.exists() and not path.is_file() and not path.is_dir()
        content = b"" if is_device else _read(path, most + 1)
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or first_line(fault)
        raise ModelError(f"{name}: cannot be read: {reason}") from None
    if is_device:
        raise ModelError(f"{name}: is not a regular file")
    if len(content) > most:
        raise ModelError(f"{name}: is larger than {most // 2**20} MiB, the most that is read")
    return content


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


def loads(content: bytes | str, kind: type[Kind], name: str = "inventory") -> Kind:
    """Read and check an inventory's JSON text; `name` is what messages call it. Raises ModelError."""
    from pydantic import ValidationError

    from layerlr_dsl.model.schema import ADAPTER

    try:
        data = ADAPTER.validate_json(content)
    except ValidationError as fault:
        raise _not_an_inventory(name, fault.errors(include_url=False, include_input=False)[0]) from None
    return _checked(data, kind, name)


def from_json(data: object, kind: type[Kind], name: str = "inventory") -> Kind:
    """An inventory from JSON data, checked. Raises ModelError."""
    from pydantic import ValidationError

    from layerlr_dsl.model.schema import ADAPTER

    try:
        checked = ADAPTER.validate_python(data)
    except ValidationError as fault:
        raise _not_an_inventory(name, fault.errors(include_url=False, include_input=False)[0]) from None
    return _checked(checked, kind, name)


def _not_an_inventory(name: str, fault: Any) -> ModelError:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
    place = shown(place.removeprefix("."), 100)
    says = shown(fault["msg"][:1].lower() + fault["msg"][1:])
    return ModelError(
        f"{shown(name)}: is not an inventory: {place + ': ' if place else ''}{says}",
        "`layerlr inspect SPEC -o FILE.json` writes one",
    )


def _checked(data: InventoryJson, kind: type[Kind], name: str) -> Kind:
    try:
        _check_consistency(data)
    except _Inconsistent as fault:
        raise ModelError(
            f"{shown(name)}: is not an inventory: {fault}", "`layerlr inspect SPEC -o FILE.json` writes one"
        ) from None
    return assemble(data, kind)


class _Inconsistent(Exception):
    pass


def _check_consistency(data: InventoryJson) -> None:
    """What a schema cannot say: columns of one length, rows in range, a true pre-order, unique names."""
    modules, parameters = data["modules"], data["parameters"]
    _same_length("modules", {key: modules[key] for key in ("parents", "segments", "classes")})
    _same_length("parameters", {key: column for key, column in parameters.items() if key != "lazy"})
    count, rows = len(modules["parents"]), len(parameters["owners"])
    if not count:
        raise _Inconsistent("modules is empty; the first entry is the root")
    _below("modules.classes", modules["classes"], len(data["classes"]))
    _below("parameters.owners", parameters["owners"], count)
    _below("parameters.lazy", parameters["lazy"], rows)
    _below("aliases.parameter", [alias["parameter"] for alias in data["aliases"]], rows)
    _below("aliases.owner", [alias["owner"] for alias in data["aliases"]], count)
    for key, rows_of in (
        ("modules.depthwise", modules.get("depthwise", [])),
        ("modules.statistics", modules.get("statistics", [])),
        ("order", data.get("order", [])),
    ):
        _below(key, rows_of, count)
        if len(set(rows_of)) < len(rows_of):
            raise _Inconsistent(f"{key} names a module twice")
    if sorted(parameters["owners"]) != parameters["owners"]:
        raise _Inconsistent("parameters.owners must not decrease")
    if any(parameters["shapes"][row] for row in parameters["lazy"]):
        raise _Inconsistent("a lazy parameter has no shape")
    if any(len(shape) > _MOST_DIMENSIONS for shape in set(map(tuple, parameters["shapes"]))):
        raise _Inconsistent(f"a shape has more than {_MOST_DIMENSIONS} dimensions")
    if not all(dtype.isidentifier() and dtype.isascii() for dtype in set(parameters["dtypes"])):
        raise _Inconsistent("parameters.dtypes holds what is no dtype")
    _check_names(data, _check_tree(modules["parents"], modules["segments"]))


def _same_length(what: str, columns: Any) -> None:
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise _Inconsistent(f"the columns of {what} differ in length ({listed})")


def _below(what: str, rows: list[int], count: int) -> None:
    if rows and max(rows) >= count:
        raise _Inconsistent(f"{what}: {max(rows)} is out of range, there are {count}")


def _check_tree(parents: list[int], segments: list[str]) -> list[int]:
    """Each module's parent must be the module before it or one of those around that one.

    Returns the lengths of the modules' prefixes.
    """
    if parents[0] != -1 or segments[0] != "":
        raise _Inconsistent('the first module must be the root: parent -1, segment ""')
    if "" in segments[1:]:
        raise _Inconsistent("modules.segments: only the root has no name")
    around = [0]
    lengths = [0]
    for row in range(1, len(parents)):
        parent = parents[row]
        while around and around[-1] != parent:
            around.pop()
        if not around:
            raise _Inconsistent(
                f"modules.parents[{row}]: {parent} is not around it; modules are in pre-order"
            )
        around.append(row)
        lengths.append(lengths[parent] + len(segments[row]) + 1)
    return lengths


def _check_names(data: InventoryJson, prefix_lengths: list[int]) -> None:
    segments, parameters, aliases = data["modules"]["segments"], data["parameters"], data["aliases"]
    owners = [*parameters["owners"], *(alias["owner"] for alias in aliases)]
    leaves = [*parameters["leaves"], *(alias["leaf"] for alias in aliases)]
    spelled = sum(prefix_lengths) + sum(prefix_lengths[owner] for owner in owners)
    if max(prefix_lengths) > _LONGEST_NAME or spelled > _ALL_NAMES:
        raise _Inconsistent("the names are too long")
    if len(set(zip(data["modules"]["parents"], segments, strict=True))) < len(segments):
        raise _Inconsistent("two modules have the same name")
    if len(set(zip(owners, leaves, strict=True))) < len(owners):
        raise _Inconsistent("two parameters have the same name")
    if any("." in text for text in {*segments, *leaves}):
        raise _Inconsistent("a segment of a name cannot hold a dot")


def assemble(data: InventoryJson, kind: type[Kind]) -> Kind:
    """The inventory that consistent data describes: names are joined here."""
    modules, parameters = data["modules"], data["parameters"]
    prefixes: list[str] = []
    for parent, segment in zip(modules["parents"], modules["segments"], strict=True):
        prefixes.append(f"{prefixes[parent]}{segment}." if prefixes else "")
    owners, leaves = parameters["owners"], parameters["leaves"]
    aliases: dict[int, list[Alias]] = {}
    for alias in data["aliases"]:
        owner, leaf = alias["owner"], alias["leaf"]
        aliases.setdefault(alias["parameter"], []).append(Alias(prefixes[owner] + leaf, owner, leaf))
    return kind(
        source=data["source"],
        module_parents=modules["parents"],
        module_segments=modules["segments"],
        module_prefixes=prefixes,
        module_classes=modules["classes"],
        classes=[
            ModuleClass(
                c["name"],
                c["qualified"],
                tuple(c["bases"]),
                frozenset(c["families"]),
                tuple(c.get("qualified_bases", ())),
            )
            for c in data["classes"]
        ],
        names=[prefixes[owner] + leaf for owner, leaf in zip(owners, leaves, strict=True)],
        owners=owners,
        leaves=leaves,
        shapes=list(map(tuple, parameters["shapes"])),
        dtypes=parameters["dtypes"],
        requires_grad=parameters["requires_grad"],
        aliases={row: tuple(others) for row, others in aliases.items()},
        lazy=frozenset(parameters["lazy"]),
        depthwise=_optional(modules.get("depthwise")),
        statistics=_optional(modules.get("statistics")),
        order=data.get("order"),
    )


def _optional(rows: list[int] | None) -> frozenset[int] | None:
    return None if rows is None else frozenset(rows)
