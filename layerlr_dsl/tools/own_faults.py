"""Where in the user's own code something was raised: the line that they can mend."""

from __future__ import annotations

import os
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

_PACKAGE = str(Path(__file__).parents[1])


def raised_at(fault: BaseException) -> str:
    """` (nets.py, line 2)`: the innermost place that is neither a library's nor ours; empty where there is none."""
    frames = traceback.extract_tb(fault.__traceback__)
    libraries = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    own = [frame for frame in frames if _is_own(frame.filename, libraries)]
    if not own:
        return ""
    inside = own[-1].filename.startswith(os.getcwd() + os.sep)
    return f" ({os.path.relpath(own[-1].filename) if inside else own[-1].filename}, line {own[-1].lineno})"


def _is_own(name: str, libraries: Iterable[str]) -> bool:
    return not name.startswith(("<", _PACKAGE + os.sep, *(one + os.sep for one in libraries)))
