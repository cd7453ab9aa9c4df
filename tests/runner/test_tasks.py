"""Another loss, another metric, other targets than class numbers."""

from __future__ import annotations

import json

import pytest
import torch
from tinyruns import content, run_differences, run_together, same_but_for_rounding

RULES = "optimizer adamw\nschedule cosine\n** -> lr 1e-2\n"


def _line(rules, out, *more, task="Regression"):
    line = ["train", rules, "--data", "python:tiny:angles", "--model", "python:tiny:Line"]
    line += ["--task", f"python:tiny:{task}", "--epochs", 3, "--batch-size", 10, *more]
    return [*line, *(["--out", out] if out else [])]


@pytest.fixture
def plain(rules):
    rules.write_text(RULES)
    return rules


def _rows(out, kind):
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


def test_a_regression_trains_and_is_measured_by_its_own_metric(tmp_path, plain, layerlr):
    """The metric has its column, its rows and its place in the summary; less of it is better."""
    out = tmp_path / "run"
    ran = layerlr(*_line(plain, out))
    assert ran.status == 0, ran.err
    epochs = _rows(out, "epoch")
    errors = [row["val_error"] for row in epochs]
    assert errors == sorted(errors, reverse=True)
    assert epochs[0].keys() >= {"train_error", "val_spread", "train_loss"}
    assert "accuracy" not in ran.out + json.dumps(epochs)
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["metric"], summary["best_val_error"]) == ("error", min(errors))
    assert "validation error" in ran.out
    assert sum("error" in line for line in ran.out.splitlines() if line.startswith("epoch ")) == 1


def test_figures_are_those_of_the_whole_set_whatever_the_batches(tmp_path, plain, layerlr):
    """A spread is no mean over batches: sums are added up and then made a figure of."""
    outs = [tmp_path / str(size) for size in (4, 16)]
    plain.write_text("optimizer sgd\n** -> lr 1e-12\n")
    for out, size in zip(outs, (4, 16), strict=True):
        assert layerlr(*_line(plain, out, "--batch-size", size, "--epochs", 1)).status == 0
    one, other = (_rows(out, "epoch")[0] for out in outs)
    from tiny import angles

    for name in ("val_error", "val_spread", "val_loss", "train_error"):
        assert one[name] == pytest.approx(other[name], rel=1e-5), name
    whole = angles().tensors[1]
    assert 0.7 < one["val_spread"] / float(whole.std()) < 1.4


def test_a_mean_and_a_loss_for_each_sample_are_the_same_step(tmp_path, plain, layerlr):
    """Batches of unequal size in one accumulated step included: the mean is over samples."""
    outs = [tmp_path / name for name in ("Regression", "PerSample")]
    for out in outs:
        line = _line(plain, out, "--accumulate", 3, "--batch-size", 7, task=out.name)
        assert layerlr(*line).status == 0
    one, other = (content(out)["model"] for out in outs)
    assert all(torch.allclose(value, other[name], atol=1e-6) for name, value in one.items())


def test_a_stopped_run_of_a_task_goes_on_with_the_same_bits(tmp_path, plain, layerlr, monkeypatch):
    """What was measured so far in an epoch is in the checkpoint too."""
    from layerlr_dsl.runner import loop

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert layerlr(*_line(plain, whole)).status == 0
    original = loop.Loop._step

    def until_nine(self, *arguments):
        return self._stop() if self.progress.total == 9 else original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_step", until_nine)
        assert layerlr(*_line(plain, stopped)).status == 143
    assert layerlr(*_line(plain, stopped, "--resume")).status == 0
    assert run_differences(whole, stopped) == []


def test_two_processes_measure_what_one_does(tmp_path, plain, layerlr):
    """Sums are added up over processes before they are made a figure of."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert layerlr(*_line(plain, alone)).status == 0
    assert run_together(_line(plain, together, "--parallel", "ddp"), tmp_path / "said") == [0, 0]
    for one, other in zip(_rows(alone, "epoch"), _rows(together, "epoch"), strict=True):
        for name in ("train_error", "val_error", "val_spread", "val_loss"):
            assert one[name] == pytest.approx(other[name], rel=1e-4)


def test_rules_may_wait_for_the_metric_of_a_task(tmp_path, plain, layerlr):
    """It is reported as val_NAME."""
    plain.write_text(RULES + "freeze 0 until val_error stops falling for 1 epoch by 100\n")
    ran = layerlr(*_line(plain, tmp_path / "run"))
    assert ran.status == 0, ran.err
    assert "thawed 0" in ran.out


def test_features_are_remembered_with_the_targets_of_a_task(tmp_path, plain, layerlr):
    """Targets with several columns are kept as they are; the run is that without remembering, but for rounding."""
    plain.write_text(RULES + "freeze 0\n")
    outs = [tmp_path / "computed", tmp_path / "remembered"]
    line = ["--epochs", 4]
    assert layerlr(*_line(plain, outs[0], *line)).status == 0
    ran = layerlr(*_line(plain, outs[1], *line, "--remember-features"))
    assert ran.status == 0, ran.err
    assert "remembering what 0 gives" in ran.out
    assert same_but_for_rounding(*(content(out)["model"] for out in outs))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--task", "python:tiny:Lossless"], "the task Lossless has no loss"),
        (["--task", "python:tiny:Misshapen"], "the loss has shape (2, 1), not () or (2,)"),
        (
            ["--task", "python:tiny:Unmeasured"],
            "its metric 'f1' is not among what it measures (error, spread)",
        ),
        (["--task", "python:tiny:Reserved"], "'epoch' cannot be the name of a metric"),
        (["--task", "python:tiny:Line"], "gives a Sequential, which is no task"),
        (["--task", "python:tiny:Nothing"], "there is no `Nothing` in tiny"),
        (["--task", "regression"], "python:module:Task"),
        (["--label-smoothing", "0.1"], "--label-smoothing is for classifying"),
        (["--class-weights", "balanced"], "--class-weights is for classifying"),
    ],
)
def test_a_task_that_cannot_be_used_is_a_sentence_before_any_training(
    tmp_path, plain, layerlr, more, message
):
    """Exit 2, and no folder of a run."""
    ran = layerlr(*_line(plain, tmp_path / "run", *more))
    assert ran.status == 2, ran
    assert message in " ".join(ran.err.split())
    assert not (tmp_path / "run").exists()
