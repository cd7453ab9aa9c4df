"""`count(@g)`, `count(@g, s)`, `rank(@g, s)`: where a parameter stands among the places that a group binds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import layerlr_dsl as layerlr

HEAD = "group blocks = stages.<s>.blocks.<i>\n** -> lr 1\n"
RULES = (
    HEAD
    + """stages.<s> -> weight_decay rank(@blocks, s) + count(@blocks, s) / 100
@blocks -> weight_decay rank(@blocks, s, i) + count(@blocks, s, i) / 100, eps count(@blocks)
other.<i> -> weight_decay rank(@blocks, i) + count(@blocks, i) / 100
"""
)


def staged(depths: list[int]) -> nn.Module:
    """Stages of so many blocks, each with a layer that is no block; stages of none have only that."""
    stages = [
        nn.ModuleDict({"down": nn.Linear(2, 2), "blocks": nn.ModuleList(nn.Linear(2, 2) for _ in range(n))})
        for n in depths
    ]
    others = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    return nn.ModuleDict({"stages": nn.ModuleList(stages), "other": others})


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5).filter(any))
def test_places_are_counted_through_all_stages(depths: list[int]) -> None:
    """A block by its own place, what lies between blocks by its stage, others by the captures they share."""
    now = layerlr.parse(RULES).resolve(staged(depths), epochs=1).at(epoch=0)
    blocks = [(stage, block) for stage, depth in enumerate(depths) for block in range(depth)]
    for stage, depth in enumerate(depths):
        before = len([one for one in blocks if one[0] < stage])
        assert now[f"stages.{stage}.down.weight"]["weight_decay"] == before + depth / 100
    for place, (stage, block) in enumerate(blocks):
        options = now[f"stages.{stage}.blocks.{block}.weight"]
        assert (options["weight_decay"], options["eps"]) == (place + 0.01, len(blocks))
    for i in range(3):
        wanted = [len([b for b in blocks if b[1] < i]), len([b for b in blocks if b[1] == i])]
        assert now[f"other.{i}.weight"]["weight_decay"] == wanted[0] + wanted[1] / 100


@pytest.mark.parametrize(
    ("value", "code", "place", "help"),
    [
        ("rank(@blocks)", "LR109", "rank(@blocks)", "rank(@blocks, i)"),
        ("count(@blocks.s, s)", "LR109", "@blocks.s", "count(@blocks, s)"),
        ("last(@blocks)", "LR119", "@blocks", "last(@blocks.i)"),
        ("rank(@blocks, n)", "LR119", "n", "it binds `<i>`, `<s>`"),
        ("rank(@blocks, s)", "LR101", "s", "bind one in the selector"),
        ("rank(@blocks, n + 1)", "LR101", "n + 1", "bind one in the selector"),
        ("rank(@block, n)", "LR110", "@block", "@blocks"),
    ],
)
def test_what_a_group_cannot_be_asked_is_said_at_its_place(
    value: str, code: str, place: str, help: str
) -> None:
    """Without a model, with the way out."""
    with pytest.raises(layerlr.RuleError) as caught:
        layerlr.parse(f"{HEAD}stages.<n> -> lr {value}")
    (found,) = [d for d in caught.value.diagnostics if d.severity == "error"]
    assert found.span is not None
    assert (found.code, found.span.text) == (code, place)
    assert help in str(found.help)


def test_captures_have_no_place_in_a_let() -> None:
    """A `let` is the same for every parameter."""
    with pytest.raises(layerlr.RuleError, match="needs a capture, and `s` is none"):
        layerlr.parse(f"{HEAD}let before = rank(@blocks, s)\nstages.<s> -> lr before")


def test_a_condition_may_ask_for_a_place() -> None:
    """The first three blocks of all, wherever stages begin."""
    text = f"{HEAD}@blocks where rank(@blocks, s, i) < 3 -> lr 0.5"
    now = layerlr.parse(text).resolve(staged([2, 2]), epochs=1).at(epoch=0)
    halved = [name for name, options in now.items() if name.endswith("weight") and options["lr"] == 0.5]
    assert halved == ["stages.0.blocks.0.weight", "stages.0.blocks.1.weight", "stages.1.blocks.0.weight"]
