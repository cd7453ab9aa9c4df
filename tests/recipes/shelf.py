"""The recipes by name, with other values where a test wants them, and what their plans say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import layerlr_dsl as layerlr
from layerlr_dsl.api import Rules
from layerlr_dsl.tools.resources import recipes_path

RULES = recipes_path()
FILES = sorted(RULES.rglob("*.lr"))
NAMES = [path.relative_to(RULES).with_suffix("").as_posix() for path in FILES]


def path_of(name: str) -> Path:
    return RULES / f"{name}.lr"


def recipe(name: str, **lets: float) -> Rules:
    """A recipe, with the values of some of its `let` statements replaced."""
    text = path_of(name).read_text(encoding="utf-8")
    for let, value in lets.items():
        text, found = re.subn(rf"(?m)^let {let}( *)=.*$", rf"let {let}\1= {value!r}", text)
        assert found == 1, f"{name} has no `let {let}`"
    return layerlr.parse(text, filename=f"{name}.lr", root=RULES)


def started(plan: layerlr.Plan, option: str) -> dict[str, float]:
    """An option of every parameter at the start of the run, before the schedule."""
    return {name: group.options[option] for group in plan.groups for name in group.parameters}


def frozen(plan: layerlr.Plan, epoch: float) -> set[str]:
    """The parameters that are frozen at a time."""
    return {name for name, options in plan.at(epoch=epoch).items() if options["frozen"]}


def close(found: Mapping[str, float], wanted: Mapping[str, float]) -> None:
    """Assert that two tables hold the same names and, within 1e-9 of each other, the same numbers."""
    assert sorted(found) == sorted(wanted)
    wrong = {n: (found[n], wanted[n]) for n in wanted if abs(found[n] - wanted[n]) > 1e-9 * abs(wanted[n])}
    assert not wrong
