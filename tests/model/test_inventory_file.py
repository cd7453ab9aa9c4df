"""Inventories as JSON: what is written is read again, and what is damaged or hostile is told in a sentence."""

from __future__ import annotations

import copy
import json
import os
import stat
from pathlib import Path

import jsonschema
import pytest
from architectures import MODELS, TiedHead, plain
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from layerlr_dsl.model import Inventory, ModelError, inventory_file
from layerlr_dsl.model.schema import inventory_schema


def stored() -> dict:
    return json.loads(
        json.dumps(Inventory.of(nn.Sequential(TiedHead(), plain(), nn.LazyLinear(2))).to_json())
    )


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_what_is_saved_is_loaded_again(make, tmp_path):
    """Every column, alias and class survives the way through a file."""
    inventory = Inventory.of(make())
    inventory.save(tmp_path / "model.json")
    loaded = Inventory.load(tmp_path / "model.json")
    for column in vars(inventory):
        assert getattr(loaded, column) == getattr(inventory, column), column


def test_json_data_round_trips():
    """from_json takes what to_json gives."""
    inventory = Inventory.of(TiedHead())
    assert Inventory.from_json(inventory.to_json()).to_json() == inventory.to_json()


def test_the_published_schema_accepts_what_is_written_and_refuses_what_is_not():
    """The JSON Schema is a true description of the file."""
    schema = inventory_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    data = stored()
    validator.validate(data)
    for damage in ({"version": 2}, {"extra": 1}, {"modules": []}):
        assert not validator.is_valid({**data, **damage})


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path):
    """Saving over a file leaves no temporary file, follows links and keeps the mode."""
    target = tmp_path / "model.json"
    target.write_text("old")
    target.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(target)
    Inventory.of(plain()).save(link)
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.json", "model.json"]
    assert Inventory.load(target).names == Inventory.of(plain()).names


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    """No traceback from the operating system."""
    with pytest.raises(ModelError, match="cannot be written"):
        Inventory.of(plain()).save(tmp_path / "missing" / "model.json")


def change(path: str, value: object):
    """The stored inventory with one place changed."""

    def changed() -> dict:
        data = stored()
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("/"))
        place = data
        for part in parents:
            place = place[part]
        place[last] = value
        return data

    return changed


