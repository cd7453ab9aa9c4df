"""The inventories of several models as one, whose names begin with the key of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from layerlr_dsl.model.classes import ModuleClass
from layerlr_dsl.model.inventory import Alias, Inventory

_ROOT = ModuleClass(
    "ModuleDict",
    "torch.nn.modules.container.ModuleDict",
    ("Module",),
    frozenset(),
    ("torch.nn.modules.module.Module",),
)


def joined(parts: Mapping[str, Inventory]) -> Inventory:
    """What `Inventory.of` gives for a mapping of the models: a root, and each of them below its key.

    Nothing is tied across parts, since stored names say nothing of it; and nothing is known of the order in
    which parts run.
    """
    whole = Inventory(
        source=", ".join(f"{key}={part.source}" for key, part in parts.items()),
        module_parents=[-1],
        module_segments=[""],
        module_prefixes=[""],
        module_classes=[0],
        classes=[_ROOT],
        names=[],
        owners=[],
        leaves=[],
        shapes=[],
        dtypes=[],
        requires_grad=[],
        aliases={},
        lazy=_rows(parts.values(), "lazy", "names", 0) or frozenset(),
        depthwise=_rows(parts.values(), "depthwise", "module_parents", 1),
        statistics=_rows(parts.values(), "statistics", "module_parents", 1),
    )
    for key, part in parts.items():
        _append(whole, key, part)
    return whole


def _append(whole: Inventory, key: str, part: Inventory) -> None:
    """Put one model behind those that stand there already; rows are counted on."""
    module, kind, row = len(whole.module_parents), len(whole.classes), len(whole.names)
    whole.aliases.update(
        (
            row + own,
            tuple(Alias(f"{key}.{alias.name}", module + alias.owner, alias.leaf) for alias in aliases),
        )
        for own, aliases in part.aliases.items()
    )
    whole.module_parents.extend(module + parent if parent >= 0 else 0 for parent in part.module_parents)
    whole.module_segments.extend((key, *part.module_segments[1:]))
    whole.module_prefixes.extend(f"{key}.{prefix}" for prefix in part.module_prefixes)
    whole.module_classes.extend(kind + one for one in part.module_classes)
    whole.classes.extend(part.classes)
    whole.names.extend(f"{key}.{name}" for name in part.names)
    whole.owners.extend(module + owner for owner in part.owners)
    whole.leaves.extend(part.leaves)
    whole.shapes.extend(part.shapes)
    whole.dtypes.extend(part.dtypes)
    whole.requires_grad.extend(part.requires_grad)


def _rows(parts: Iterable[Inventory], column: str, counted: str, start: int) -> frozenset[int] | None:
    """Rows of all parts, counted on through `counted`; None where one of them does not know."""
    found: set[int] = set()
    for part in parts:
        rows = getattr(part, column)
        if rows is None:
            return None
        found.update(start + row for row in rows)
        start += len(getattr(part, counted))
    return frozenset(found)
