"""The one walk over a live module tree, from which every list of names is made.

It looks through wrappers by their type, so names are always those of the unwrapped model,
and it needs no torch: it reads attributes of what it is given.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from layerlr_dsl.model.classes import Kind, ModuleClass, kind_of
from layerlr_dsl.model.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

FLAGS_TAKEN = "_layerlr_flags_taken"
"""Attribute of a module: those of its parameters from which layerlr took `requires_grad`. They did not come frozen."""


@dataclass(slots=True)
class Walk:
    """Columns of a module tree in pre-order, and of its parameters under every name they have.

    A module or parameter that is reached twice appears twice; nothing is deduplicated here.
    """

    modules: list[nn.Module] = field(default_factory=list)
    module_parents: list[int] = field(default_factory=list)
    module_segments: list[str] = field(default_factory=list)
    module_prefixes: list[str] = field(default_factory=list)  # "" for the root, else "layer1.0."
    module_classes: list[int] = field(default_factory=list)
    classes: list[ModuleClass] = field(default_factory=list)
    parameters: list[nn.Parameter] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    leaves: list[str] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)
    requires_grad: list[bool] = field(default_factory=list)
    lazy: set[int] = field(default_factory=set)
    depthwise: set[int] = field(default_factory=set)  # modules
    statistics: set[int] = field(default_factory=set)  # modules

    def keep(self, places: list[int]) -> None:
        """Leave only these parameters, in this order, in all columns of parameters."""
        for name in _OF_PARAMETERS:
            column = getattr(self, name)
            column[:] = [column[place] for place in places]
        self.lazy = {row for row, place in enumerate(places) if place in self.lazy}


_OF_PARAMETERS = ("parameters", "names", "owners", "leaves", "shapes", "dtypes", "requires_grad")


class _Classes(dict[type, int]):
    """From a Python type to its row in the table of classes; wrappers have none (-1)."""

    def __init__(self, table: list[ModuleClass]) -> None:
        super().__init__()
        self.table = table
        self.rows: dict[type, int] = {}
        self.parametrizations: set[int] = set()

    def __missing__(self, cls: type) -> int:
        kind = kind_of(cls)
        row = -1 if kind.inner is not None else self.row_of(kind)
        self[cls] = row
        return row

    def row_of(self, kind: Kind) -> int:
        row = self.rows.get(kind.original)
        if row is None:
            row = self.rows[kind.original] = len(self.table)
            self.table.append(kind.described)
            if kind.parametrization:
                self.parametrizations.add(row)
        return row


# Row of the parent, segment, prefix of what is below, row of the class, module, its own parameters.
Place: TypeAlias = "tuple[int, str, str, int, nn.Module, dict[str, Any]]"


class _Dtypes(dict[Any, str]):
    def __missing__(self, dtype: Any) -> str:
        self[dtype] = name = str(dtype).removeprefix("torch.")
        return name


def walk(model: nn.Module) -> Walk:
    """Every module and parameter of `model`, in the order of the unwrapped `named_parameters()`.

    Loops over local names, since on a large model they are most of what resolving costs.
    Raises ModelError if `model` is no module.
    """
    if not (hasattr(model, "_modules") and hasattr(model, "_parameters")):
        raise ModelError(f"expected a torch.nn.Module, got {type(model).__name__}")
    found = Walk()
    modules, parents, segments = found.modules, found.module_parents, found.module_segments
    prefixes, rows = found.module_prefixes, found.module_classes
    parameters, names, owners, leaves = found.parameters, found.names, found.owners, found.leaves
    shapes, dtypes, requires_grad = found.shapes, found.dtypes, found.requires_grad
    classes, dtype_names = _Classes(found.classes), _Dtypes()
    # Equal shapes share one object: 100,000 fewer for the garbage collector to trace.
    shared_shape: Any = {}.setdefault
    partitioned = "deepspeed" in sys.modules
    for here, (parent, segment, path, row, module, own) in enumerate(_places(model, classes)):
        modules.append(module)
        parents.append(parent)
        segments.append(segment)
        prefixes.append(path)
        rows.append(row)
        taken = module.__dict__.get(FLAGS_TAKEN, ())
        for leaf, parameter in own.items():
            if parameter is None:
                continue
            try:
                shape = parameter.shape
                if partitioned:  # ZeRO 3 leaves an empty tensor, and says what it stands for
                    shape = getattr(parameter, "ds_shape", shape)
            except RuntimeError:
                shape = _no_shape_yet(found, parameter)
            parameters.append(parameter)
            names.append(path + leaf)
            owners.append(here)
            leaves.append(leaf)
            shapes.append(shared_shape(shape, shape))
            dtypes.append(dtype_names[parameter.dtype])
            requires_grad.append(parameter.requires_grad or leaf in taken)
    lent = _lend_class_to_parametrizations(found, classes.parametrizations)
    _look_inside(found, lent)
    return found


def _look_inside(found: Walk, lent: set[int]) -> None:
    """Note what a module's class does not tell: depthwise convolutions, norms that keep running statistics."""
    convs = {row for row, described in enumerate(found.classes) if "conv" in described.families}
    norms = {row for row, described in enumerate(found.classes) if "_NormBase" in described.bases}
    if not convs | norms:
        return
    for here, row in enumerate(found.module_classes):
        if row in convs and (
            found.module_parents[here] in found.depthwise
            if here in lent
            else _is_depthwise(found.modules[here])
        ):
            found.depthwise.add(here)
        elif row in norms and _keeps_statistics(found.modules[here]):
            found.statistics.add(here)


