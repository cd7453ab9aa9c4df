"""The kinds of sources, one module of `importers/kinds` each, found by looking into that folder."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from layerlr_dsl.importers import kinds as folder
from layerlr_dsl.importers.description import Description, SourceFault
from layerlr_dsl.importers.reading import Node
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.printable import shown

if TYPE_CHECKING:
    from torch import nn


class Kind(Protocol):
    """What a module of a tool offers.

    It may offer too: `own(root, model)`, the tool's own optimizer; `MARKS`, keys by which it is told.
    """

    KIND: str
    ABOUT: str

    def recognizes(self, root: Node) -> bool: ...

    def describe(self, root: Node, model: nn.Module | None = None) -> Description: ...


@cache
def kinds() -> dict[str, Kind]:
    """Every kind by its name."""
    found = sorted(entry.name for entry in pkgutil.iter_modules(folder.__path__))
    modules = [import_module(f"{folder.__name__}.{name}") for name in found]
    return {module.KIND: module for module in modules}


def kind_of(root: Node) -> Kind:
    """The one kind that recognizes its own in the data. Raises SourceFault where that is none or several."""
    found = [kind for kind in kinds().values() if kind.recognizes(root)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(kind.KIND for kind in found or kinds().values())
    if found:
        raise SourceFault(f"could be of several kinds: {names}", help="say which with --from KIND")
    near = _near_miss(root)
    told = f"say which with --from KIND, one of: {names}"
    raise SourceFault("is of no kind that is known", help=f"{near}; or {told}" if near else told)


def _near_miss(root: Node) -> str:
    """A key that is nearly one by which a kind is told."""
    kinds_of: dict[str, str] = {}
    for kind in kinds().values():
        kinds_of |= dict.fromkeys(sorted(getattr(kind, "MARKS", ())), kind.KIND)
    for key in root.value if isinstance(root.value, dict) else ():
        near = None if key in kinds_of else nearest(str(key), kinds_of)
        if near:
            return f"`{shown(str(key))}`: did you mean `{near}` of {kinds_of[near]}?"
    return ""
