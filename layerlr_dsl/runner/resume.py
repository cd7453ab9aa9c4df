"""Going on with a run: which checkpoint, and whether the rules are still those it was made with."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from layerlr_dsl.language.lets import literal
from layerlr_dsl.language.source import Source
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.folder import rule_texts

if TYPE_CHECKING:
    from layerlr_dsl.api import Plan

SHOWN = 12


@dataclass(frozen=True, slots=True)
class Said:
    """What rules a run goes by: their texts by file, the main file first, and constants that were put in."""

    texts: Mapping[str, str]
    lets: Mapping[str, str]


def said(sources: Sequence[Source], lets: Mapping[str, str]) -> Said:
    """What the rules of this start say."""
    return Said(rule_texts(sources), lets)


def values(lets: Mapping[str, str]) -> dict[str, object]:
    """Constants as they are written, as what they mean. Raises RunnerError for what is none."""
    found = {name: literal(text) for name, text in lets.items()}
    odd = next((name for name, value in found.items() if value is None), None)
    if odd is not None:
        raise RunnerError(f"--let {odd}={lets[odd]}: not a constant, such as 3e-4")
    return {name: value for name, value in found.items() if value is not None}


def check_rules(stored: Said, now: Said, plan: Plan, accepted: bool) -> str | None:
    """What to say about rules edited since the checkpoint; None where they are the same.

    Raises RunnerError with the difference unless it is `accepted`.
    """
    if dict(stored.texts) == dict(now.texts) and dict(stored.lets) == dict(now.lets):
        return None
    difference = text_difference(stored.texts, now.texts) + _let_difference(stored.lets, now.lets)
    difference += plan_difference(stored, plan)
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


def _let_difference(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    own = "the file's own"
    return [
        f"  --let {name}: {old.get(name, own)} -> {new.get(name, own)}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def plan_difference(stored: Said, plan: Plan) -> list[str]:
    """What the change does to parameters, the first few of them; nothing where the old text no longer resolves."""
    from layerlr_dsl.api import load
    from layerlr_dsl.plan.diff import diff, option_in_words

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in stored.texts.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        clock = plan.clock
        epochs = None if clock.epochs is None else float(clock.epochs)
        try:
            main = load(root / next(iter(stored.texts)), root, values(stored.lets))
            old = main.resolve(plan.inventory, epochs, clock.steps_per_epoch, clock.steps)
        except (ValueError, OSError, RunnerError):
            return []
    found = diff(old, plan)
    lines = [f"  {d.parameter}: {option_in_words(d.option)} {d.old} -> {d.new}" for d in islice(found, SHOWN)]
    left = sum(1 for _ in found)
    if not lines:
        return ["  no parameter is treated differently"]
    return [*lines, f"  ... and {left} more"] if left else lines


def check_names(stored: Mapping[str, str]) -> None:
    """Refuse stored rule names that point out of their folder: a checkpoint may come from anywhere."""
    for name in stored:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise RunnerError(f"the checkpoint names a rule file outside the run's folder: {name!r}")
