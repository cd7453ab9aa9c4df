"""Optimizers of other packages: those that they register, and those of pytorch_optimizer where it is installed.

What one takes is read from the text of its module where that tells it, so that torch stays unimported;
else its package is imported.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache, reduce
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.catalogue.signatures import (
    MISSING,
    PARAMETER_GROUPS,
    Interval,
    OptimizerInfo,
    OptionInfo,
    key,
    kind_of,
    option,
    options_of,
)
from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "layerlr.optimizers"
_LIBRARY = "pytorch_optimizer"
_NEEDS = dict.fromkeys(("adago", "adamuon", "distributedmuon", "muon", "muonclip", "normuon"), ("use_muon",))
"""What some of its optimizers read in each group, and refuse to be built without."""


def names() -> list[str]:
    """What registered optimizers are called, then those of pytorch_optimizer; nothing is imported."""
    return [*(point.name for point in _entry_points()), *sorted(_of_the_library())]


@cache
def find(name: str) -> OptimizerInfo | None:
    """The optimizer of that name in any package, which is imported where that must be."""
    known = _known(name)
    if known is None:
        return None
    parameters = constructor(known[1])
    return _imported(*known) if parameters is None else _told(*known, parameters)


@cache
def read(name: str) -> OptimizerInfo | None:
    """The optimizer of that name, if the text of its module tells of it."""
    known = _known(name)
    parameters = None if known is None else constructor(known[1])
    return None if known is None or parameters is None else _told(*known, parameters)


def _told(called: str, target: str, parameters: list[Parameter]) -> OptimizerInfo | None:
    if not _is_optimizer(parameters):
        return None
    options = [o for p in parameters[1:] for o in option(p.name, _default(p), p.annotation)]
    return _info(called, target, options, parameters[0].name)


def _known(name: str) -> tuple[str, str] | None:
    """The name as its package writes it, and where the class is (`module:Class`)."""
    for point in _entry_points():
        if key(point.name) == name:
            return point.name, f"{point.module}:{point.attr}"
    target = _of_the_library().get(name)
    return None if target is None else (name, target)


def _is_optimizer(parameters: list[Parameter]) -> bool:
    """Whether it takes parameters or a model, and else nothing that no rule could write: no wrapper."""
    rest = parameters[1:]
    writable = all(kind_of(MISSING, p.annotation) for p in rest if p.required)
    return bool(parameters) and parameters[0].name in ("params", "model") and writable


def _default(parameter: Parameter) -> object:
    return MISSING if parameter.required else parameter.default


def _imported(called: str, target: str) -> OptimizerInfo | None:
    module, _, path = target.partition(":")
    cls: Any = reduce(getattr, path.split("."), import_module(module))
    first = next(iter(inspect.signature(cls).parameters), "")
    return _info(called, f"{cls.__module__}:{cls.__qualname__}", options_of(cls), first)


def _info(called: str, target: str, options: Iterable[OptionInfo], first: str) -> OptimizerInfo:
    """An optimizer that the table does not know: its signature is all there is to go by."""
    known = {}
    for one in options:
        if one.name in ("lr", "weight_decay") and one.kind == "number":
            one = replace(one, domains=(Interval.parse("[0, inf)"),))
        if one.name == "momentum":
            one = replace(one, fixed=f"{called} is not known to make its momentum buffer in mid-run")
        known[one.name] = one
    refuses = PARAMETER_GROUPS if first == "model" else None
    needs = _NEEDS.get(called, ()) if target.startswith(f"{_LIBRARY}.") else ()
    return OptimizerInfo(called, target, known, refuses, needs)


# ---------------------------------------------------------------- where they are


@cache
def _entry_points() -> Iterable[EntryPoint]:
    """What is installed, read once: packages that come while this runs are found when it runs again."""
    from importlib.metadata import entry_points  # deferred: it takes longer than reading the table

    return entry_points(group=ENTRY_POINTS)


@cache
def _of_the_library() -> dict[str, str]:
    """Where the classes of pytorch_optimizer are, by their names in lower case, as the package names them."""
    spec = find_spec(_LIBRARY)
    source = Path(spec.origin).parent / "optimizer" / "__init__.py" if spec and spec.origin else None
    if source is None or not source.is_file():
        return {}
    imports = [x for x in ast.parse(source.read_text(encoding="utf-8")).body if isinstance(x, ast.ImportFrom)]
    return {
        alias.name.lower(): f"{node.module}:{alias.name}"
        for node in imports
        if (node.module or "").startswith(f"{_LIBRARY}.optimizer.")
        for alias in node.names
        if alias.name[0].isupper()
    }


# ---------------------------------------------------------------- signatures read from text


NOT_A_LITERAL = object()
"""Stands for a default that is no plain value, such as a function or a dtype."""
_MOST_HOPS = 8


@record
class Parameter:
    """One parameter of a constructor; `default` is None where `required`."""

    name: str
    required: bool
    default: object
    annotation: str


def constructor(target: str) -> list[Parameter] | None:
    """What `module:Class` takes, `self` left out; None where the text of the module does not tell it."""
    module, _, name = target.partition(":")
    found = _find(module, name, _MOST_HOPS)
    return None if found is None else list(_parameters(found))


def _find(module: str, name: str, hops: int) -> ast.FunctionDef | None:
    """The `__init__` of a class, its own or the first base's, through whatever modules hand it on."""
    tree = _tree(module) if hops else None
    if tree is None:
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            own = next(
                (f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None
            )
            base = node.bases[0] if node.bases else None
            if own is not None or not isinstance(base, ast.Name):
                return own
            return _find(module, base.id, hops - 1)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _find(_absolute(node, module), alias.name, hops - 1)
    return None


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".") if _is_package(module) else module.split(".")[:-1]
    above = parts[: len(parts) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def _tree(module: str) -> ast.Module | None:
    path = _path(module)
    try:
        return None if path is None else ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None


def _is_package(module: str) -> bool:
    path = _path(module)
    return path is not None and path.name == "__init__.py"


def _path(module: str) -> Path | None:
    """The file of a module; only the package at the top is looked up, since looking further imports it."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin:
        return None
    origin = Path(spec.origin)
    place = origin.parent.joinpath(*rest) if rest else origin.parent
    choices = (place / "__init__.py", place.with_suffix(".py")) if rest else (origin,)
    return next((path for path in choices if path.is_file() and path.suffix == ".py"), None)


def _parameters(function: ast.FunctionDef) -> Iterator[Parameter]:
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    defaults += [*arguments.defaults, *arguments.kw_defaults]
    for argument, default in list(zip([*plain, *arguments.kwonlyargs], defaults, strict=True))[1:]:
        annotation = "" if argument.annotation is None else ast.unparse(argument.annotation)
        yield Parameter(argument.arg, default is None, _value(default), annotation)


def _value(node: ast.expr | None) -> Any:
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return float("inf") if ast.unparse(node) in _INFINITE else NOT_A_LITERAL


_INFINITE = ("float('inf')", "math.inf", "inf")
