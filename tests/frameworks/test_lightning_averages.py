"""Lightning's averages of weights over a net with frozen layers."""

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr

lightning = pytest.importorskip("lightning")
callbacks = pytest.importorskip("lightning.pytorch.callbacks")

from layerlr_dsl.training.lightning import ReportMetrics, configure  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

AVERAGES = {
    "swa": lambda: callbacks.StochasticWeightAveraging(swa_lrs=1e-1, swa_epoch_start=1),
    "ema": lambda: callbacks.EMAWeightAveraging(decay=0.9),
    "ema of parameters": lambda: callbacks.EMAWeightAveraging(decay=0.9, use_buffers=False),
}


class Net(lightning.LightningModule):
    def __init__(self, rules):
        super().__init__()
        self.rules = layerlr.parse(rules)
        self.backbone = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
        self.backbone[1].running_mean.fill_(0.3)
        self.backbone[1].running_var.fill_(2.7)
        self.at_freeze = {}

    def forward(self, images):
        return self.head(self.backbone(images).mean((2, 3)))

    def training_step(self, batch, index):
        if not self.backbone[0].weight.requires_grad and not self.at_freeze:
            self.at_freeze = {key: value.clone() for key, value in self.backbone.state_dict().items()}
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, index):
        self.log("loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return configure(self, self.rules)


def fit(net, callback, tmp_path, epochs=5):
    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(torch.randn(16, 2, 6, 6), torch.randint(3, (16,)))
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        callbacks=[callback, ReportMetrics()],
    )
    trainer.fit(net, loader, loader)
    return trainer


def unmoved(net):
    now = net.backbone.state_dict()
    return {key for key, value in net.at_freeze.items() if torch.equal(value, now[key])} == now.keys()


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("name", AVERAGES)
def test_a_frozen_backbone_stands_still_under_an_average(name, validated, tmp_path):
    """Weights, and statistics that the last pass over the data would measure anew; the proof at the end holds."""
    net = Net("** -> lr 1e-1\nfreeze backbone")
    if not validated:
        net.validation_step = None
    before = net.head[0].weight.detach().clone()
    fit(net, AVERAGES[name](), tmp_path)
    assert unmoved(net)
    assert not torch.equal(before, net.head[0].weight)
    assert not torch.equal(net.head[1].running_mean, torch.zeros(4))


@pytest.mark.parametrize("name", [name for name in AVERAGES if name != "swa"])
def test_what_froze_after_training_stays_where_it_froze(name, tmp_path):
    """An average that began before the freeze lags behind; the layers above were trained on what froze."""
    net = Net("** -> lr 1e-1\nfreeze backbone from epoch 2")
    fit(net, AVERAGES[name](), tmp_path)
    assert net.at_freeze
    assert unmoved(net)


def test_weights_that_swa_puts_back_leave_out_what_froze_before_it_began(tmp_path):
    """SWA takes the schedule's place, so what is frozen at its start is frozen to the end."""
    net = Net("** -> lr 1e-1\nfreeze backbone from epoch 1")
    fit(net, callbacks.StochasticWeightAveraging(swa_lrs=1e-1, swa_epoch_start=2), tmp_path)
    assert net.at_freeze
    assert unmoved(net)
