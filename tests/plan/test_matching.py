"""Parameters in classes that a file cannot tell apart: none too few, and nothing goes by identity."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_models import inventory_of
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.language.vocabulary import ATTRIBUTE_WORDS, ATTRIBUTES, FAMILIES
from layerlr_dsl.model.classes import ModuleClass
from layerlr_dsl.model.inventory import Alias, Inventory
from layerlr_dsl.plan.expect import run_expectations
from layerlr_dsl.plan.matching import Compiled, Decider, Matches, Row, match
from layerlr_dsl.plan.matching.attributes import Column, attribute, columns_of

ASKED = [
    *(word.name for word in ATTRIBUTE_WORDS if word.kind != "class"),
    *(f"module is {word}" for word in (*FAMILIES, "Linear", "Base", "torch.nn.Linear")),
]
BY_KIND = {"number": "{} > 1", "text": '{} == "weight"', "truth": "{}"}
QUESTIONS = {
    **{word.name: BY_KIND[word.kind].format(word.name) for word in ATTRIBUTE_WORDS if word.kind in BY_KIND},
    "path": "path matches /a.*/",
    "depth": "depth > 2",
    "shape": "ndim > 1 and shape[1] > 2",
    "dtype": "dtype is float16",
    "index": "index mod 2 == 0",
    **{asked: f'module is "{asked[10:]}"' for asked in ASKED if asked.startswith("module is ")},
}
KINDS = [
    ModuleClass("Linear", "torch.nn.Linear", ("Base",), frozenset({"linear"})),
    ModuleClass("Attention", "b.Attention", ("Base",), frozenset({"attention"})),
    ModuleClass("Norm", "b.Norm", (), frozenset({"norm"})),
    ModuleClass("Conv", "b.Conv", ("Base", "BaseTunerLayer"), frozenset({"conv"})),
    ModuleClass("Embedding", "b.Embedding", (), frozenset({"embedding"})),
]


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    """Small trees whose parameters differ in anything that can be asked."""
    parents, segments, prefixes = [-1], [""], [""]

    def below(parent: int, depth: int) -> None:
        most = 3 if depth < 3 else 0
        for segment in draw(st.lists(st.sampled_from("abc"), max_size=most, unique=True)):
            row = len(parents)
            parents.append(parent)
            segments.append(segment)
            prefixes.append(f"{prefixes[parent]}{segment}.")
            below(row, depth + 1)

    below(0, 0)
    modules = len(parents)
    owned = [draw(st.lists(st.sampled_from(["weight", "bias"]), max_size=2, unique=True)) for _ in parents]
    owners = [row for row, leaves in enumerate(owned) for _ in leaves]
    leaves = [leaf for own in owned for leaf in own]
    size = len(owners)

    def each(values: Any, count: int) -> Any:
        return draw(st.lists(st.sampled_from(values), min_size=count, max_size=count))

    shapes = each([(), (1,), (4,), (2, 3), (3, 2), (3, 3), (2, 2, 2)], size)
    lazy = frozenset(row for row, one in enumerate(each([False, False, True], size)) if one)
    tied = [row for row, one in enumerate(each([False, False, True], size)) if one]
    aliases = {}
    for row in tied:
        owner = draw(st.integers(0, modules - 1))
        aliases[row] = (Alias(f"{prefixes[owner]}again{row}", owner, f"again{row}"),)
    return Inventory(
        "generated",
        parents,
        segments,
        prefixes,
        each(range(len(KINDS)), modules),
        KINDS,
        [prefixes[owner] + leaf for owner, leaf in zip(owners, leaves, strict=True)],
        owners,
        leaves,
        [() if row in lazy else shape for row, shape in enumerate(shapes)],
        each(["float32", "float16"], size),
        each([True, True, False], size),
        aliases,
        lazy,
        depthwise=frozenset(row for row, one in enumerate(each([False, True], modules)) if one),
    )


def rows_of(inventory: Inventory) -> list[Row]:
    columns = zip(inventory.names, inventory.owners, inventory.leaves, strict=True)
    own = [Row(inventory, n, name, owner, leaf) for n, (name, owner, leaf) in enumerate(columns)]
    ties = [
        Row(inventory, n, alias.name, alias.owner, alias.leaf)
        for n, others in sorted(inventory.aliases.items())
        for alias in others
    ]
    return own + ties


def matched(text: str, inventory: Inventory) -> tuple[Matches, Decider]:
    compiled = Compiled(layerlr.parse(text).checked)
    matches = match(compiled, inventory)
    return matches, Decider(compiled, matches)


# ---------------------------------------------------------------- the table of attributes


def test_every_word_of_the_language_is_read_off_the_model_and_nothing_else_is() -> None:
    """A word without a reader, or without a column to tell parameters apart by, is no row of the table."""
    words = {*ATTRIBUTES, *(f"module is {family}" for family in FAMILIES)} - {"module"}
    from layerlr_dsl.plan.matching import attributes

    assert attributes.READERS.keys() == words
    assert [word for word in words if not attribute(word).columns] == []


@settings(max_examples=100, deadline=None)
@given(inventories())
def test_what_attributes_are_read_from_is_the_same_where_the_keys_are(inventory: Inventory) -> None:
    """Of each column, what a row is told never differs between rows that the whole column does not tell apart."""
    rows = rows_of(inventory)[: len(inventory)]
    for column in columns_of(ASKED):
        told = dict(zip(_keys(column, inventory), map(column.one, rows), strict=True))
        for key, row in zip(_keys(column, inventory), rows, strict=True):
            assert told[key] == column.one(row)


def _keys(column: Column, inventory: Inventory) -> list[Any]:
    whole = column.whole(inventory)
    if whole is None:
        return [None] * len(inventory)
    whole = list(whole)
    return whole if column.by == "parameter" else [whole[owner] for owner in inventory.owners]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(inventories(), st.lists(st.sampled_from(ASKED), min_size=1, max_size=3))
def test_parameters_of_one_class_give_the_same_answers(inventory: Inventory, asked: list[str]) -> None:
    """Whatever a file asks, each parameter is told what it would be told alone, by each of its names."""
    text = "\n".join(f"** where {QUESTIONS[one]} -> lr 1" for one in asked)
    matches, _ = matched(text, inventory)
    for row, number in zip(rows_of(inventory), matches.class_of, strict=True):
        kind = matches.classes[number]
        assert kind.projection(tuple(asked)) == row.projection(tuple(asked))
        assert kind.came_frozen is not inventory.requires_grad[row.parameter]
        assert kind.adapted_base is (row.parameter in inventory.adapted_base)


def test_what_came_frozen_is_in_classes_of_its_own_also_where_nothing_is_asked() -> None:
    """And only where the model has any: else one class would do."""
    model = inventory_of({"a.weight": 2, "a.bias": 1})
    matches, _ = matched("** -> lr 1", model)
    assert [(kind.count, kind.came_frozen) for kind in matches.classes] == [(2, False)]
    model.requires_grad[1] = False
    matches, _ = matched("** -> lr 1", model)
    assert [(kind.count, kind.came_frozen) for kind in matches.classes] == [(1, False), (1, True)]


def test_each_selector_and_each_setting_has_a_number_of_its_own() -> None:
    """Groups, rules, sequences and expectations alike."""
    rules = layerlr.parse(
        "group g = a, b\ngroup h = @g where ndim > 1\nlet x = 2\n** -> lr 1, weight_decay 0\n"
        "@h -> optimizer sgd(lr=1, momentum=0.5)\nunfreeze a then b every 2 epochs\nexpect a lr == 1"
    ).checked
    selectors = [
        *rules.groups.values(),
        *(x for c in rules.clauses for x in c.selectors),
        *(e.selector for e in rules.expectations if e.selector),
    ]
    assert len({selector.number for selector in selectors}) == len(selectors) == 7
    written = [x for c in rules.clauses for x in c.settings]
    assert len({x.number for x in written}) == len(written) == 5


# ---------------------------------------------------------------- modules without parameters


class Net(nn.Sequential):
    def __init__(self) -> None:
        inner = nn.Sequential(nn.Dropout(), nn.ReLU())
        super().__init__(
            nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2, affine=False), inner, nn.LayerNorm(2)
        )


def held(text: str) -> list[str]:
    """The modules without parameters that freezes of a file cover."""
    inventory = Inventory.of(Net())
    matches, decider = matched(f"** -> lr 1\n{text}", inventory)
    freezing = [any(one.clause > 0 for one in decider.clauses_of(kind)) for kind in matches.module_classes]
    rows = zip(matches.module_rows, matches.module_class_of, strict=True)
    return [row.name for row, number in rows if freezing[number]]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("1", ["1"]),
        ("3", ["3", "3.0", "3.1"]),
        ("**", ["1", "2", "3", "3.0", "3.1"]),
        ("** except 3", ["1", "2"]),
        ("*.0", ["3.0"]),
        ("**.weight", []),
        (r"/3\..*/", ["3.0", "3.1"]),
        ("** where module is norm", ["2"]),
        ("** where ndim <= 1 or module is norm", ["2"]),
        ("** where module is norm or ndim <= 1", ["2"]),
        ("** where not ndim > 1", []),
        ('** where name == "weight" or depth == 2', ["3.0", "3.1"]),
        ("<i> where i > 1", ["2", "3", "3.0", "3.1"]),
    ],
)
def test_a_freeze_covers_modules_without_parameters(selector: str, names: list[str]) -> None:
    """By their names, classes and captures; a question about a tensor keeps them out."""
    assert held(f"freeze {selector}") == names


def test_rules_have_no_use_for_modules_without_parameters() -> None:
    """Nothing of them is looked at where a file freezes nothing."""
    matches, _ = matched("** -> lr 1", Inventory.of(Net()))
    assert (matches.module_rows, matches.module_classes) == ([], [])


@pytest.mark.parametrize(
    "text",
    ["freeze 1", "freeze 1, 3.0", "group d = 1\nfreeze @d", "freeze ** except 0, 4", "freeze /3[.].*/"],
)
def test_a_freeze_of_what_has_no_parameters_matches_something(text: str) -> None:
    """A dropout that is to stay in eval is no slip of the pen."""
    found = layerlr.parse(f"** -> lr 1\n{text}").check(Net())
    assert [(d.code, d.message) for d in found] == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("1 -> lr 1", "1"),
        ("expect 1 trains", "1"),
        ("group d = 1\nfreeze @d\n@d -> lr 2", "@d"),
        ("freeze 1, 7", "7"),
        ("freeze 1.x", "1.x"),
    ],
)
def test_what_only_parameters_can_have_is_not_given_to_a_dropout(text: str, place: str) -> None:
    """A rate for a module without parameters is one, and so is a name that is not there."""
    rules = layerlr.parse(f"** -> lr 1\n{text}")
    found = [d for d in rules.check(Net()) if d.code == "LR201"]
    assert [d.message for d in found] == [f"`{place}` matches no parameter"]
    assert found[0].span is not None
    assert found[0].span.text == place


# ---------------------------------------------------------------- copies

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


def blocks(count: int) -> Inventory:
    leaves = (("weight", 2), ("bias", 1))
    return inventory_of({f"blocks.{i}.{leaf}": ndim for i in range(count) for leaf, ndim in leaves})


@pytest.mark.parametrize("copied", COPIES, ids=["copy", "deepcopy", "pickle"])
def test_copied_rules_resolve_as_rules_read_anew(copied: Callable[[Any], Any]) -> None:
    """Also after they were used, on another model and another clock."""
    used = layerlr.parse(BY_ROW)
    used.resolve(blocks(2), 8, 2)
    again = copied(used)
    for count, steps in ((5, 2), (2, 1)):
        fresh = layerlr.parse(BY_ROW).resolve(blocks(count), 8, steps)
        assert again.resolve(blocks(count), 8, steps).to_json() == fresh.to_json()


@pytest.mark.parametrize("copied", COPIES, ids=["copy", "deepcopy", "pickle"])
def test_a_copied_plan_says_what_the_plan_says(copied: Callable[[Any], Any]) -> None:
    """With what its captures are bound to, which `explain` and `expect` ask for."""
    plan = layerlr.parse(BY_ROW).resolve(blocks(3), 8, 2)
    again = copied(plan)
    assert again.to_json() == plan.to_json()
    assert (
        [o.failure for o in run_expectations(again)] == [o.failure for o in run_expectations(plan)] == [None]
    )
    for name in plan.inventory.names:
        assert str(again.explain(name)) == str(plan.explain(name))


def test_rules_hold_on_to_no_model() -> None:
    """A plan that is dropped frees its inventory."""
    rules = layerlr.parse(BY_ROW)
    inventory = blocks(2)
    plan = rules.resolve(inventory, 8, 2)
    gone = weakref.ref(inventory)
    del inventory, plan
    gc.collect()
    assert gone() is None
