"""The folded tree answers as the inventory does."""

from __future__ import annotations

import json

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_models import Builder, mixture

from layerlr_dsl.editor.tree import Leaf, Tree
from layerlr_dsl.language.patterns import compile_pattern
from layerlr_dsl.plan.matching.automaton import Automaton
from layerlr_dsl.plan.near_misses import NearMisses

INVENTORY = mixture()
TREE = Tree.of(INVENTORY)
NAMES = [*INVENTORY.names, *(alias.name for many in INVENTORY.aliases.values() for alias in many)]
SEGMENTS = st.sampled_from(
    [
        "**",
        "*",
        "<i>",
        "<j>",
        "{0..1}",
        "?",
        "layers",
        "0",
        "2",
        "7",
        "experts",
        "drop",
        "norm",
        "weight",
        "bias",
        "*_proj",
        "up_proj",
        "upproj",
        "head",
        "embedding",
        "lay*",
        "{norm,attention}",
        "[qk]_proj",
    ]
)
PATTERNS = st.lists(SEGMENTS, min_size=1, max_size=6).map(".".join)


def covers(text: str) -> bool:
    automaton = Automaton([compile_pattern(text)])
    return any(automaton.run(name.split(".")).hits for name in NAMES)


@settings(max_examples=400, deadline=None)
@given(PATTERNS)
def test_a_pattern_covers_something_where_it_matches_some_name(text: str) -> None:
    """The same as matching every name, aliases of tied parameters included, one by one."""
    pattern = compile_pattern(text)
    assert TREE.covers(pattern) == covers(text)


@settings(max_examples=200, deadline=None)
@given(PATTERNS)
def test_near_misses_are_those_of_the_inventory(text: str) -> None:
    """What is shown while typing is what `layerlr validate` says a moment later."""
    pattern = compile_pattern(text)
    assume(not TREE.covers(pattern) and "head" not in text)
    assert TREE.near.nearest_to(text, pattern) == NearMisses(INVENTORY).nearest_to(text, pattern)


def test_like_subtrees_are_folded_into_one() -> None:
    """100 layers that are alike take no more nodes than 4, and count all the same."""
    large = Tree.of(mixture(layers=100, experts=50))
    assert len(large.nodes) == len(TREE.nodes)
    assert large.nodes[0].tensors == 2 + 1 + 100 * (4 + 2 + 50 * 4)


def test_a_different_shape_is_another_node() -> None:
    """Modules are alike only if their parameters have the same shapes."""
    b = Builder("Net")
    for number, width in enumerate((4, 4, 8)):
        b.parameter(b.module(0, str(number), "Linear"), "weight", width, width)
    tree = Tree.of(b.inventory())
    first, second, third = (child for _, child in tree.nodes[0].children)
    assert first == second != third
    assert tree.nodes[third].numel == 64


def test_the_tree_survives_json() -> None:
    """It travels from the analyst to the server."""
    assert Tree.from_json(json.loads(json.dumps(TREE.to_json()))) == TREE


def test_reached_gives_the_modules_that_a_path_names() -> None:
    """And not those below them: `layers.*` has attention, norm, drop and experts below it."""
    below = TREE.children(TREE.reached(compile_pattern("layers.*")))
    assert list(below) == ["attention", "norm", "drop", "experts"]
    assert isinstance(TREE.children(TREE.reached(compile_pattern("**.norm")))["weight"], Leaf)
