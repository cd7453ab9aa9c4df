"""What `layerlr plan` says of options that move."""

from __future__ import annotations

import pytest

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0.1", "0.1"),
        ("ramp((0%, 0.04), (100%, 0.4), shape=cosine)", "0.04 to 0.4 (cosine)"),
        ("ramp((0%, 0.1), (7 steps, 1), (100%, 0))", "0.1 to 1 to 1e-5"),
        ("ramp((0%, 0), (33_333 steps, 1), (60_001 steps, 0.5), (100%, 0.9))", "0 to 1 to 0.5 to 0.9"),
        ("0.3 * cosine(warmup=10%)", "0 to 0.3 to 9.139e-11 (cosine)"),
        ("choose(progress < 0.5, 1, 0.1)", "1 to 0.1"),
        ("max(0.25, 1 - progress)", "1 to 0.25"),
        ("0.5 + 0.5 * cos(40 * pi * progress)", "1 to 1, 39 turns between 0 and 1"),
    ],
)
def test_a_value_that_moves_is_told_by_where_it_turns(resnet18: Inventory, value: str, words: str) -> None:
    """However long the run is: a peak of one step among 100,000 is seen, and levels are not."""
    rules = f"epochs 100\nsteps_per_epoch 1_000\n** -> lr 1e-3, weight_decay {value}\nfreeze fc until epoch 2"
    shown = " ".join(str(layerlr.parse(rules).resolve(resnet18)).split())
    assert f"weight_decay {words}" in shown


def test_a_window_of_its_own_is_told_and_that_of_another_is_not(resnet18: Inventory) -> None:
    """The freeze of `conv1` begins a phase of the run, and says nothing of what moves, in any of four groups."""
    rules = (
        "epochs 30\nsteps_per_epoch 10\n** -> lr 1e-3, weight_decay ramp((0%, 0.04), (100%, 0.4))\n"
        "fc -> weight_decay 0.1 until epoch 3\nfreeze conv1 until epoch 20\nfreeze statistics of layer1 until epoch 5"
    )
    shown = " ".join(str(layerlr.parse(rules).resolve(resnet18)).split())
    assert "0.1 → 0.076 to 0.3988" in shown
    assert shown.count("0.04 to 0.3988") == 3
    assert "3 to 5 11.7 M 99.9% to bn1, skips <0.1% conv1 *" in shown
