"""What peft froze stays frozen: rules freeze and thaw adapters, and modules of which a copy is saved."""

from __future__ import annotations

import pytest
import torch

import layerlr_dsl as layerlr
from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.training.errors import FrozenMoved

RULES = """** -> lr 1e-2
unfreeze bert.encoder.layer.1 then bert.encoder.layer.0 every 1 epoch starting at epoch 1
"""


def adapted(**settings: object) -> torch.nn.Module:
    transformers = with_torchvision(lambda: pytest.importorskip("transformers"))
    peft = with_torchvision(lambda: pytest.importorskip("peft"))
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, vocab_size=50
    )
    model = with_torchvision(lambda: transformers.BertForSequenceClassification(config))
    lora = peft.LoraConfig(r=2, target_modules=["query", "value"], task_type="SEQ_CLS", **settings)
    return peft.get_peft_model(model, lora)


def test_turns_thaw_adapters_and_leave_the_base_alone() -> None:
    """An unfreeze of a layer covers base weights too, which would all train from then on."""
    model = adapted()
    plan = layerlr.parse(RULES).resolve(model, epochs=3, steps_per_epoch=1)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    came = {name: p.requires_grad for name, p in model.named_parameters()}
    base = {name: p.detach().clone() for name, p in model.named_parameters() if not came[name]}
    for _ in range(3):
        model(input_ids=torch.randint(50, (4, 6)), labels=torch.tensor([0, 1, 0, 1])).loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    held = {
        name: p for name, p in model.named_parameters() if "lora" not in name and "classifier" not in name
    }
    assert all(torch.equal(base[name], p) for name, p in held.items() if name in base)
    assert all(p.requires_grad for name, p in model.named_parameters() if "lora" in name)
    assert "LR318" in {finding.code for finding in plan.diagnostics}


def test_base_weights_that_their_user_trains_are_the_rules_to_freeze() -> None:
    """Whoever turns a flag on before resolving wants that weight to train."""
    model = adapted()
    name = "bert.encoder.layer.0.attention.self.query.base_layer.weight"
    model.get_submodule("base_model.model." + name.rpartition(".")[0]).weight.requires_grad_(True)
    plan = layerlr.parse("** -> lr 1e-2\nfreeze bert.encoder.layer.0 until epoch 1").resolve(model, epochs=3)
    assert plan.at(epoch=0)[name]["frozen"] is True
    assert plan.at(epoch=1)[name]["frozen"] is False


def test_a_base_weight_that_a_merge_moved_is_named_with_the_merge() -> None:
    """`unmerge_adapter` takes off with rounding what `merge_adapter` added: the proof says so, and not "an average"."""
    torch.manual_seed(0)
    model = adapted()
    for name, parameter in model.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(parameter)
    plan = layerlr.parse("** -> lr 1e-2\nfreeze bert").resolve(model)
    schedule = plan.schedule(model, plan.optimizer(model))
    schedule.verify()
    model.merge_adapter()
    model.unmerge_adapter()
    with pytest.raises(FrozenMoved, match=r"base_layer\.weight.*merge_adapter"):
        schedule.verify()
