"""Going on with a run: which checkpoint, and whether the rules are still those it was made with."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from layerlr_dsl.language.source import Source
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.folder import rule_texts

if TYPE_CHECKING:
    from layerlr_dsl.api import Plan

SHOWN = 12


def check_rules(
    stored: Mapping[str, str], sources: Sequence[Source], plan: Plan, accepted: bool
) -> str | None:
    """What to say about rules edited since the checkpoint; None where they are the same.

    Raises RunnerError with the difference unless it is `accepted`.
    """
    now = rule_texts(sources)
    if dict(stored) == now:
        return None
    difference = text_difference(stored, now) + plan_difference(stored, plan)
    if not accepted:
        raise RunnerError(
            "the rules are not those that the run was started with\n" + "\n".join(difference),
            "put the old rules back, or go on under the new ones with --accept-rule-changes",
        )
    return "\n".join(["going on under changed rules:", *difference])


def text_difference(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The changed lines of every rule text, as a unified diff without context."""
    lines: list[str] = []
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name, "").splitlines(), new.get(name, "").splitlines()
        lines += difflib.unified_diff(before, after, f"{name} (checkpoint)", f"{name} (now)", "", "", 0, "")
    return [f"  {line}" for line in lines]


def plan_difference(stored: Mapping[str, str], plan: Plan) -> list[str]:
    """What the change does to parameters, the first few of them; nothing where the old text no longer resolves."""
    from layerlr_dsl.api import load
    from layerlr_dsl.plan.diff import diff

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in stored.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        clock = plan.clock
        epochs = None if clock.epochs is None else float(clock.epochs)
        try:
            main = load(root / next(iter(stored)), root)
            old = main.resolve(plan.inventory, epochs, clock.steps_per_epoch)
        except (ValueError, OSError):
            return []
    found = diff(old, plan)
    lines = [f"  {d.parameter}: {d.option} {d.old} -> {d.new}" for d in islice(found, SHOWN)]
    left = sum(1 for _ in found)
    if not lines:
        return ["  no parameter is treated differently"]
    return [*lines, f"  ... and {left} more"] if left else lines


def check_names(stored: Mapping[str, str]) -> None:
    """Refuse stored rule names that point out of their folder: a checkpoint may come from anywhere."""
    for name in stored:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise RunnerError(f"the checkpoint names a rule file outside the run's folder: {name!r}")
