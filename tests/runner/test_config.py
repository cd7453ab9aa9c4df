"""The settings of a run are checked as a whole, and kept."""

from __future__ import annotations

import json

import pytest

from layerlr_dsl.runner.config import TrainConfig, make, merged, stored, to_json
from layerlr_dsl.runner.errors import RunnerError


def test_what_is_stored_comes_back_the_same(tmp_path):
    """Paths and numbers through JSON and back."""
    config = make({"rules": tmp_path / "a.lr", "data": "digits", "epochs": 2.5, "clip": 1.0, "out": tmp_path})
    (tmp_path / "config.json").write_text(to_json(config))
    assert TrainConfig(**stored(tmp_path)) == config


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("batch_size", 0),
        ("accumulate", -1),
        ("epochs", 0),
        ("epochs", float("inf")),
        ("clip", float("nan")),
        ("validation", 1.0),
        ("seed", -1),
        ("image_size", 3),
        ("precision", "fp8"),
        ("parallel", "pipeline"),
    ],
)
def test_an_impossible_value_is_named_by_its_option(option, value):
    """As the user typed it, with dashes."""
    with pytest.raises(RunnerError, match=f"--{option.replace('_', '-')}:"):
        make({"rules": "a.lr", "data": "digits", option: value})


@pytest.mark.parametrize("option", ["rules", "root", "out"])
def test_a_name_that_the_folder_could_not_hold_is_refused(option):
    """Names that are no UTF-8, as old archives have them, would not come back from JSON."""
    with pytest.raises(RunnerError, match=f"--{option}: is no name in UTF-8"):
        make({"rules": "a.lr", "data": "digits", option: "gr\udcf6n"})


def test_settings_that_do_not_decide_the_numbers_may_change(tmp_path):
    """Another device or number of workers is told, and taken; the same value again is no change."""
    config = make({"rules": "a.lr", "data": "digits", "workers": 2})
    (tmp_path / "config.json").write_text(to_json(config))
    settings, changed = merged(tmp_path, {"workers": 4, "seed": 0, "device": "cpu"})
    assert (settings["workers"], settings["device"]) == (4, "cpu")
    assert changed == ["--workers 2 -> 4", "--device auto -> cpu"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"rules": "a"}', '{"rules": "a", "data": "d", "nonsense": 1}']
)
def test_a_configuration_that_cannot_be_read_is_a_sentence(tmp_path, text):
    """Cut, foreign, or with settings that this release does not know."""
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunnerError, match=r"config\.json cannot be read"):
        stored(tmp_path)


def test_the_file_is_json_that_others_can_read(tmp_path):
    """Keys are the options' names."""
    config = make({"rules": "a.lr", "data": "digits"})
    assert json.loads(to_json(config))["batch_size"] == 32
