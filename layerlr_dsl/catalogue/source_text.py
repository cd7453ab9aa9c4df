"""The signature of a class read from the text of its module: nothing is imported, and torch not with it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from layerlr_dsl.tools.records import record

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
