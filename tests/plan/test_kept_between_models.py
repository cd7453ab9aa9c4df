"""Rules keep what no model can change; a second model is told what it would be told as the first."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import Clause, Sequence
from small_models import inventory_of
from test_against_oracle import files, models, styles, text_of
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.expect import run_expectations


def told(rules: layerlr.Rules, inventory: Inventory, steps_per_epoch: int) -> list[Any]:
    """Everything that a user can see of these rules on this model."""
    found = rules.check(inventory, 8, steps_per_epoch)
    shown: list[Any] = [(d.code, d.message, d.help, d.span and (d.span.start, d.span.end)) for d in found]
    try:
        plan = rules.resolve(inventory, 8, steps_per_epoch)
    except layerlr.RuleError as refusal:
        return [*shown, *(d.message for d in refusal.diagnostics)]
    return [
        *shown,
        plan.to_json(),
        [choice.info.name for choice in plan.optimizers],
        plan.capture_numbers.values(),
    ]


def plain(seen: list[Any]) -> str:
    return "\n".join(str(list(x)) if not isinstance(x, (str, tuple, dict)) else str(x) for x in seen)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(models, min_size=2, max_size=4), files, styles, st.lists(st.integers(1, 3), min_size=4))
def test_a_model_is_ruled_as_if_it_were_the_first(
    every: list[dict[str, int]], file: list[Clause | Sequence], style: str, steps: list[int]
) -> None:
    """Whatever models and clocks came before, plans and findings are those of rules read anew."""
    text = text_of(file, style) + "\n** where i > last(i) or numel > 0 -> weight_decay 0"
    for written in (text_of(file, style), text):
        try:
            kept = layerlr.parse(written)
        except layerlr.RuleError:
            continue
        for model, spe in zip([*every, every[0]], [*steps, 1], strict=False):
            inventory = inventory_of(model)
            assert plain(told(kept, inventory, spe)) == plain(told(layerlr.parse(written), inventory, spe))


FAULTY = [
    # The question has no answer for one of the models, or for both, at other parameters.
    ("** -> lr 1\n** where shape[1] > 2 -> lr 2", "LR108"),
    ("** -> lr 1\n** where 1 / (ndim - 1) > 0 -> lr 2", "LR108"),
    ("** -> lr 1\n**.bias where shape[1] > 2 -> lr 2\n**.weight where shape[1] > 0 -> lr 3", "LR108"),
    ("** -> lr 1\n** where shape[1] > 2 -> lr 2\na.** -> weight_decay 0", "LR108"),
    ("** -> lr 1 / (ndim - 1)", "LR108"),
    ("** -> lr 1\n**.<i>.** -> lr *= 0.5 ^ i", "LR207"),
    ("** -> lr 1\nnosuch -> lr 2", "LR201"),
    ("** -> lr 1\na.** except ** -> lr 2", "LR209"),
    ("** -> lr 1\n** -> optimizer muon(lr=0.1)", "LR208"),
    ("** -> lr 1\n** -> momentum 0.5\n**.weight -> optimizer sgd(lr=1)", "LR103"),
]


def wide(*names: str) -> Inventory:
    return inventory_of({f"{name}.weight": 2 for name in names} | {f"{name}.bias": 1 for name in names})


@pytest.mark.parametrize(("text", "code"), FAULTY)
def test_what_is_wrong_is_told_of_every_model(text: str, code: str) -> None:
    """With each model's own names: an answer from before must not hide a fault."""
    kept = layerlr.parse(text)
    ways = [wide("a", "b"), wide("c", "d"), wide("a", "b"), wide("a.0.b.1", "c.2"), wide("b")]
    found = [[(d.code, d.message) for d in kept.check(inventory)] for inventory in ways]
    fresh = [[(d.code, d.message) for d in layerlr.parse(text).check(inventory)] for inventory in ways]
    assert found == fresh
    assert any(code in {one for one, _ in each} for each in found)


def test_an_optimizer_that_a_model_has_no_use_for_is_not_in_its_plan() -> None:
    """Rules that took one up for another model do not bring it along."""
    rules = layerlr.parse("** -> lr 1e-3\n**.weight where ndim == 2 -> optimizer muon(lr=0.02)")
    both = inventory_of({"a.weight": 2, "a.bias": 1})
    one = inventory_of({"a.weight": 1, "a.bias": 1})
    assert [c.info.name for c in rules.resolve(both).optimizers] == ["adamw", "muon"]
    found = [d.code for d in rules.check(one)]
    assert "LR209" in found
    assert [c.info.name for c in rules.resolve(both).optimizers] == ["adamw", "muon"]


