"""Weights that other libraries have quantised: rules may freeze them, and no optimizer gets them."""

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.training.errors import FrozenMoved

RULES = "** -> lr 1e-2\nfreeze 0\noptimizer adamw"


def of_torchao():
    quantization = pytest.importorskip("torchao.quantization")
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    quantization.quantize_(model[0], quantization.Int8WeightOnlyConfig())
    return model


def of_bitsandbytes(bits):
    library = pytest.importorskip("bitsandbytes")
    layer = {4: library.nn.Linear4bit, 8: library.nn.Linear8bitLt}[bits](64, 64)
    return nn.Sequential(layer, nn.ReLU(), nn.Linear(64, 2)).to("cpu")


def trained(model):
    plan = layerlr.parse(RULES).resolve(model, epochs=2, steps_per_epoch=2)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    for _ in range(4):
        model(torch.randn(4, 64)).square().mean().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return optimizer, schedule


MAKERS = {"torchao": of_torchao, "4 bits": lambda: of_bitsandbytes(4), "8 bits": lambda: of_bitsandbytes(8)}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_rules_freeze_a_quantised_layer_and_train_the_rest(make):
    """Integers can have no gradient, and torchao's tensors are made of tensors: neither must stop a freeze."""
    model = make()
    optimizer, schedule = trained(model)
    assert schedule.frozen == {"0.weight", "0.bias"}
    assert {id(p) for p in optimizer.state} == {id(model[2].weight), id(model[2].bias)}
    assert schedule.verify() >= 1  # the bias; bitsandbytes itself repacks its weights as they are used


def test_what_torchao_has_quantised_is_proved_by_the_tensors_that_it_is_made_of():
    """Such a tensor cannot be looked at as bytes."""
    model = of_torchao()
    _, schedule = trained(model)
    schedule.verify()
    with torch.no_grad():
        model[0].weight.qdata.view(-1)[0] += 1
    with pytest.raises(FrozenMoved, match=r"0\.weight"):
        schedule.verify()