HOSTILE = {
    "no object": list,
    "another version": change("version", 2),
    "version as text": change("version", "1"),
    "source of 10 MB": change("source", "x" * 10_000_000),
    "segment of 10 MB": change("modules/segments/1", "x" * 10_000_000),
    "unknown key": change("weights", "hub"),
    "parent out of range": change("modules/parents/2", 999),
    "a parent that is itself": change("modules/parents/2", 2),
    "a parent that comes later": change("modules/parents/2", 3),
    "a cycle through the root": change("modules/parents/0", 1),
    "two roots": change("modules/parents/3", -1),
    "negative parent": change("modules/parents/3", -5),
    "parents that are no pre-order": change("modules/parents/8", 2),
    "boolean as a row": change("modules/parents/3", True),
    "a root with a name": change("modules/segments/0", "root"),
    "a module without a name": change("modules/segments/2", ""),
    "a dot in a segment": change("modules/segments/2", "a.b"),
    "two modules of one name": change("modules/segments/3", "embedding"),
    "columns of two lengths": change("modules/classes", [0]),
    "no modules": change("modules", {"parents": [], "segments": [], "classes": []}),
    "class out of range": change("modules/classes/1", 99),
    "negative class": change("modules/classes/1", -1),
    "unknown family": change("classes/0/families", ["evil"]),
    "owner out of range": change("parameters/owners/8", 10**6),
    "huge owner": change("parameters/owners/8", 10**40),
    "owners that go back": change("parameters/owners/8", 1),
    "fractional owner": change("parameters/owners/0", 1.5),
    "two parameters of one name": change("parameters/leaves/2", "weight"),
    "a leaf without a name": change("parameters/leaves/0", ""),
    "a dot in a leaf": change("parameters/leaves/0", "a.b"),
    "negative size": change("parameters/shapes/0", [-1, 4]),
    "huge size": change("parameters/shapes/0", [10**30]),
    "size as text": change("parameters/shapes/0", ["4"]),
    "a thousand dimensions": change("parameters/shapes/0", [1] * 1000),
    "a dtype that is none": change("parameters/dtypes/0", "float32\x1b[31m"),
    "a flag that is a number": change("parameters/requires_grad/0", 1),
    "a lazy row out of range": change("parameters/lazy", [10**6]),
    "a lazy row with a shape": change("parameters/lazy", [0]),
    "an alias of nothing": change("aliases/0/parameter", 10**6),
    "an alias owned by nothing": change("aliases/0/owner", 10**6),
    "an alias with the name of another": change("aliases/0", {"parameter": 0, "owner": 3, "leaf": "bias"}),
    "a missing column": change("parameters", {"owners": []}),
    "null": lambda: None,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_an_inventory_that_cannot_be_is_refused_in_one_short_line(make, tmp_path):
    """Whatever stands in the file, the answer is a ModelError fit to be printed."""
    path = tmp_path / "model.json"
    path.write_text(json.dumps(make()))
    with pytest.raises(ModelError) as caught:
        Inventory.load(path)
    assert len(caught.value.message) < 700
    assert caught.value.message.isprintable()
    assert "is not an inventory" in caught.value.message
    assert caught.value.__suppress_context__


BROKEN = {
    "empty": b"",
    "not JSON": b"version 1",
    "not UTF-8": b"\xff\xfe\x00{",
    "NUL": b"\x00" * 100,
    "a lone surrogate": b'{"version": 1, "source": "\\ud800"}',
    "deep": b"[" * 1_000_000,
    "a number of a million digits": b'{"version": ' + b"9" * 1_000_000 + b"}",
    "NaN": b'{"version": NaN}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_is_no_json_is_refused(content, tmp_path):
    """Damaged bytes never reach the columns."""
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not an inventory"):
        Inventory.load(path)


def test_every_truncation_is_refused():
    """A file that was cut short anywhere is never taken for a smaller model."""
    content = inventory_file.dumps(Inventory.of(plain()))
    for end in range(0, len(content), 7):
        with pytest.raises(ModelError):
            inventory_file.loads(content[:end], Inventory)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_change_of_one_value_leads_to_anything_but_an_inventory_or_a_model_error(data):
    """Either the changed file is a consistent inventory, or it is refused: nothing else is ever raised."""
    changed = copy.deepcopy(STORED)
    place: object = changed
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))  # type: ignore[arg-type]
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        inner = place[key]  # type: ignore[index]
        if not isinstance(inner, (dict, list)) or data.draw(st.booleans()):
            place[key] = data.draw(JUNK)  # type: ignore[index]
            break
        place = inner
    try:
        inventory = Inventory.from_json(changed)
    except ModelError:
        return
    assert len(inventory.index_of) == len(inventory.names) + sum(map(len, inventory.aliases.values()))
    assert len(inventory.attention_modules) == len(inventory.module_parents)
    assert inventory.total_numel >= 0


STORED = stored()
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 30) | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


def test_files_that_are_none_are_refused(tmp_path):
    """A folder, a missing file, a device and a pipe that nobody writes to."""
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    for path in (tmp_path, tmp_path / "missing.json", Path("/dev/zero"), pipe, Path("a\0b.json")):
        with pytest.raises(ModelError):
            Inventory.load(path)


def test_a_file_over_the_limit_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    """The size is capped."""
    monkeypatch.setattr(inventory_file, "LARGEST_FILE", 1000)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(STORED))
    with pytest.raises(ModelError, match="larger than"):
        Inventory.load(path)


def test_names_that_add_up_to_gigabytes_are_refused():
    """A small file can spell names that do not fit in memory: a long chain of long segments."""
    count = 1000
    data = {
        "version": 1,
        "source": "",
        "modules": {
            "parents": list(range(-1, count - 1)),
            "segments": ["", *["x" * 900] * (count - 1)],
            "classes": [0] * count,
        },
        "classes": [{"name": "A", "qualified": "A", "bases": [], "families": []}],
        "parameters": {
            "owners": [],
            "leaves": [],
            "shapes": [],
            "dtypes": [],
            "requires_grad": [],
            "lazy": [],
        },
        "aliases": [],
    }
    with pytest.raises(ModelError, match="names are too long"):
        Inventory.from_json(data)


def test_a_hundred_thousand_aliases_of_one_parameter_load_in_linear_time():
    """Aliases are gathered, not added to a tuple one by one."""
    data = copy.deepcopy(STORED)
    data["aliases"] = [{"parameter": 0, "owner": 2, "leaf": f"w{n}"} for n in range(100_000)]
    assert len(Inventory.from_json(data).aliases[0]) == 100_000
