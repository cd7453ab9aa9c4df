"""Groups within groups: bounded in depth, and asked once."""

from __future__ import annotations

import pytest
from small_models import inventory_of

import layerlr_dsl as layerlr

MODEL = inventory_of({"a.weight": 2, "b.weight": 2})


def nested(depth: int, backwards: bool = False) -> str:
    lines = ["group g0 = a", *(f"group g{n + 1} = @g{n}" for n in range(depth))]
    return "\n".join([*(reversed(lines) if backwards else lines), f"@g{depth} -> lr 2"])


@pytest.mark.parametrize("backwards", [False, True])
def test_groups_nest_a_hundred_deep(backwards: bool) -> None:
    """In whichever order they are written."""
    plan = layerlr.parse(nested(99, backwards)).resolve(MODEL)
    assert plan.at(epoch=0)["a.weight"]["lr"] == 2


@pytest.mark.parametrize("backwards", [False, True])
def test_deeper_nesting_is_one_error(backwards: bool) -> None:
    """Ten thousand groups in a chain are refused, in whichever order they are written."""
    with pytest.raises(layerlr.RuleError) as refused:
        layerlr.parse(nested(10_000, backwards))
    assert [d.code for d in refused.value.diagnostics] == ["LR007"]


@pytest.mark.parametrize("where", ["", " where ndim == 2"])
def test_groups_that_name_another_twice_are_asked_once(where: str) -> None:
    """Sixty doublings cost sixty questions and not 2^60."""
    doublings = [f"group g{n + 1} = @g{n}, @g{n}{where}" for n in range(60)]
    plan = layerlr.parse("\n".join(["group g0 = a", *doublings, "@g60 -> lr 2"])).resolve(MODEL)
    assert {name: options["lr"] for name, options in plan.at(epoch=0).items()} == {
        "a.weight": 2,
        "b.weight": 1e-3,
    }
