"""The inventory of a live model: names, order, owners, ties."""

from __future__ import annotations

import pytest
import torch
from architectures import MODELS, FunnyAttention, SharedBlock, TiedHead, WithAttention, plain
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from layerlr_dsl.model import Inventory, ModelError
from layerlr_dsl.model.live import named_modules, named_parameters, unwrap

every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


@every_model
def test_names_are_those_of_named_parameters_in_their_order(make):
    """Row k of an inventory is the k-th of the model's own named_parameters()."""
    model = make()
    inventory = Inventory.of(model)
    own = list(model.named_parameters())
    assert inventory.names == [name for name, _ in own]
    assert inventory.shapes == [tuple(parameter.shape) for _, parameter in own]
    assert inventory.requires_grad == [parameter.requires_grad for _, parameter in own]
    assert len(inventory) == len(own)


@every_model
def test_live_names_are_the_inventorys_names_with_every_alias(make):
    """named_parameters(model) has exactly the names and aliases of the inventory, bound to the same object."""
    model = make()
    inventory = Inventory.of(model)
    live = named_parameters(model)
    assert set(live) == set(inventory.index_of)
    for row, name in enumerate(inventory.names):
        assert tuple(live[name].shape) == inventory.shapes[row]
        for alias in inventory.aliases.get(row, ()):
            assert live[alias.name] is live[name]


@every_model
def test_the_module_tree_is_a_pre_order_whose_names_lead_to_the_modules(make):
    """Parents come first, subtrees are contiguous, and get_submodule finds each module by its name."""
    model = make()
    inventory = Inventory.of(model)
    modules = named_modules(model)
    assert inventory.module_parents[0] == -1
    around: list[int] = []
    for row, parent in enumerate(inventory.module_parents):
        while around and around[-1] != parent:
            around.pop()
        assert around or row == 0
        around.append(row)
        name = inventory.module_name(row)
        assert name.rpartition(".")[2] == inventory.module_segments[row]
        assert modules[name] is model.get_submodule(name)
        assert inventory.module_class(row).name == type(modules[name]).__name__
    assert inventory.owners == sorted(inventory.owners)


@every_model
def test_a_name_is_its_owners_name_and_its_leaf(make):
    """Owner and leaf spell the dotted name, for aliases too."""
    inventory = Inventory.of(make())
    for name, owner, leaf in zip(inventory.names, inventory.owners, inventory.leaves, strict=True):
        assert name == inventory.module_prefixes[owner] + leaf
    for aliases in inventory.aliases.values():
        for alias in aliases:
            assert alias.name == inventory.module_prefixes[alias.owner] + alias.leaf


def test_a_tied_parameter_stands_at_its_first_name_and_keeps_the_others():
    """The decoder's weight is one parameter with two names."""
    inventory = Inventory.of(TiedHead())
    row = inventory.names.index("embedding.weight")
    assert "decoder.weight" not in inventory.names
    (alias,) = inventory.aliases[row]
    assert (alias.name, alias.leaf) == ("decoder.weight", "weight")
    assert inventory.module_class(alias.owner).name == "Linear"
    assert inventory.owner_class(row).name == "Embedding"
    assert inventory.index_of["decoder.weight"] == row
    assert inventory.total_numel == sum(p.numel() for p in TiedHead().parameters())


def test_columns_stay_aligned_behind_a_tie():
    """What comes after a tied parameter keeps its own shape and owner."""
    inventory = Inventory.of(TiedHead())
    row = inventory.names.index("decoder.bias")
    assert inventory.shapes[row] == (10,)
    assert inventory.module_name(inventory.owners[row]) == "decoder"
    columns = (
        inventory.owners,
        inventory.leaves,
        inventory.shapes,
        inventory.dtypes,
        inventory.requires_grad,
    )
    assert {len(column) for column in columns} == {len(inventory.names)}


def test_a_shared_module_stands_at_each_of_its_places():
    """A block reached by two names gives modules at both and aliases for all of its parameters."""
    inventory = Inventory.of(SharedBlock())
    names = [inventory.module_name(row) for row in range(len(inventory.module_parents))]
    assert names == ["", "first", "first.0", "first.1", "between", "second", "second.0", "second.1"]
    aliases = [alias.name for row in sorted(inventory.aliases) for alias in inventory.aliases[row]]
    assert aliases == ["second.0.weight", "second.0.bias", "second.1.weight", "second.1.bias"]


