"""The user's own code: `package.module:callable`, named on the command line and nowhere else."""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any

from layerlr_dsl.runner.errors import RunnerError

PREFIX = "python:"


def target_of(spec: str) -> str | None:
    """`package.module:callable` where `spec` is `python:package.module:callable`, else None."""
    target = spec.removeprefix(PREFIX)
    return target if spec.startswith(PREFIX) and re.fullmatch(r"[\w.]+:[\w.]+", target) else None


def called(target: str) -> Any:
    """What `package.module:callable` returns; modules are found from the working folder too.

    Raises RunnerError with whatever went wrong in it.
    """
    module_name, _, path = target.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
        return found()
    except RunnerError:
        raise
    except (Exception, SystemExit) as fault:
        raise RunnerError(f"{PREFIX}{target} failed: {type(fault).__name__}: {fault}") from fault
