"""How a run ends: early where nothing gets better, with one test of the best weights."""

from __future__ import annotations

import json

import pytest
import torch
from tinyruns import again, content, run_differences, run_together, settings


def _summary(out):
    return json.loads((out / "summary.json").read_text())


def _expected(out, name="best.pt"):
    """Accuracy and loss on the test part of `python:tiny:named`, computed by hand from a checkpoint."""
    from tiny import Net, named

    net = Net()
    net.load_state_dict(content(out, name)["model"])
    images, labels = named()[2].tensors
    with torch.no_grad():
        scores = net.eval()(images)
    right = (scores.argmax(1) == labels).float().mean()
    return float(right), float(torch.nn.functional.cross_entropy(scores, labels))


def test_the_test_part_is_scored_once_with_the_best_weights(tmp_path, rules, layerlr):
    """Not with the last ones; in the summary and on the last lines, and nowhere among the epochs."""
    out = tmp_path / "run"
    ran = layerlr(*settings(rules, out, "--epochs", 5, data="named"))
    assert ran.status == 0, ran.err
    summary = _summary(out)
    accuracy, loss = _expected(out)
    assert summary["test_epoch"] == summary["best_epoch"]
    assert summary["test_accuracy"] == pytest.approx(accuracy)
    assert summary["test_loss"] == pytest.approx(loss, rel=1e-5)
    assert f"test accuracy {accuracy:.2%} on 21 samples, weights of epoch {summary['best_epoch']}" in ran.out
    assert "60 + 18 + 21 samples" in ran.out
    assert "test" not in (out / "metrics.jsonl").read_text()


def test_without_a_folder_the_last_weights_are_tested(rules, layerlr):
    """No others are there."""
    ran = layerlr(*settings(rules, None, data="named"))
    assert ran.status == 0, ran.err
    assert "on 21 samples, weights of epoch 2" in ran.out


def test_where_the_best_checkpoint_is_damaged_the_last_weights_are_tested(tmp_path, rules, layerlr):
    """It is said, and the run is not lost for it."""
    out = tmp_path / "run"
    rules.write_text("optimizer sgd\n** -> lr 1e-12\n")
    assert layerlr(*settings(rules, out, data="named")).status == 0
    assert _summary(out)["best_epoch"] == 0
    (out / "best.pt").write_bytes(b"PK")
    ran = layerlr(*again(out, data="named"))
    assert ran.status == 0, ran.err
    assert "best.pt is damaged" in ran.out
    assert _summary(out)["test_epoch"] == 2


def test_several_processes_test_the_same_weights(tmp_path, rules, layerlr):
    """Each scores its share of the test part."""
    out = tmp_path / "run"
    assert run_together(settings(rules, out, "--parallel", "ddp", data="named"), tmp_path / "said") == [0, 0]
    assert _summary(out)["test_accuracy"] == pytest.approx(_expected(out)[0])


def test_a_run_without_a_test_part_says_nothing_of_one(tmp_path, rules, layerlr):
    """Two sets are training and validation."""
    out = tmp_path / "run"
    ran = layerlr(*settings(rules, out))
    assert "\ntest " not in ran.out
    assert not [key for key in _summary(out) if key.startswith("test")]


# ---------------------------------------------------------------- early stop


@pytest.fixture
def still(rules):
    """Rules under which nothing gets better: the first epoch stays the best."""
    rules.write_text("optimizer sgd\n** -> lr 1e-12\nfreeze stem until epoch 8\n")
    return rules


def test_a_run_that_gets_no_better_stops_and_says_what_it_left_out(tmp_path, still, layerlr):
    """After the patience that it was given; a thaw that was to come is named."""
    out = tmp_path / "run"
    ran = layerlr(*settings(still, out, "--epochs", 10, "--early-stop", 2))
    assert ran.status == 0, ran.err
    assert content(out)["progress"]["epoch"] == 3
    assert "stopped early after epoch 2: val_accuracy was best in epoch 0" in ran.out
    assert "the rules had a change to come at epoch 8" in ran.out
    assert (_summary(out)["epochs"], _summary(out)["best_epoch"]) == (3, 0)


def test_a_run_that_stopped_early_goes_on_when_it_is_given_more_patience(tmp_path, still, layerlr):
    """Resumed as it was it is over at once; what it becomes then is the run that never stopped."""
    out, whole = tmp_path / "run", tmp_path / "whole"
    line = settings(still, out, "--epochs", 5, "--early-stop", 2)
    assert layerlr(*line).status == 0
    before = (out / "metrics.jsonl").read_bytes()
    ran = layerlr(*again(out))
    assert ran.status == 0
    assert "stopped early after epoch 2" in ran.out
    assert (out / "metrics.jsonl").read_bytes() == before
    ran = layerlr(*again(out, "--early-stop", 9))
    assert "--early-stop 2 -> 9" in ran.out
    assert layerlr(*settings(still, whole, "--epochs", 5)).status == 0
    assert run_differences(whole, out) == []


def test_a_run_that_gets_better_runs_to_its_end(tmp_path, rules, layerlr):
    """Patience counts from the last better epoch, not from the start."""
    out = tmp_path / "run"
    assert layerlr(*settings(rules, out, "--epochs", 4, "--early-stop", 4)).status == 0
    assert content(out)["progress"]["epoch"] == 4


@pytest.mark.parametrize("patience", [0, -1])
def test_no_patience_at_all_is_refused(rules, layerlr, patience):
    """Zero epochs would end every run at once."""
    ran = layerlr(*settings(rules, None, "--early-stop", patience))
    assert ran.status == 2
    assert "--early-stop" in ran.err
