"""A step that is left out changes nothing."""

from __future__ import annotations

import json

import pytest
import torch
from tinyruns import content, settings

RULES = "optimizer adamw\n** -> lr 1e-2\n"


def _buffers(state):
    return {name: value for name, value in state["model"].items() if "running" in name or "tracked" in name}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_statistics_of_norms_stay_finite_where_a_batch_was_not(tmp_path, rules, layerlr, accumulate):
    """The forward pass writes them before anyone knows the loss: they are put back with the step."""
    rules.write_text(RULES)
    line = settings(rules, tmp_path / "run", "--on-nan", "skip", "--accumulate", accumulate, data="poisoned")
    ran = layerlr(*line)
    assert ran.status == 0, ran.err
    state = content(tmp_path / "run")
    assert state["progress"]["skipped"] == 3
    assert all(torch.isfinite(value).all() for value in state["model"].values())
    batches = state["progress"]["total"] - state["progress"]["skipped"]
    counted = {int(v) for name, v in _buffers(state).items() if name.endswith("tracked")}
    assert max(counted) <= batches * accumulate


def test_the_end_tells_how_many_steps_were_left_out(rules, layerlr):
    """A run that left most of them out looks like any other else."""
    rules.write_text(RULES)
    ran = layerlr(*settings(rules, None, "--on-nan", "skip", data="poisoned"))
    assert "3 steps of 9 left out: the loss or a gradient was not a finite number" in ran.out
    assert "left out" not in layerlr(*settings(rules, None)).out


def test_outputs_that_are_no_numbers_are_no_best_epoch(tmp_path, rules, layerlr):
    """Their largest is class 0 all the same, so that they have an accuracy."""
    rules.write_text("optimizer adamw\nschedule constant(warmup=6 steps)\n** -> lr 1e30\n")
    ran = layerlr(*settings(rules, tmp_path / "run", "--on-nan", "skip"))
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert found["val_loss"] is None
    assert found["best_val_accuracy"] is None


def test_a_validation_sample_that_is_no_number_ends_the_run_and_is_named(tmp_path, rules, layerlr):
    """No epoch would have a score: with classes it would count as a wrong answer, and nobody would hear of it."""
    rules.write_text(RULES)
    line = settings(rules, tmp_path / "run", data="poisoned_validation")
    told = (
        "epoch 0: the validation loss is not a finite number; sample 17 of the validation part of "
        "python:tiny:poisoned_validation holds numbers that are not finite"
    )
    ran = layerlr(*line)
    assert ran.status == 1
    assert told in ran.err
    assert "--on-nan" not in ran.err
    ran = layerlr(*settings(rules, None, "--on-nan", "skip", data="poisoned_validation"))
    assert ran.status == 0, ran.err
    assert ran.out.count(told) == 1


def test_a_run_that_skips_is_the_run_without_the_bad_batch(tmp_path, rules, layerlr, monkeypatch):
    """Weights, statistics and optimizer state of a run whose only step is bad are those it began with."""
    rules.write_text(RULES)
    out = tmp_path / "run"
    line = settings(rules, out, "--on-nan", "skip", "--epochs", 1, "--batch-size", 30, data="poisoned")
    assert layerlr(*line).status == 0
    from layerlr_dsl.model.specs import build
    from layerlr_dsl.training.chance import seed_everything

    seed_everything(0, 0)
    fresh = build("python:tiny:Net").state_dict()
    saved = content(out)["model"]
    assert all(torch.equal(saved[name], value) for name, value in fresh.items())


def test_a_loss_that_is_no_number_leaves_the_scale_of_fp16_alone(tmp_path, rules, layerlr):
    """No scale would have made that loss finite; the search for one goes on as if nothing had come."""
    rules.write_text(RULES)
    out = tmp_path / "run"
    line = settings(rules, out, "--on-nan", "skip", "--precision", "fp16", data="poisoned")
    assert layerlr(*line, "--batch-size", 30, "--epochs", 1).status == 0
    assert content(out)["scaler"]["scale"] == 65536.0
