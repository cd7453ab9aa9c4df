"""Averages that are handed the model once, and not at every update: what is frozen is in them as it is."""

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr

RULES = {
    "frozen from the start": "** -> lr 1e-1\nfreeze 0, 1",
    "frozen after training": "** -> lr 1e-1\nfreeze 0, 1 from epoch 1",
}


def of_ignite(model):
    handlers = pytest.importorskip("ignite.handlers")
    engine = pytest.importorskip("ignite.engine")
    handler, trainer = handlers.EMAHandler(model, momentum=0.1), engine.Engine(lambda *_: None)
    return handler, lambda: handler.attach(trainer), lambda: trainer.run([0])


def of_ema_pytorch(model):
    library = pytest.importorskip("ema_pytorch")
    average = library.EMA(model, beta=0.9, update_after_step=0, update_every=1)
    return average, lambda: None, average.update


@pytest.mark.parametrize("make", [of_ignite, of_ema_pytorch])
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_what_is_frozen_is_in_the_average_as_it_is_in_the_model(make, rules):
    """0.9 x + 0.1 x rounds, and an average that began before the freeze lags behind what froze."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    plan = layerlr.parse(rules).resolve(model, epochs=2, steps_per_epoch=4)
    optimizer = plan.optimizer(model)
    average, attach, update = make(model)
    schedule = plan.schedule(model, optimizer)
    attach()
    for _ in range(8):
        model(torch.randn(6, 4)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        update()
    own, averaged = model.state_dict(), average.ema_model.state_dict()
    assert all(torch.equal(own[name], averaged[name]) for name in own if name.startswith(("0.", "1.")))
    assert not torch.equal(own["3.weight"], averaged["3.weight"])
    model.load_state_dict(averaged)
    assert schedule.verify()
