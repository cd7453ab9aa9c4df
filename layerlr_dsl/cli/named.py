"""How a file may name a model that was named on the command line."""

from __future__ import annotations

from pathlib import Path


def as_named(model: str, output: str | None) -> tuple[str, bool]:
    """The spec as the file may spell it, and whether it may name it at all.

    Files may not run code (`python:`), and folders and inventories must lie beside or below them.
    """
    spec = model.strip()
    if spec.startswith(("torchvision:", "timm:")):
        return spec, True
    if spec.startswith("python:") or not spec.isprintable():
        return spec, False
    prefix = "hf:" if spec.startswith("hf:") else ""
    home = Path(output).resolve().parent if output is not None else Path.cwd()
    try:
        inside = Path(spec.removeprefix(prefix)).resolve().relative_to(home)
    except (ValueError, OSError):
        return spec, False
    return f"{prefix}{inside.as_posix()}", True
