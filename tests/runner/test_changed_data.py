"""A run does not go on with other data than it was started with, unless it is told to."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image
from tinyruns import again, content, settings

from layerlr_dsl.runner import datasets, fingerprint
from layerlr_dsl.runner.data import Request, Wanted


@pytest.fixture
def folder(tmp_path):
    """Twelve images of two classes."""
    for index in range(12):
        home = tmp_path / "images" / "ab"[index % 2]
        home.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (index * 20, 0, 0)).save(home / f"{index:02}.png")
    return tmp_path / "images"


@pytest.fixture
def stopped(tmp_path, folder, rules, layerlr):
    """A run over them of one epoch, and the line that goes on with it."""
    rules.write_text("optimizer sgd\n** -> lr 1e-3\n")
    out = tmp_path / "run"
    line = ["train", rules, "--data", folder, "--model", "python:tiny:Two", "--epochs", 2, "--image-size", 8]
    ran = layerlr(*line, "--validation", 0.3, "--batch-size", 4, "--out", out)
    assert ran.status == 0, ran.err
    return out, ["train", "--resume", "--out", out, "--model", "python:tiny:Two", "--epochs", 3]


def _another(folder):
    Image.new("RGB", (8, 8)).save(folder / "a" / "99.png")
    return "training: 8 samples then, 9 now"


def _changed(folder):
    for path in folder.rglob("*.png"):
        Image.new("RGB", (8, 8), (1, 2, 3)).save(path)
    return "training: other samples, as a look at 8 of 8 shows"


def _renamed(folder):
    (folder / "b").rename(folder / "c")
    return "classes: 2 (a, b) then, 2 (a, c) now"


@pytest.mark.parametrize("change", [_another, _changed, _renamed])
def test_data_that_changed_since_the_stop_is_refused_and_shown(stopped, folder, layerlr, change):
    """An image more, other pixels, another class: nothing is overwritten, and it goes on when told to."""
    out, line = stopped
    told = change(folder)
    before = (out / "last.pt").read_bytes()
    ran = layerlr(*line)
    assert ran.status == 2, ran
    assert "the data is not that which the run was started with" in ran.err
    assert f"  {told}" in ran.err
    assert (out / "last.pt").read_bytes() == before
    ran = layerlr(*line, "--accept-data-changes")
    assert ran.status == 0, ran.err
    assert "going on with changed data:" in ran.out
    assert content(out)["progress"]["epoch"] == 3
    assert layerlr(*line, "--epochs", 4).status == 0


def test_the_same_data_goes_on_without_a_word(stopped, layerlr):
    """Also where its folder was touched."""
    _, line = stopped
    ran = layerlr(*line)
    assert ran.status == 0, ran.err
    assert "changed data" not in ran.out


def test_a_set_that_gives_each_sample_anew_is_known_by_its_lengths(tmp_path, rules, layerlr, monkeypatch):
    """Its samples cannot be held against those of the first start."""
    import tiny

    rules.write_text("** -> lr 1e-3\n")
    out = tmp_path / "run"
    assert layerlr(*settings(rules, out, data="restless")).status == 0
    assert content(out)["data"]["parts"]["training"] == {"count": 40, "digest": None}
    assert layerlr(*again(out, "--epochs", 4, data="restless")).status == 0
    monkeypatch.setattr(tiny.Restless, "__len__", lambda self: 41)
    assert "40 samples then, 41 now" in layerlr(*again(out, "--epochs", 5, data="restless")).err


def test_a_digest_sees_whatever_a_sample_is_made_of():
    """Mappings, arrays, texts, numbers, tensors of any kind; one changed bit in any of them."""
    import numpy

    class Fixed:
        def __init__(self, *samples):
            self.samples = samples

        def __len__(self):
            return len(self.samples)

        def __getitems__(self, keys):
            return [self.samples[at] for at, _ in keys]

    def digest(sample):
        return fingerprint._steady(Fixed(sample, sample))

    samples = [
        {"ids": torch.tensor([1, 2]), "text": "a"},
        {"ids": torch.tensor([1, 3]), "text": "a"},
        {"ids": torch.tensor([1, 2]), "text": "b"},
        (numpy.arange(3), 1),
        (numpy.arange(3).astype("float32"), 1),
        (numpy.arange(3), 2),
        torch.tensor(1.0),
        torch.tensor([1.0]),
        torch.tensor(1.0, dtype=torch.bfloat16),
        torch.zeros(0),
        [[1], 2],
        [1, [2]],
        "1",
        1,
        None,
    ]
    found = [digest(sample) for sample in samples]
    assert None not in found
    assert len(set(found)) == len(samples)


def test_digits_are_the_same_data_each_time():
    """And others under another seed, which decides the split."""
    first, same, other = (
        json.dumps(fingerprint.of(datasets.load(Request("digits", Wanted(size=8), seed=seed))))
        for seed in (0, 0, 1)
    )
    assert first == same != other
