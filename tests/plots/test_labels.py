"""What parameters are called in a picture: layers first, and what of them as a remark."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plots.labels import Labels


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.blocks = nn.ModuleList(Block() for _ in range(6))
        self.head = nn.Linear(4, 2)
        self.token = nn.Parameter(nn.Linear(4, 1).weight.detach())


def _label(chosen: Callable[[str], bool], model: nn.Module | None = None) -> str:
    inventory = Inventory.of(model or Net())
    return Labels(inventory).of([row for row, name in enumerate(inventory.names) if chosen(name)]).whole


@pytest.mark.parametrize(
    ("chosen", "label"),
    [
        (lambda name: True, "all"),
        (lambda name: name == "token", "token"),
        (lambda name: name.startswith("stem"), "stem"),
        (lambda name: name.startswith("blocks"), "blocks"),
        (lambda name: name.startswith("blocks.3"), "blocks.3"),
        (lambda name: name.startswith(("blocks.1", "blocks.2", "blocks.3")), "blocks.{1..3}"),
        (lambda name: name.startswith(("stem", "head")), "stem, head"),
        (lambda name: name.endswith("weight") and "norm" not in name, "all (weight)"),
        (lambda name: "norm" in name, "blocks (norm)"),
        (lambda name: "blocks.2" in name and ("norm" in name or "bias" in name), "blocks.2 (bias, norm)"),
        (lambda name: name.endswith("bias"), "all (bias)"),
        (lambda name: name.startswith("blocks.2.linear"), "blocks.2.linear"),
        (lambda name: name in ("stem.weight", "blocks.0.linear.bias"), "stem.weight, blocks.0.linear.bias"),
    ],
)
def test_layers_come_first(chosen: Callable[[str], bool], label: str) -> None:
    """The outermost modules that are all there; a remark says what of them where others of theirs are not."""
    assert _label(chosen) == label


def test_what_stands_in_one_module_is_said_of_it_once() -> None:
    """All of an expert's layer but its experts needs its name once."""
    model = nn.ModuleList(
        nn.ModuleDict(
            {
                "gate": nn.Linear(2, 2),
                "norm": nn.LayerNorm(2),
                "experts": nn.ModuleList([nn.Linear(2, 2)] * 2),
            }
        )
        for _ in range(3)
    )
    assert _label(lambda name: name.startswith("1.") and "experts" not in name, model) == "1.{gate, norm}"


def test_a_label_covers_neither_more_nor_less() -> None:
    """Half of the biases of the blocks are not `blocks (bias)`."""
    assert _label(lambda name: name.endswith("linear.bias") and name < "blocks.3") == "blocks.{0..2} (bias)"


def test_adapters_are_called_by_their_kind() -> None:
    """A hundred matrices of an adapter need no hundred names."""
    model = nn.ModuleList(
        nn.ModuleDict({"q": nn.Linear(2, 2), "lora_A": nn.Linear(2, 2), "lora_B": nn.Linear(2, 2)})
        for _ in range(9)
    )
    assert _label(lambda name: "lora_B" in name, model) == "all (lora_B)"


def test_what_has_no_name_of_its_own_says_how_much_it_is() -> None:
    """With parameters from everywhere the first ones stand for all, and their number is told."""
    rows = ("0.linear.weight", "2.norm.bias", "4.linear.bias", "5.norm.weight")
    label = _label(lambda name: name.removeprefix("blocks.") in rows)
    assert label.startswith("blocks.0.linear")
    assert "and 2 more" in label