def _is_depthwise(module: nn.Module) -> bool:
    groups = getattr(module, "groups", 1)
    return groups == getattr(module, "in_channels", None) and groups > 1


def _keeps_statistics(module: nn.Module) -> bool:
    tracked = getattr(module, "track_running_stats", False)
    return bool(tracked) and module._buffers.get("running_mean") is not None


def _places(model: nn.Module, classes: _Classes) -> Iterator[Place]:
    """Every module in pre-order, at each of its places, wrappers looked through."""
    entered: set[int] = set()
    level: Any = iter((("", model),))
    parent, prefix, here = -1, "", -1
    above: list[tuple[Any, int, str, nn.Module]] = []
    while True:
        for segment, module in level:
            if module is None:
                continue
            row = classes[type(module)]
            own, children = module._parameters, module._modules
            if row < 0:
                module, own, children = _look_through(module)
                row = classes.row_of(kind_of(type(module)))
            if children:
                if id(module) in entered and any(module is entry[3] for entry in above):
                    continue
                entered.add(id(module))
            here += 1
            path = f"{prefix}{segment}." if here else ""
            yield parent, segment, path, row, module, own
            if children:
                above.append((level, parent, prefix, module))
                level, parent, prefix = iter(children.items()), here, path
                break
        else:
            if not above:
                return
            level, parent, prefix, _ = above.pop()


def _look_through(module: nn.Module) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    """The wrapped module, and what stands at its place: its own members and those that wrappers add."""
    parameters: dict[str, Any] = {}
    beside: dict[str, Any] = {}
    while (inner := kind_of(type(module)).inner) is not None and module._modules.get(inner) is not None:
        parameters.update(module._parameters)
        beside.update({name: child for name, child in module._modules.items() if name != inner})
        module = module._modules[inner]  # type: ignore[assignment]
        beside = {name: child for name, child in beside.items() if child is not module}
    parameters.update(module._parameters)
    return module, parameters, {**module._modules, **beside}


def _no_shape_yet(found: Walk, parameter: Any) -> tuple[int, ...]:
    """Note a parameter that a lazy module has not made yet; any other failure goes on."""
    if not any(base.__name__ == "UninitializedTensorMixin" for base in type(parameter).__mro__):
        return tuple(parameter.shape)
    found.lazy.add(len(found.parameters))
    return ()


def _lend_class_to_parametrizations(found: Walk, rows: set[int]) -> set[int]:
    """`linear.parametrizations.weight.original` belongs to the Linear, not to the list that holds it.

    Returns the modules that count as another around them.
    """
    lent: set[int] = set()
    if not rows:
        return lent
    parents, classes = found.module_parents, found.module_classes
    for module, row in enumerate(classes):
        if row in rows:
            holder = parents[module]
            if holder > 0:
                classes[module] = classes[holder] = classes[parents[holder]]
                lent |= {holder, module}
    return lent
