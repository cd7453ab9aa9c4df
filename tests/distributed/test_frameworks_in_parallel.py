"""accelerate and Lightning on two real processes: the clock keeps pace and the ranks stay together."""

import math
import os
import warnings
from importlib.util import find_spec

import pytest
import torch
from ranks import Layers, batch, layers, outcome, run
from torch.utils.data import DataLoader, Dataset

import layerlr_dsl as layerlr

RULES = """
schedule cosine(floor=0.1)
** -> lr 1e-2
freeze stem until epoch 1
freeze mid from epoch 1 until epoch 2
"""


class Steps(Dataset):
    """The joined batches, one row after the other."""

    def __len__(self):
        return 16

    def __getitem__(self, index):
        return batch(index // 8)[index % 8]


def mended():
    """PyPI's torchvision beside torch's CPU build stops the frameworks' imports."""
    from layerlr_dsl.model.torchvision_compat import with_torchvision

    with_torchvision(lambda: __import__("torchvision"))


def with_accelerate(splits):
    """Three epochs of two optimizer steps, driven through AcceleratedScheduler."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import DataLoaderConfiguration

    AcceleratorState._reset_state(True)
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(split_batches=splits))
    model = layers()
    loader = accelerator.prepare(DataLoader(Steps(), batch_size=8 if splits else 4))
    steps = math.ceil(len(loader))
    plan = layerlr.parse(RULES).resolve(model, epochs=3, steps_per_epoch=steps)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    wrapped, stepped, clock = accelerator.prepare(model, optimizer, schedule)
    frozen = []
    for _ in range(3):
        for x in loader:
            frozen.append(len(schedule.frozen))
            accelerator.backward(wrapped(x).square().mean())
            stepped.step()
            clock.step()
            stepped.zero_grad()
    schedule.verify()
    return {
        "processes": accelerator.num_processes,
        "steps": steps,
        "clock": schedule.last_epoch,
        "frozen": frozen,
        "weights": model.state_dict(),
    }


def with_lightning(folder):
    """The same rules through Trainer(strategy="ddp")."""
    import lightning as L

    from layerlr_dsl.training.lightning import ReportMetrics, configure

    os.environ.update(TORCHELASTIC_RUN_ID="here", GROUP_RANK="0", LOCAL_WORLD_SIZE="2")
    frozen = []

    class Module(L.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.net = Layers()

        def training_step(self, x, index):
            frozen.append(len(self.lr_schedulers().frozen))
            return self.net(x).square().mean()

        def configure_optimizers(self):
            return configure(self, layerlr.parse(RULES), model=self.net)

    trainer = L.Trainer(
        strategy="ddp",
        devices=2,
        accelerator="cpu",
        max_epochs=3,
        callbacks=[ReportMetrics()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        use_distributed_sampler=True,
    )
    module = Module()
    trainer.fit(module, DataLoader(Steps(), batch_size=4))
    clock = trainer.lr_scheduler_configs[0].scheduler.last_epoch
    return {"clock": clock, "frozen": frozen, "weights": module.net.state_dict()}


def both(start, rank, world, folder):
    warnings.simplefilter("ignore")
    mended()
    start()
    return {
        "accelerate": outcome(lambda: with_accelerate(False)),
        "accelerate, split batches": outcome(lambda: with_accelerate(True)),
        "lightning": outcome(lambda: with_lightning(folder)),
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    if not (find_spec("accelerate") and find_spec("lightning")):
        pytest.skip("needs accelerate and lightning")
    folder = tmp_path_factory.mktemp("frameworks")
    return run(both, folder, 2, str(folder))


@pytest.mark.parametrize("way", ["accelerate", "accelerate, split batches", "lightning"])
def test_layers_thaw_at_the_same_optimizer_step_as_in_one_process(results, way):
    """accelerate calls step() once a process; the clock counts six optimizer steps all the same."""
    for result in results:
        assert not isinstance(result[way], str), result[way]
        assert result[way]["clock"] == 6
        assert result[way]["frozen"] == [4, 4, 4, 4, 0, 0]


@pytest.mark.parametrize("way", ["accelerate", "accelerate, split batches", "lightning"])
def test_the_ranks_end_with_the_same_weights(results, way):
    """Freezing and thawing inside the framework's own DDP keeps the ranks together, to the bit."""
    first, second = (result[way]["weights"] for result in results)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_accelerate_really_ran_on_two_processes(results):
    """The proof above is of two processes."""
    assert results[0]["accelerate"]["processes"] == 2
