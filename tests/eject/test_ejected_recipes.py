"""Every recipe can be ejected, and its page has the plan's rates and frozen layers throughout."""

from __future__ import annotations

import re
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from layerlr_dsl.api import Plan, load
from layerlr_dsl.eject import ejected
from layerlr_dsl.eject.refusals import CannotEject
from layerlr_dsl.model.specs import inventory_of_spec
from layerlr_dsl.tools.resources import recipes_path

RULES = recipes_path()
FOREIGN = {"barlow_twins", "mae_linear_probe"}
"""Those whose optimizer is not torch's own."""
NAMES = sorted(path.stem for path in RULES.glob("*.lr") if path.stem not in FOREIGN)
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Models built here are remembered in a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def planned(name: str) -> Plan:
    rules = load(RULES / f"{name}.lr", RULES)
    assert rules.model is not None
    return rules.resolve(inventory_of_spec(rules.model, root=RULES))


def imported(page: str) -> ModuleType:
    made = sys.modules["page"] = ModuleType("page")
    exec(compile(page, "page.py", "exec"), made.__dict__)
    return made


def ticks_of(plan: Plan) -> list[int]:
    """All of a short run, else what lies around changes and some in between."""
    total = plan.clock.total
    assert total is not None
    around = {tick + by for tick in (0, total, *plan.changes()) for by in (-1, 0, 1)}
    spread = range(0, total, max(total // 60, 1))
    return sorted(tick for tick in around.union(spread) if 0 <= tick <= total)


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_a_recipe_with_an_optimizer_of_others_is_refused(name: str) -> None:
    """The page imports torch alone; the reason is said, with the optimizer's name."""
    with pytest.raises(CannotEject, match=r"the optimizer lars is not torch's own"):
        ejected(planned(name), "a test")


@each
def test_the_page_of_a_recipe_has_its_rates_and_its_frozen_layers(name: str) -> None:
    """Every parameter in one group, with the options that the plan gives, and frozen when it says so."""
    plan = planned(name)
    page = imported(ejected(plan, "a test"))
    one_of = {n: [g for g in page.GROUPS if g.of({n: None})] for n in plan.inventory.names}
    assert {len(groups) for groups in one_of.values()} == {1}
    of_group = {group.name: one_of[group.parameters[0]][0] for group in plan.groups}
    assert all(one_of[n] == [of_group[g.name]] for g in plan.groups for n in g.parameters)
    waits = (page.Metrics(),) if hasattr(page, "Metrics") else ()
    for tick in ticks_of(plan):
        for group in plan.groups:
            found, at = of_group[group.name], plan.held(tick)
            wanted: dict[str, Any] = dict(group.behaviour.applied(at))
            for option, value in found.at(at, *waits).items():
                assert value == pytest.approx(wanted[option], rel=1e-12), (group.name, option, tick)
            if group.planned:
                assert found.frozen(at, *waits) == group.behaviour.freeze(at).frozen, (group.name, tick)


@each
def test_the_page_of_a_recipe_is_formatted_and_needs_torch_alone(name: str) -> None:
    """`ruff format` has nothing to change, `ruff check` nothing to say, and nothing but torch is imported."""
    page = ejected(planned(name), "a test")
    ruff = [sys.executable, "-m", "ruff"]
    run = subprocess.run(
        [*ruff, "format", "--isolated", "--diff", "-"], input=page, text=True, capture_output=True
    )
    assert run.stdout == ""
    run = subprocess.run([*ruff, "check", "--isolated", "-"], input=page, text=True, capture_output=True)
    assert run.returncode == 0, run.stdout
    roots = {line.split()[1].partition(".")[0] for line in page.split("\n") if re.match("import|from", line)}
    assert roots <= {"__future__", "re", "collections", "dataclasses", "math", "typing", "torch"}


def test_the_page_of_resnet18_is_short() -> None:
    """A reviewer reads it in one sitting."""
    assert ejected(planned("resnet18"), "resnet18").count("\n") < 180
