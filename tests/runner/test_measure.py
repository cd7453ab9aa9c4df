"""`layerlr plan --measure`: what a step costs in each phase, before any run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import layerlr_dsl
from layerlr_dsl.cli.render.measured import sentences
from layerlr_dsl.reports import PlanReport
from layerlr_dsl.runner.costs import Cost
from layerlr_dsl.runner.measuring import Measured, PhaseCost

RULES = "** -> lr 1e-2\nfreeze ** except head until epoch 1\nfreeze stem until epoch 2\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three phases: the head, all but the stem, everything."""
    path = tmp_path / "r.lr"
    path.write_text(RULES)
    return path


def _line(file: Path, *more: object) -> list[object]:
    line: list[object] = ["plan", file, "--model", "python:tiny:Net", "--epochs", 4, "--measure"]
    return [*line, "--image-size", 32, "--device", "cpu", *more]


def test_each_phase_is_measured_beside_a_step_with_all_thawed(layerlr, file):
    """What is frozen at the input keeps no activations; the last phase is the thawed one."""
    ran = layerlr(*_line(file, "--format", "json"))
    assert ran.status == 0, ran.err
    found = PlanReport.model_validate_json(ran.out).measured
    assert found is not None
    assert found.inputs == "8 images of 3x32x32"
    first, second, last = found.phases
    assert first.activation_bytes < second.activation_bytes / 2
    assert second.activation_bytes < last.activation_bytes == found.thawed.activation_bytes
    assert last.seconds == found.thawed.seconds
    assert first.remembered_seconds is not None
    assert second.remembered_seconds is not None
    assert last.remembered_seconds is None


def test_the_text_shows_a_row_for_each_phase_and_what_it_comes_to(layerlr, file):
    """Under the plan as it is without."""
    plain = layerlr(*_line(file)[:6]).out
    ran = layerlr(*_line(file, "--data", "digits", "--batch-size", 4))
    assert ran.status == 0, ran.err
    assert ran.out.startswith(plain.rstrip("\n"))
    told = ran.out[len(plain) :]
    assert "a step on 4 samples of digits (cpu, 1 thread; weights as built)" in told
    rows = [line.split()[:3] for line in told.splitlines() if " ms " in line]
    assert [row[:3] for row in rows] == [
        ["0", "to", "1"],
        ["1", "to", "2"],
        ["2", "to", "4"],
        ["all", "thawed", rows[-1][2]],
    ]


def _found(rules: str, *seconds: float) -> list[str]:
    plan = layerlr_dsl.parse(rules).resolve(_net(), epochs=4, steps_per_epoch=10)
    phases = tuple(PhaseCost(Cost(each, 0)) for each in seconds)
    return sentences(plan, Measured("x", "cpu", Cost(1.0, 0), phases))


def _net():
    from torch import nn

    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))


def test_freezes_that_save_nothing_are_called_that():
    """And those that do are told by what they come to over the run."""
    assert _found("** -> lr 1\nfreeze 1", 0.97) == [
        "the freezes save no time that can be measured: only layers before all that train can be skipped; behind one that trains, "
        "a freeze saves no more than the gradients of its own weights"
    ]
    assert _found("** -> lr 1\nfreeze 0 until epoch 1", 0.4, 1.0) == [
        "over the run, steps take 85% of the time with all thawed"
    ]
    assert _found("** -> lr 1", 1.0) == ["nothing is frozen, so nothing is saved"]


def test_a_language_model_gets_words(layerlr, tmp_path):
    """Its library knows no images."""
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
        architectures=["BertForSequenceClassification"],
    )
    config.save_pretrained(tmp_path / "bert")
    (tmp_path / "t.lr").write_text("** -> lr 1e-3\nfreeze bert.embeddings, bert.encoder.layer.0\n")
    line = ["plan", tmp_path / "t.lr", "--model", f"hf:{tmp_path / 'bert'}", "--measure", "--format", "json"]
    ran = layerlr(*line)
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)["measured"]
    assert found["inputs"] == "8 texts of 16 words"
    assert found["phases"][0]["activation_bytes"] < found["thawed"]["activation_bytes"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "nothing"], "unknown data 'nothing'"),
        (["--data", "python:tiny:angles"], "does not take 8 samples of python:tiny:angles"),
        (["--device", "tpu"], "no such device"),
        (["--image-size", "4"], "4 is not in the range 8<=x<=4096"),
    ],
)
def test_what_cannot_be_measured_ends_with_2(layerlr, file, more, message):
    """And a sentence."""
    ran = layerlr(*_line(file, *more))
    assert ran.status == 2
    assert message in ran.err


def test_what_is_for_measuring_alone_is_refused_without(layerlr, file, tmp_path):
    """So is measuring what cannot be run."""
    line = _line(file)
    at = line.index("--measure")
    assert "--image-size is for --measure." in layerlr(*line[:at], *line[at + 1 :]).err
    inventory = tmp_path / "net.json"
    assert layerlr("inspect", "python:tiny:Net", "-o", inventory).status == 0
    ran = layerlr("plan", file, "--model", inventory, "--epochs", 4, "--measure")
    assert ran.status == 2
    assert "is an inventory, which cannot be run" in ran.err
    both = ["--model", "a=python:tiny:Net", "--model", "b=python:tiny:Net"]
    file.write_text("** -> lr 1")
    assert "several under one plan" in layerlr("plan", file, *both, "--epochs", 4, "--measure").err


def test_why_nothing_is_remembered_is_told(layerlr, tmp_path, monkeypatch):
    """A forward that asks what its numbers are cannot be cut in two; a freeze behind what trains is said above."""
    monkeypatch.chdir(tmp_path)
    Path("turns.py").write_text(
        "from torch import nn\n\n\n"
        "class Turns(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.stem, self.head = nn.Conv2d(3, 64, 3), nn.Conv2d(64, 8, 3)\n\n"
        "    def forward(self, x):\n"
        "        x = self.stem(x)\n"
        "        return self.head(x if x.sum() > 0 else -x)\n"
    )
    (tmp_path / "t.lr").write_text("** -> lr 1e-3\nfreeze stem\n")
    line = ["plan", tmp_path / "t.lr", "--model", "python:turns:Turns", "--measure", "--image-size", 64]
    ran = layerlr(*line, "--format", "json")
    assert ran.status == 0, ran.err
    (phase,) = json.loads(ran.out)["measured"]["phases"]
    assert phase["remembered_seconds"] is None
    assert phase["not_remembered"].startswith("the way from input to output cannot be traced")
    told = " ".join(layerlr(*line).out.split())
    assert "no features remembered where the table has none: the way from input to output cannot" in told
