"""`layerlr import`: exit statuses, places, and files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerlr_dsl import cli
from layerlr_dsl.importers.kinds import mmengine

CONFIG = """\
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, weight_decay=1e-4),
    clip_grad=dict(max_norm=1))
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("config.py").write_text(CONFIG)


def test_the_file_is_written_and_what_is_left_out_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0; with --strict 1; and an existing file is kept."""
    assert cli.run(["import", "config.py", "-o", "my.lr"]) == 0
    told = capsys.readouterr()
    assert "warning: config.py:3: `optim_wrapper.clip_grad`" in told.err
    assert "wrote my.lr; next: layerlr plan my.lr --model SPEC" in told.out  # the source names no model
    text = Path("my.lr").read_text()
    assert "# - config.py:3: " in text
    assert cli.run(["validate", "my.lr"]) == 0
    assert cli.run(["import", "config.py", "-o", "my.lr"]) == 2
    assert cli.run(["import", "config.py", "-o", "my.lr", "--force", "--strict"]) == 1
    assert Path("my.lr").read_text() == text


def test_a_source_that_cannot_be_read_is_told_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and nothing is written."""
    Path("config.py").write_text(CONFIG.replace("lr=0.1", "lr=-1"))
    assert cli.run(["import", "config.py", "-o", "my.lr"]) == 2
    assert "config.py:2: `lr` of sgd must be" in capsys.readouterr().err
    assert not Path("my.lr").exists()
    assert cli.run(["import", "nowhere.yaml"]) == 2
    assert cli.run(["import", "config.py", "--from", "nonsense"]) == 2
    assert "there are: " in capsys.readouterr().err


def test_groups_that_differ_from_the_tools_own_are_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parameter and both values are told, status 1, and nothing is written."""
    from torch import optim

    monkeypatch.setattr(
        mmengine, "own", lambda _, model: optim.SGD(model.parameters(), lr=0.2, weight_decay=1e-4)
    )
    assert cli.run(["import", "config.py", "--model", "torchvision:resnet18", "-o", "my.lr"]) == 1
    assert "conv1.weight: lr 0.1" in capsys.readouterr().err
    assert not Path("my.lr").exists()


LIVE = """\
import torch
def make():
    model = torch.nn.Linear(2, 2)
    return model, torch.optim.SGD(model.parameters(), lr=0.5)
def lone():
    return make()[1]
def broken():
    raise RuntimeError("no data here")
"""


def test_live_optimizers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output without -o; what does not return a pair, or fails, is told in a sentence."""
    Path("live_source.py").write_text(LIVE)
    assert cli.run(["import", "--from", "torch", "python:live_source:make"]) == 0
    assert "** -> lr 0.5" in capsys.readouterr().out
    for name, message in (
        ("lone", "no model"),
        ("broken", "no data here"),
        ("missing", "there is no `missing`"),
    ):
        assert cli.run(["import", "--from", "torch", f"python:live_source:{name}"]) == 2
        assert message in capsys.readouterr().err
