"""Every recipe holds what it promises: it is clean, it tests itself, and it names its source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from shelf import FILES, NAMES, RULES
from shipped import FOLDER, MODELS, on_meta

from layerlr_dsl.api import read
from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.language.source import Source
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.specs import inventory_of_spec
from layerlr_dsl.plan.expect import run_expectations

WITH_MODEL = [name for name in NAMES if not name.startswith("common/")]
each = pytest.mark.parametrize("name", WITH_MODEL)


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Models built here are remembered in a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@each
def test_a_recipe_resolves_without_errors_or_warnings_and_its_expectations_hold(name: str) -> None:
    """Against the model that it names, for the run that it names, with nothing else given."""
    rules = read(RULES / f"{name}.lr", RULES)
    assert rules.model is not None
    assert rules.epochs is not None or rules.steps is not None
    inventory = inventory_of_spec(rules.model, root=RULES)
    assert [f"{d.code} {d.message}" for d in rules.check(inventory) if d.severity != "info"] == []
    plan = rules.resolve(inventory)
    # A warm-up of some percent is no whole epoch; runs that count their steps take it exactly.
    assert {d.code for d in plan.diagnostics if d.severity != "info"} <= {"LR310"}
    outcomes = run_expectations(plan)
    assert outcomes
    assert [outcome.failure.message for outcome in outcomes if outcome.failure is not None] == []


@each
def test_a_recipe_still_resolves_where_the_steps_of_an_epoch_are_known(name: str) -> None:
    """The clock that a training loop gives; what the file says of epochs means the same then."""
    rules = read(RULES / f"{name}.lr", RULES)
    assert rules.model is not None
    plan = rules.resolve(inventory_of_spec(rules.model, root=RULES), steps_per_epoch=97)
    assert [d.code for d in plan.diagnostics if d.severity != "info"] == []
    assert [outcome.failure for outcome in run_expectations(plan) if outcome.failure is not None] == []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_recipe_says_what_it_does_and_names_its_source(path: Path) -> None:
    """The comment at the top is what `layerlr recipes` and the documentation show."""
    comment = re.match(r"(#.*\n)+", path.read_text(encoding="utf-8"))
    assert comment is not None
    assert re.search(
        r"arXiv:\d{4}\.\d{4,5}|https://|\((.* )?(19|20)\d\d\b|[\w-]+/[\w.-]+, ",
        comment[0].replace("\n# ", " "),
    )


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_recipe_is_laid_out_the_one_way(path: Path) -> None:
    """As `layerlr fmt` would lay it out."""
    text = path.read_text(encoding="utf-8")
    assert format_text(Source(path.name, text, path)) == text


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_inventory_is_that_of_the_model(name: str) -> None:
    """The files are what `python tests/recipes/shipped.py` writes."""
    made, stored = Inventory.of(on_meta(MODELS[name])), Inventory.load(FOLDER / f"{name}.json")
    assert stored.names == made.names
    assert stored.shapes == made.shapes
    assert stored.requires_grad == made.requires_grad
    assert stored.aliases == made.aliases
    assert [c.name for c in stored.classes] == [c.name for c in made.classes]


def test_no_shipped_inventory_is_without_a_recipe() -> None:
    """What is shipped is used."""
    used = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
    assert [p.name for p in FOLDER.glob("*") if f'"inventories/{p.name}"' not in used] == []
