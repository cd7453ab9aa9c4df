"""Who imports whom in the package, read from the text: imports in functions and for types alone count too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "layerlr_dsl"

# From the bottom up: what each room may import besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "tools": set(),
    "catalogue": {"tools"},
    "language": {"tools", "catalogue"},
    "model": {"tools"},
    "plan": {"tools", "catalogue", "language", "model"},
    "optim": {"tools", "catalogue"},
    "training": {"tools", "catalogue", "language", "model", "plan", "optim"},
    "plots": {"tools", "model", "plan"},
    "render": {"tools", "language", "model", "plan", "plots"},
    "api": {"tools", "catalogue", "language", "model", "plan", "optim", "training", "plots", "render"},
    "loops": {"tools", "model", "training", "api"},
    "notebook": {"tools", "language", "api"},
    "starters": {"tools", "language", "model"},
    "importers": {"tools", "catalogue", "language", "model", "plan", "api"},
    "eject": {"tools", "catalogue", "language", "model", "plan"},
    "reports": set(),
    "runner": {"tools", "language", "model", "plan", "training", "api", "plots"},
    "tuning": {"tools", "language", "model", "api", "starters", "plots", "runner"},
    "editor": {"tools", "catalogue", "language", "model", "plan", "plots", "render", "api"},
    "cli": {
        *("tools", "catalogue", "language", "model", "plan", "api"),
        *("starters", "importers", "plots", "render", "eject", "runner", "tuning", "editor"),
    },
}

# They lie in `training` for the names that users import, and stand above `api`.
LOOPS = {
    f"training.{name}"
    for name in (
        *("fastai", "following", "ignite", "layer_trainer", "lightning", "mmengine"),
        *("trainer", "transformers", "ultralytics"),
    )
}


def modules() -> dict[str, Path]:
    """Every module by its name below the package: `language.parser`; a package goes by its own name."""
    return {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of the package that a module imports, wherever in its text."""
    found = {name for node in ast.walk(ast.parse(path.read_text("utf-8"))) for name in _named(node)}
    return {_module(name, known) for name in found}


def _named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        assert not node.level, "relative imports are not used here"
        dotted = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Import):
        dotted = [alias.name for alias in node.names]
    else:
        return
    prefix = PACKAGE.name
    yield from (
        name.removeprefix(prefix).lstrip(".") for name in dotted if (name + ".").startswith(prefix + ".")
    )


def _module(name: str, known: dict[str, Path]) -> str:
    """The module that a dotted name leads to: itself, or the one that holds it."""
    while name not in known:
        name = name.rpartition(".")[0]
    return name


def room(module: str) -> str:
    """The room that a module lies in; those at the top are rooms of their own."""
    return "loops" if module in LOOPS else module.partition(".")[0]
