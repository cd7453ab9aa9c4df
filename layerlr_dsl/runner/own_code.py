"""The user's own code: `package.module:callable`, named on the command line and nowhere else."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.own_faults import raised_at
from layerlr_dsl.tools.program import program

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
        return with_torchvision(lambda: _called(module_name, path))
    except RunnerError:
        raise
    except (Exception, SystemExit) as fault:
        raise RunnerError(
            f"{PREFIX}{target} failed: {type(fault).__name__}: {fault}{raised_at(fault)}"
        ) from fault


def _called(module_name: str, path: str) -> Any:
    found: Any = importlib.import_module(module_name)
    for part in path.split("."):
        if not hasattr(found, part):
            meant = nearest(part, [name for name in dir(found) if not name.startswith("__")])
            raise RunnerError(
                f"{PREFIX}{module_name}:{path}: there is no `{part}` in {module_name}",
                f"did you mean `{meant}`?" if meant else None,
            )
        found = getattr(found, part)
    return found()


def said_again(folder: Path, stored: Mapping[str, Any], given: Mapping[str, Any], command: str) -> None:
    """Refuse to run code because a folder says so: who reads it need not be who wrote it.

    `stored` are the specs that the run's `folder` holds by their options, `given` those of the command line.
    Raises RunnerError with the `command` line that says them.
    """
    code = {key: spec for key, spec in stored.items() if isinstance(spec, str) and spec.startswith(PREFIX)}
    silent = [key for key in code if given.get(key) is None]
    if not silent:
        return
    told = [part for key in code for part in (f"--{key}", code[key])]
    raise RunnerError(
        f"{folder} asks to run code: {', '.join(f'--{key} {code[key]}' for key in silent)}",
        "if that code is yours, say so on the command line:",
        shlex.join([*program(), *command.split(), str(folder), *told]),
    )
