"""Recipes that re-say public training code give its numbers, parameter by parameter and step by step.

`numbers/NAME.json` holds what that code gives: for each class of parameters its options at some steps, or null
where it is frozen. They come from runs of the code that each recipe names, but for barlow_twins, beit_finetune, coop,
deformable_detr, gaussian_splatting, mae_linear_probe, megatron_wsd, open_clip_locked, rt_detr, segformer, simsiam,
t5_adafactor, vitdet and yolox, which are worked out from the formulas of that code; `within` is how
exact that code is, where it counts in single precision.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import layerlr_dsl as layerlr
from layerlr_dsl.model.specs import inventory_of_spec

RULES = Path(layerlr.__file__).parent.parent / "rules"
NUMBERS = sorted((Path(__file__).parent / "numbers").glob("*.json"))


def differs(found: Any, wanted: Any, peak: float, within: float) -> bool:
    """Whether two values are further apart than `within` of themselves, and than a thousandth of that of the peak."""
    if isinstance(wanted, list):
        return len(found) != len(wanted) or any(
            differs(a, b, peak, within) for a, b in zip(found, wanted, strict=True)
        )
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        return bool(found != wanted)
    apart = abs(found - wanted)
    return apart > within * max(abs(found), abs(wanted)) and apart > within / 1000 * peak


def peaks(classes: list[dict[str, Any]]) -> dict[str, float]:
    """The largest value of each option that is a number."""
    found: dict[str, float] = {}
    for options in (told for one in classes for told in one["course"] if told is not None):
        for option, value in options.items():
            if isinstance(value, int | float):
                found[option] = max(found.get(option, 0.0), abs(value))
    return found


@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: path.stem)
def test_a_recipe_gives_the_numbers_of_its_source(path: Path) -> None:
    """The same frozen set and the same options at every step that is listed, for every parameter."""
    told = json.loads(path.read_text())
    rules = layerlr.load(RULES / f"{path.stem}.lr")
    assert rules.model is not None
    inventory = inventory_of_spec(rules.model, root=RULES)
    plan = rules.resolve(inventory, epochs=told["epochs"], steps_per_epoch=told["steps_per_epoch"])
    highest, within = peaks(told["classes"]), told.get("within", 1e-9)
    wrong = []
    for place, step in enumerate(told["steps"]):
        now = plan.at(step=step)
        for one in told["classes"]:
            wanted = one["course"][place]
            for name in one["parameters"]:
                have = now[name]
                if have["frozen"] is not (wanted is None):
                    wrong.append((step, name, "frozen", have["frozen"]))
                for option, value in (wanted or {}).items():
                    if differs(have[option], value, highest.get(option, 0.0), within):
                        wrong.append((step, name, option, have[option], value))
    assert wrong[:3] == []


def test_there_are_numbers_for_two_dozen_recipes() -> None:
    """A folder that is not found would pass all of them in silence."""
    assert len(NUMBERS) >= 24
