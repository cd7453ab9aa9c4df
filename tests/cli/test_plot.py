"""`layerlr plot`: in the terminal and as files, of groups and of the network."""

from __future__ import annotations

import sys
from typing import Any
from xml.etree import ElementTree

import pytest
from harness import layerlr

TEXT = """\
model "torchvision:resnet18"
epochs 10
schedule cosine
** -> lr 1e-3
layer4, fc -> lr 1e-2
freeze conv1, bn1 until epoch 3
"""


def test_the_terminal_has_colours_unless_nobody_wants_them(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The colours of layers in a terminal; none in a pipe, and none with NO_COLOR."""
    path = write("a.lr", TEXT)
    painted = layerlr("plot", path, terminal=True)
    assert "\x1b[38;5;" in painted.out
    assert "\x1b" not in layerlr("plot", path).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in layerlr("plot", path, terminal=True).out


def test_the_network_has_a_row_for_each_block(write: Any) -> None:
    """In the order of a forward pass; `bn1` before `layer1`, though both are at the top."""
    ran = layerlr("plot", write("a.lr", TEXT), "--network")
    assert ran.status == 0
    rows = [line.split()[0] for line in ran.out.splitlines() if line.strip()]
    assert "blocks in the order of a forward pass" in ran.out
    places = [rows.index(name) for name in ("conv1", "bn1", "layer1", "layer4", "fc")]
    assert places == sorted(places)


@pytest.mark.parametrize("more", [[], ["--network"]])
def test_svg_needs_no_library(write: Any, monkeypatch: pytest.MonkeyPatch, more: list[str]) -> None:
    """And PNG says what it needs, and what can be had without."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = write("a.lr", TEXT)
    assert layerlr("plot", path, *more, "-o", "a.svg").status == 0
    assert ElementTree.parse("a.svg").getroot().get("role") == "img"
    refused = layerlr("plot", path, *more, "-o", "a.png")
    assert refused.status == 2
    assert "layerlr-dsl[plot]" in refused.err
    assert ".svg" in refused.err


def test_what_is_supposed_is_no_longer_assumed(write: Any) -> None:
    """`--event` draws the run as if the metric had spoken."""
    path = write("a.lr", TEXT + "freeze layer1 until val_loss stops falling for 2 epochs\n")
    assert "assumed: val_loss stops falling for 2 epochs never comes" in layerlr("plot", path).out
    supposed = layerlr("plot", path, "--event", "val_loss=4").out
    assert "never comes" not in supposed
    assert "at epoch 4" in supposed
    assert "which has" in layerlr("plot", path, "--event", "val_loss=400").err
