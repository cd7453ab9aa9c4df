"""What `make demo` and the README show."""

from __future__ import annotations

import ast
from pathlib import Path

import torch

import layerlr_dsl as layerlr

HOME = Path(__file__).parents[2]
EXAMPLE = HOME / "docs" / "examples" / "bare_loop.py"
RECIPE = HOME / "rules" / "efficientnet_lite0_digits.lr"


def test_the_bare_loop_has_fewer_than_15_lines():
    """Blank lines aside."""
    assert len([line for line in EXAMPLE.read_text().splitlines() if line.strip()]) < 15


def test_the_bare_loop_trains_as_the_recipe_says(monkeypatch):
    """The text as it stands, but for two classes and two epochs: it learns, and the stem stands still."""
    text = EXAMPLE.read_text()
    for old, new in (("load_digits(", "load_digits(n_class=2, "), ("range(8)", "range(2)")):
        assert old in text
        text = text.replace(old, new)
    monkeypatch.chdir(HOME)
    torch.manual_seed(0)
    space: dict = {}
    exec(compile(ast.parse(text), str(EXAMPLE), "exec"), space)
    model, plan = space["model"], space["plan"]
    assert space["schedule"].last_epoch == 2 * plan.clock.steps_per_epoch == 24
    assert not model.conv_stem.weight.requires_grad
    with torch.no_grad():
        right = (model.eval()(space["x"]).argmax(1) == space["y"]).float().mean()
    assert float(right) > 0.8


def test_the_recipe_unfreezes_from_the_top_down():
    """Before any training, on the model's names alone; its `expect` statements are run with those of the others."""
    rules = layerlr.load(RECIPE)
    plan = rules.resolve(layerlr.Inventory.of(_model(rules.model)), steps_per_epoch=45)
    shares = [phase.trainable_share for phase in plan.phases]
    assert shares == sorted(shares)
    assert len(shares) == 3
    assert [d for d in plan.diagnostics if d.severity != "info"] == []


def _model(spec):
    from layerlr_dsl.model.specs import build

    return build(spec, meta=True)
