"""Inventories of several models as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import layerlr
from torch import nn

from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.joining import joined
from layerlr_dsl.model.live import as_module


def tied() -> nn.Module:
    model = nn.ModuleDict(
        {"embed": nn.Embedding(4, 3), "norm": nn.BatchNorm1d(3), "head": nn.Linear(3, 4, bias=False)}
    )
    model["head"].weight = model["embed"].weight
    return model


def test_it_says_what_the_inventory_of_the_joined_modules_says() -> None:
    """Names, owners, ties, lazy parameters, depthwise convolutions and norms with statistics, all counted on."""
    parts = {
        "a": tied(),
        "b": nn.Sequential(nn.LazyLinear(2), nn.Conv1d(4, 4, 1, groups=4)),
        "c": nn.BatchNorm1d(2),
    }
    parts["c"].weight.requires_grad_(False)
    found = joined({key: Inventory.of(part) for key, part in parts.items()})
    whole = Inventory.of(as_module(parts))
    for column in (
        "names", "owners", "leaves", "shapes", "dtypes", "requires_grad", "aliases", "lazy",
        "depthwise", "statistics", "module_parents", "module_segments", "module_prefixes",
    ):  # fmt: skip
        assert getattr(found, column) == getattr(whole, column), column
    modules = range(len(whole.module_parents))
    assert [found.module_class(k) for k in modules] == [whole.module_class(k) for k in modules]


def test_what_one_part_does_not_know_is_not_known_of_the_whole() -> None:
    """An inventory of an older version says nothing of depthwise convolutions."""
    data = Inventory.of(nn.BatchNorm1d(2)).to_json()
    del data["modules"]["statistics"]  # type: ignore[misc]
    old = Inventory.from_json(data)
    assert joined({"a": Inventory.of(tied()), "b": old}).statistics is None


@pytest.fixture
def two(tmp_path: Path) -> dict[str, str]:
    """A rule file for two models and their inventories."""
    Inventory.of(nn.Linear(2, 2)).save(tmp_path / "linear.json")
    rules = tmp_path / "two.lr"
    rules.write_text("epochs 2\nunet -> lr 1e-4\ntext -> lr 1e-5\nexpect text.bias lr == 1e-5\n")
    return {"rules": str(rules), "model": str(tmp_path / "linear.json")}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["validate"], "no errors"),
        (["plan"], "4 tensors"),
        (["test"], "1 of 1 passed"),
        (["explain", "text.bias"], "1e-5"),
        (["plot"], "text"),
    ],
)
def test_commands_take_several_models_under_keys(two: dict[str, str], command: list[str], said: str) -> None:
    """--model KEY=SPEC, repeated: names begin with the key."""
    models = ["--model", f"unet={two['model']}", "--model", f"text={two['model']}"]
    result = layerlr(command[0], two["rules"], *command[1:], *models)
    assert result.status == 0, result.together
    assert said in result.out


def test_a_starting_file_and_the_tree_are_those_of_several_models(
    two: dict[str, str], tmp_path: Path
) -> None:
    """What `init` writes for them validates with the models that its comment names; `inspect` takes them as they are."""
    models = [f"unet={two['model']}", f"text={two['model']}"]
    options = [word for model in models for word in ("--model", model)]
    path = tmp_path / "start.lr"
    assert layerlr("init", *options, "--style", "layered", "-o", str(path)).status == 0
    assert " ".join(f"--model '{model}'" for model in models) in path.read_text()
    assert layerlr("validate", str(path), *options, "--strict").status == 0
    tree = layerlr("inspect", *models).out
    assert all(name in tree for name in ("├─ unet", "└─ text"))
    assert "need a key each" in layerlr("inspect", two["model"], two["model"]).err


@pytest.mark.parametrize(
    ("command", "options"),
    [("eject", []), ("train", ["--data", "digits"]), ("tune", ["--data", "digits"])],
)
def test_what_is_of_one_model_says_so(two: dict[str, str], command: str, options: list[str]) -> None:
    """A page, a run and trials are those of one model; the key is what is in the way."""
    ran = layerlr(command, two["rules"], "--model", f"unet={two['model']}", *options)
    assert ran.status == 2
    assert "only one can be given here" in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (["x.json", "y.json"], "need a key each"),
        (["a=x.json", "y.json"], "has no key"),
        (["a=x.json", "a=y.json"], "given twice"),
    ],
)
def test_models_that_cannot_be_told_apart_are_refused(
    two: dict[str, str], models: list[str], said: str
) -> None:
    """Two without keys, one without, one key twice: usage errors."""
    options = [word for model in models for word in ("--model", model)]
    result = layerlr("plan", two["rules"], *options)
    assert result.status == 2
    assert said in result.err
