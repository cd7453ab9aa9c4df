"""Where the tree-sitter grammar lies, for editors that build it: `python -m layerlr_dsl.editor.treesitter`."""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
NAME = "tree-sitter-layerlr"


def grammar_folder() -> Path:
    """The folder of the grammar: beside this module in a wheel, at the top of a checkout."""
    packaged = _PACKAGE / NAME
    return packaged if packaged.is_dir() else _PACKAGE.parent.parent / "editors" / NAME


if __name__ == "__main__":
    sys.stdout.write(f"{grammar_folder()}\n")
