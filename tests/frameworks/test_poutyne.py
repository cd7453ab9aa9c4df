"""Poutyne's Model: the optimizer and the schedule are what it takes as they are."""

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr

poutyne = pytest.importorskip("poutyne")
RULES = "schedule cosine\n** -> lr 1e-2\nfreeze 0, 1 until epoch 2"


class Steps(poutyne.Callback):
    """Steps a schedule after every batch, and notes which epochs the first layer trains in."""

    def __init__(self, schedule, layer):
        super().__init__()
        self.schedule, self.layer = schedule, layer
        self.trains, self.epoch = {}, 0

    def on_epoch_begin(self, epoch_number, logs):
        self.epoch = epoch_number

    def on_train_batch_begin(self, batch_number, logs):
        self.trains.setdefault(self.epoch, set()).add(self.layer.weight.requires_grad)

    def on_train_batch_end(self, batch_number, logs):
        self.schedule.step()


def test_a_model_of_poutyne_trains_by_rules(recwarn):
    """Its loop validates after each epoch and puts the model back into training: frozen statistics stand still."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    data = torch.utils.data.TensorDataset(torch.randn(24, 4), torch.randn(24, 2))
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    plan = layerlr.parse(RULES).resolve(net, epochs=4, steps_per_epoch=len(loader))
    optimizer = plan.optimizer(net)
    steps = Steps(plan.schedule(net, optimizer), net[0])
    model = poutyne.Model(net, optimizer, "mse")
    before = net[1].running_mean.clone()
    model.fit_generator(loader, loader, epochs=2, verbose=False, callbacks=[steps])
    assert torch.equal(net[1].running_mean, before)
    model.fit_generator(loader, loader, epochs=4, initial_epoch=3, verbose=False, callbacks=[steps])
    assert steps.trains == {1: {False}, 2: {False}, 3: {True}, 4: {True}}
    assert not torch.equal(net[1].running_mean, before)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-12)
    assert not [str(w.message) for w in recwarn if w.category.__module__.startswith("layerlr")]
