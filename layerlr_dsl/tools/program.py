"""How whoever reads a hint can call this program."""

from __future__ import annotations

import os
import shutil
import sys

NAME = "layerlr"


def program() -> list[str]:
    """The first words of a command line: `layerlr`, or the path by which it was called where that is not found."""
    called = sys.argv[0]
    if shutil.which(NAME) is not None:
        return [NAME]
    if os.path.basename(called) == "__main__.py":
        return ["python", "-m", "layerlr_dsl"]
    return [called] if os.path.basename(called) == NAME and os.path.isfile(called) else [NAME]
