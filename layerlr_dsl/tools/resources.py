"""Where the files that travel with the package lie: at the top of a checkout, inside a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def grammar_path() -> Path:
    """The grammar of the language, `layerlr.lark`."""
    return _folder("grammar") / "layerlr.lark"


def recipes_path() -> Path:
    """The folder of ready recipes (`*.lr`)."""
    return _folder("rules")


def _folder(name: str) -> Path:
    packaged = _PACKAGE / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
