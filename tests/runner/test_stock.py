"""Runs of one process that share what is the same for all: nothing but the time they take differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tinyruns import same_but_for_rounding

from layerlr_dsl.model.specs import build
from layerlr_dsl.runner.config import make
from layerlr_dsl.runner.display import Silent
from layerlr_dsl.runner.feeds import LOOK_AT
from layerlr_dsl.runner.launch import Asked, train
from layerlr_dsl.runner.stock import Stock

SMALL = "timm:test_convnext(num_classes=3)"
HEAD = "** -> lr 1e-2\nfreeze ** except head.fc\n"
THAWING = "** -> lr 1e-2\nfreeze ** except head.fc until 50%\nfreeze stem\n"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """24 pictures in three folders, one a class."""
    from PIL import Image

    for number in range(24):
        folder = tmp_path / "photos" / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (80 * (number % 3), 10 * number, 50)).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights for all but the head."""
    torch.manual_seed(3)
    state = build(SMALL).state_dict()
    torch.save({k: v for k, v in state.items() if not k.startswith("head.fc")}, tmp_path / "w.pt")
    return tmp_path / "w.pt"


def _run(folder: Path, text: str, stock: Stock | None, **more: Any) -> dict[str, Any]:
    rules = folder / "r.lr"
    rules.write_text(text)
    settings = {
        "rules": rules,
        "model": SMALL,
        "epochs": 2.0,
        "batch_size": 5,
        "image_size": 32,
        "device": "cpu",
    }
    settings |= {"remember_features": True, "from_scratch": True, "out": None}
    result = train(Asked(make({**settings, **more}), stock=stock), Silent())
    return {key: value for key, value in result.items() if key != "seconds"}


def test_runs_that_share_score_what_runs_alone_do(tmp_path, photos, weights):
    """Whatever ran before: other rules that trained the model, other seeds with another split and head."""
    stock = Stock()
    for seed, text in ((0, HEAD), (0, THAWING), (1, HEAD), (1, THAWING), (0, THAWING), (0, HEAD)):
        more = {"data": str(photos), "weights": str(weights), "seed": seed}
        shared = _run(tmp_path, text, stock, **more)
        assert same_but_for_rounding(shared, _run(tmp_path, text, None, **more))


def test_a_second_run_reads_no_image_and_builds_no_model(tmp_path, photos, weights):
    """It could not: files and weights are gone."""
    stock = Stock()
    more = {"data": str(photos), "weights": str(weights)}
    first = _run(tmp_path, THAWING, stock, **more)
    made = stock.seconds
    assert made > 0
    for path in [weights, *photos.rglob("*.png")]:
        path.unlink()
    assert _run(tmp_path, THAWING, stock, **more) == first
    assert stock.seconds == made


def test_features_outlive_the_run_that_computed_them(tmp_path, photos, weights, monkeypatch):
    """Frozen layers run in the second run for the look at a small batch alone, whatever rate the head has."""
    rows: list[int] = []
    real = torch.nn.Conv2d.forward

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        rows.append(len(x))
        return real(self, x)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", forward)
    stock = Stock()
    more = {"data": str(photos), "weights": str(weights), "batch_size": LOOK_AT + 1}
    _run(tmp_path, HEAD, stock, **more)
    assert LOOK_AT + 1 in rows
    rows.clear()
    _run(tmp_path, HEAD.replace("1e-2", "1e-3"), stock, **more)
    assert LOOK_AT in rows
    assert max(rows) == LOOK_AT


def test_other_weights_below_the_cut_are_other_features(tmp_path, photos, weights):
    """A run that trained those layers first finds nothing of theirs."""
    stock = Stock()
    more = {"data": str(photos), "weights": str(weights)}
    late = "** -> lr 1e-2\nfreeze ** except head.fc from 50%\n"
    _run(tmp_path, HEAD, stock, **more)
    assert _run(tmp_path, late, stock, **more) == _run(tmp_path, late, None, **more)


def test_what_passes_the_memory_is_not_kept(tmp_path, photos, weights):
    """Neither features nor images, and the run is the same."""
    stock = Stock(memory=0)
    more = {"data": str(photos), "weights": str(weights)}
    assert _run(tmp_path, HEAD, stock, **more) == _run(tmp_path, HEAD, None, **more)
    for path in photos.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(Exception, match="cannot be read as an image"):
        _run(tmp_path, HEAD, stock, **more)
