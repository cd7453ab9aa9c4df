"""Wrappers are looked through by their type: names, classes and owners are those of the model inside."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from architectures import MODELS, TiedHead, UsersOwnModule, plain
from torch import nn

from layerlr_dsl.model import Inventory
from layerlr_dsl.model.live import named_modules, named_parameters, unwrap


def checkpointed(model: nn.Module) -> nn.Module:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    return checkpoint_wrapper(model)


def offloaded(model: nn.Module) -> nn.Module:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import offload_wrapper

    return offload_wrapper(model)


def averaged(model: nn.Module) -> nn.Module:
    return torch.optim.swa_utils.AveragedModel(model)


def ema(model: nn.Module) -> nn.Module:
    from layerlr_dsl.model.libraries import import_library

    return import_library("timm.utils").ModelEmaV3(model)


def distributed(model: nn.Module) -> nn.Module:
    return nn.parallel.DistributedDataParallel(model)


WRAPPERS = {
    "DataParallel": nn.DataParallel,
    "torch.compile": torch.compile,
    "checkpoint_wrapper": checkpointed,
    "offload_wrapper": offloaded,
    "AveragedModel": averaged,
    "ModelEmaV3": ema,
}

NESTED = {
    "compile of DataParallel": (nn.DataParallel, torch.compile),
    "DataParallel of compile": (torch.compile, nn.DataParallel),
    "average of compile of checkpoint": (checkpointed, torch.compile, averaged),
}


def same(wrapped: nn.Module, model: nn.Module) -> None:
    """The inventories of both are equal but for where they came from."""
    ours, theirs = Inventory.of(wrapped, source=""), Inventory.of(model, source="")
    assert ours.to_json() == theirs.to_json()
    assert set(named_parameters(wrapped)) == set(ours.index_of)
    assert list(named_modules(wrapped)) == list(named_modules(model))


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("make", [plain, UsersOwnModule, TiedHead, MODELS["shared block"]])
def test_a_wrapper_around_the_model_leaves_its_inventory_as_it_was(wrap, make):
    """A user's own submodules called `module` or `_orig_mod` stay; the wrapper's go."""
    model = make()
    same(wrap(copy.deepcopy(model)), model)


@pytest.mark.parametrize("wrappers", NESTED.values(), ids=NESTED)
def test_wrappers_may_be_nested_in_any_order(wrappers):
    """Layers of wrappers are looked through one after the other."""
    model = UsersOwnModule()
    wrapped = copy.deepcopy(model)
    for wrap in wrappers:
        wrapped = wrap(wrapped)
    same(wrapped, model)


@pytest.mark.parametrize("wrap", [torch.compile, checkpointed, nn.DataParallel])
def test_wrappers_deep_inside_are_looked_through(wrap):
    """A block that was wrapped on its own keeps its place and its name."""
    model = plain()
    wrapped = copy.deepcopy(model)
    wrapped[2] = wrap(wrapped[2])
    wrapped[0] = wrap(wrapped[0])
    same(nn.DataParallel(wrapped), model)


def test_unwrap_gives_the_module_inside():
    """The root behind all wrappers is the user's own module object."""
    model = plain()
    assert unwrap(torch.compile(nn.DataParallel(model))) is model


def test_named_parameters_binds_the_wrapped_models_own_objects():
    """Names lead to the parameters that the wrapped model trains."""
    model = plain()
    live = named_parameters(torch.compile(model))
    assert live["2.0.weight"] is model[2][0].weight


def test_ddp_is_looked_through(one_process):
    """DistributedDataParallel in one process."""
    model = UsersOwnModule()
    same(distributed(copy.deepcopy(model)), model)
    same(torch.compile(distributed(torch.compile(copy.deepcopy(model)))), model)


def test_fully_shard_keeps_the_original_class_names(one_process):
    """fully_shard makes an FSDPLinear of a Linear in place; rules still see a Linear."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = plain()
    sharded = copy.deepcopy(model)
    mesh = init_device_mesh("cpu", (1,))
    fully_shard(sharded[0], mesh=mesh)
    fully_shard(sharded, mesh=mesh)
    assert type(sharded[0]).__name__ == "FSDPLinear"
    same(sharded, model)
    same(torch.compile(sharded), model)


def test_replicate_keeps_the_original_class_names(one_process):
    """replicate changes the class in place as well."""
    from torch.distributed._composable.replicate_with_fsdp import replicate
    from torch.distributed.device_mesh import init_device_mesh

    model = plain()
    replicated = replicate(copy.deepcopy(model), mesh=init_device_mesh("cpu", (1,)))
    assert type(replicated).__name__ != "Sequential"
    same(replicated, model)


def test_fsdp1_with_original_parameters_is_looked_through(one_process):
    """FullyShardedDataParallel at the root and around a block."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    model = plain()
    wrapped = copy.deepcopy(model)
    wrapped[2] = FullyShardedDataParallel(wrapped[2], use_orig_params=True, device_id=torch.device("cpu"))
    wrapped = FullyShardedDataParallel(wrapped, use_orig_params=True, device_id=torch.device("cpu"))
    assert Inventory.of(wrapped).names == Inventory.of(model).names


def test_a_peft_model_has_the_names_of_the_model_it_adapts():
    """base_model.model. goes; what LoRA put inside the model stays."""
    peft = pytest.importorskip("peft")
    adapted = peft.get_peft_model(UsersOwnModule(), peft.LoraConfig(target_modules=["_orig_mod"], r=2))
    inventory = Inventory.of(adapted)
    own = [name for name, _ in adapted.get_base_model().named_parameters()]
    assert inventory.names == own
    assert "_orig_mod.lora_A.default.weight" in own
    assert "base_model.0.weight" in own
    assert inventory.names == Inventory.of(torch.compile(adapted)).names
    trains = [name for name, flag in zip(own, inventory.requires_grad, strict=True) if flag]
    assert trains == ["_orig_mod.lora_A.default.weight", "_orig_mod.lora_B.default.weight"]


def test_what_a_wrapper_adds_stands_beside_the_models_own():
    """Prompt tuning trains a module that the wrapper holds, not the model: it has a name as well."""
    peft = pytest.importorskip("peft")
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=20
    )
    model = BertForSequenceClassification(config)
    own = [name for name, _ in model.named_parameters()]
    tuned = peft.get_peft_model(model, peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3))
    inventory = Inventory.of(tuned)
    prompts = [name for name in inventory.names if name.startswith("prompt_encoder.")]
    assert prompts == ["prompt_encoder.default.embedding.weight"]
    assert len(inventory) == sum(1 for _ in tuned.parameters())
    assert {name for name in own if "classifier" not in name} <= set(inventory.names)


def test_a_fabric_module_is_looked_through():
    """Lightning's Fabric keeps the model twice; it appears once."""
    fabric = pytest.importorskip("lightning.fabric")
    model = plain()
    wrapped = fabric.Fabric(accelerator="cpu", devices=1).setup_module(copy.deepcopy(model))
    same(wrapped, model)


def test_no_wrapper_has_to_be_imported_to_be_recognised():
    """Taking an inventory imports neither torch.distributed's FSDP nor peft, timm or lightning."""
    code = (
        "import sys, torch; before = set(sys.modules)\n"
        "from layerlr_dsl.model import Inventory\n"
        "Inventory.of(torch.nn.Linear(2, 2))\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "assert not new & {'peft', 'timm', 'lightning', 'torch', 'transformers', 'deepspeed'}, new\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