def test_two_clocks_do_not_mix() -> None:
    """A window that was placed on one clock is placed anew on another."""
    rules = layerlr.parse("epochs 10\n** -> lr 1e-3\nfreeze a until epoch 2")
    model = wide("a", "b")
    assert [rules.resolve(model, steps_per_epoch=n).changes() for n in (1, 7, 1, 50)] == [
        [2],
        [14],
        [2],
        [100],
    ]
    assert rules.resolve(model).changes() == [2]


def test_the_numbers_of_a_capture_are_the_models_own() -> None:
    """`last(i)` of a deep model does not stay for a shallow one."""
    rules = layerlr.parse("** -> lr 1\nblocks.<i> -> lr *= 0.5 ^ (last(i) - i)")
    rates = []
    for depth in (4, 2, 4):
        plan = rules.resolve(inventory_of({f"blocks.{i}.weight": 2 for i in range(depth)}))
        rates.append([options["lr"] for options in plan.at(epoch=0).values()])
    assert rates == [[0.125, 0.25, 0.5, 1.0], [0.5, 1.0], [0.125, 0.25, 0.5, 1.0]]


def test_rules_hold_on_to_no_model() -> None:
    """What is kept speaks of no model, so a plan that is dropped frees its inventory."""
    rules = layerlr.parse(
        "** -> lr 1\n** where ndim == 1 -> weight_decay 0\na.<i> -> lr *= 0.5 ^ i\nfreeze a.0"
    )
    inventory = Inventory.of(nn.ModuleDict({"a": nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))}))
    plan = rules.resolve(inventory)
    gone = weakref.ref(inventory)
    del inventory, plan
    gc.collect()
    assert gone() is None


def test_threads_resolve_one_file_at_the_same_time() -> None:
    """Each gets the plan of its own model."""
    rules = layerlr.parse(
        "** -> lr 1\n** where ndim == 1 -> weight_decay 0\nb<i> -> lr *= 0.5 ^ (last(i) - i)"
    )

    def ruled(n: int) -> bool:
        depth = 1 + n % 5
        model = inventory_of(
            {f"b{i}.{leaf}": ndim for i in range(depth) for leaf, ndim in (("weight", 2), ("bias", 1))}
        )
        found = rules.resolve(model).at(epoch=0)
        return all(found[f"b{i}.weight"]["lr"] == 0.5 ** (depth - 1 - i) for i in range(depth))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ruled, range(200)))


COPIES = [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
BY_ROW = """
** -> lr 1e-3 * numel
** where ndim == 1 -> weight_decay 0
blocks.<i> -> lr *= 0.5 ^ (last(i) - i)
blocks.<i> where i < last(i) -> weight_decay 0.5
/.*bias/ -> weight_decay 0.25
blocks.0 -> schedule cosine(warmup=1 epoch)
freeze blocks.0 until epoch 2
expect blocks.0 frozen at epoch 1
"""


@pytest.mark.parametrize("copied", COPIES, ids=["copy", "deepcopy", "pickle"])
def test_copied_rules_resolve_as_rules_read_anew(copied: Callable[[Any], Any]) -> None:
    """Also rules that were used: what they keep goes by identity, which a copy has not."""
    used = layerlr.parse(BY_ROW)
    small = inventory_of({f"blocks.{i}.{x}": n for i in range(2) for x, n in (("weight", 2), ("bias", 1))})
    large = inventory_of({f"blocks.{i}.{x}": n for i in range(5) for x, n in (("weight", 3), ("bias", 1))})
    told(used, small, 2)
    for inventory, spe in ((large, 2), (small, 2), (large, 1)):
        again = copied(used)
        assert plain(told(again, inventory, spe)) == plain(told(layerlr.parse(BY_ROW), inventory, spe))


@pytest.mark.parametrize("copied", COPIES, ids=["copy", "deepcopy", "pickle"])
def test_a_copied_plan_says_what_the_plan_says(copied: Callable[[Any], Any]) -> None:
    """With the numbers of its captures, which `explain` and `expect` ask for."""
    names = {f"blocks.{i}.{x}": n for i in range(3) for x, n in (("weight", 2), ("bias", 1))}
    plan = layerlr.parse(BY_ROW).resolve(inventory_of(names), 8, 2)
    again = copied(plan)
    assert again.to_json() == plan.to_json()
    assert (
        [o.failure for o in run_expectations(again)] == [o.failure for o in run_expectations(plan)] == [None]
    )
    for name in names:
        assert str(again.explain(name)) == str(plan.explain(name))