def test_frozen_parameters_and_dtypes_are_seen():
    """requires_grad and dtype are those of each parameter."""
    model = plain()
    model[0].bias.requires_grad_(False)
    model[2][0].to(torch.bfloat16)
    inventory = Inventory.of(model)
    flags = dict(zip(inventory.names, inventory.requires_grad, strict=True))
    assert [name for name, flag in flags.items() if not flag] == ["0.bias"]
    assert dict(zip(inventory.names, inventory.dtypes, strict=True))["2.0.weight"] == "bfloat16"
    assert inventory.dtypes[0] == "float32"


def test_lazy_modules_have_no_shape_and_no_exception():
    """A lazy module's parameters are listed as such until the first forward makes them."""
    model = nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(3), nn.LazyBatchNorm1d())
    inventory = Inventory.of(model)
    lazy = {inventory.names[row] for row in inventory.lazy}
    assert lazy == {"1.weight", "1.bias", "2.weight", "2.bias"}
    assert [inventory.numel(row) for row in range(len(inventory))] == [4, 2, 0, 0, 0, 0]
    assert inventory.total_numel == 6
    assert set(named_parameters(model)) == set(inventory.names)
    model(torch.ones(4, 2))
    assert not Inventory.of(model).lazy


def test_lazy_rows_move_up_when_a_tie_before_them_is_dropped():
    """Rows in `lazy` are rows of the columns, not of the walk."""
    model = nn.Sequential(TiedHead(), nn.LazyLinear(3))
    inventory = Inventory.of(model)
    assert sorted(inventory.names[row] for row in inventory.lazy) == ["1.bias", "1.weight"]


@pytest.mark.parametrize(
    "parametrized",
    [parametrizations.orthogonal, parametrizations.weight_norm, parametrizations.spectral_norm],
)
def test_a_parametrized_weight_belongs_to_the_module_it_is_the_weight_of(parametrized):
    """The owner of parametrizations.weight.original is the Linear, under its own class name."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    parametrized(model[0])
    inventory = Inventory.of(model)
    assert inventory.names == [name for name, _ in model.named_parameters()]
    assert any(name.startswith("0.parametrizations.weight.original") for name in inventory.names)
    for row in range(len(inventory)):
        assert inventory.owner_class(row).name == "Linear"
        assert "linear" in inventory.owner_class(row).families


def test_a_parametrization_with_weights_of_its_own_keeps_its_class():
    """Only the list that holds the originals is looked through, not what a user put into it."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight * self.scale

    model = nn.Linear(4, 4)
    parametrize.register_parametrization(model, "weight", Scaled())
    inventory = Inventory.of(model)
    owners = {name: inventory.owner_class(row).name for row, name in enumerate(inventory.names)}
    assert owners == {
        "bias": "Linear",
        "parametrizations.weight.original": "Linear",
        "parametrizations.weight.0.scale": "Scaled",
    }


def test_attention_reaches_to_everything_inside_it():
    """in_attention holds for an attention and all below it, and for nothing beside it."""
    inventory = Inventory.of(WithAttention())
    inside = {
        inventory.module_name(row): inventory.in_attention(row)
        for row in range(len(inventory.module_parents))
    }
    assert inside == {
        "": False,
        "mix": False,
        "mix.0": True,
        "mix.0.proj": True,
        "mix.1": False,
        "mha": True,
        "mha.out_proj": True,
    }


def test_what_is_no_module_is_refused_by_name():
    """A wrong argument is told by its class."""
    with pytest.raises(ModelError, match=r"expected a torch.nn.Module, got dict"):
        Inventory.of({"a": 1})


def test_the_source_is_the_class_unless_one_is_given():
    """An inventory says where it came from."""
    assert Inventory.of(FunnyAttention()).source == "FunnyAttention"
    assert Inventory.of(FunnyAttention(), source="python:a:b").source == "python:a:b"


def test_an_unwrapped_model_is_its_own_root():
    """unwrap gives back what has no wrapper."""
    model = plain()
    assert unwrap(model) is model


def test_buffers_and_modules_that_were_taken_away_are_no_parameters():
    """None among the members, as bias=False leaves it, is passed over."""
    model = nn.Module()
    model.register_module("gone", None)
    model.register_parameter("none", None)
    model.register_buffer("mean", torch.zeros(2))
    model.kept = nn.Linear(2, 2, bias=False)
    assert Inventory.of(model).names == ["kept.weight"]


def test_scripted_models_have_an_inventory_too():
    """TorchScript keeps its members in containers of its own."""
    model = torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)))
    assert Inventory.of(model).names == [name for name, _ in model.named_parameters()]
